//! The page of a link: what it is, how large, until when, and how to get it. Pure.
//!
//! No script, no picture, one style that the policy names by its digest; every text is escaped.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use ring::digest::{SHA256, digest};

use super::body::GatewayBody;
use super::problem::Problem;
use crate::api::link::LinkId;
use crate::clock::Timestamp;
use crate::ids::CaptureId;

/// The one style.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}\
    dt{color:#666}dd{margin:0 0 .7rem}pre{background:#f3f3f3;padding:.7rem;white-space:pre-wrap;overflow-wrap:anywhere}\
    a.download{display:inline-block;background:#1652a8;color:#fff;padding:.5rem 1.2rem;border-radius:.3rem;text-decoration:none}";

/// What the page of a link shows.
pub(super) struct Shown<'a> {
    pub(super) capture: &'a CaptureId,
    /// Bytes of the bundle; `None` until its first download.
    pub(super) bytes: Option<u64>,
    /// About how many bytes the capture holds.
    pub(super) about: Option<u64>,
    pub(super) expires: Timestamp,
    /// Which link it is: each has a file of its own, since no other link goes on with it.
    pub(super) id: LinkId,
    /// The link's text.
    pub(super) link: &'a str,
    /// The whole address of the bundle, where it is known.
    pub(super) url: Option<String>,
}

/// Returns the page of a link that holds.
pub(super) fn show(shown: &Shown<'_>) -> Response<GatewayBody> {
    let Shown { capture, bytes, about, expires, id, link, url } = shown;
    let size = match (bytes, about) {
        (Some(bytes), _) => format!("{} ({bytes} bytes)", rounded(*bytes)),
        (None, Some(about)) => format!("about {}", rounded(*about)),
        (None, None) => "known once the download begins".to_owned(),
    };
    let mut body = String::new();
    let (capture, link) = (escape(&capture.to_string()), escape(link));
    // Writing to a string cannot fail.
    let _ = write!(
        body,
        "<h1>Traces of {capture}</h1>\n<dl><dt>Size</dt><dd>{}</dd><dt>Link expires</dt><dd>{}</dd></dl>\n\
         <p><a class=\"download\" href=\"{link}/bundle.tar\" download>Download</a></p>\n",
        escape(&size),
        escape(&expires.to_string()),
    );
    if let Some(url) = url {
        let file = format!("{}_{}", capture.replace('/', "_"), id.prefix());
        let _ = write!(
            body,
            "<p>In a terminal; the same line goes on where a download was cut:</p>\n<pre>curl -f -C - -o {file}.tar '{}'</pre>\n",
            escape(url)
        );
    }
    html(StatusCode::OK, &capture, &body)
}

/// Returns the page of a link that does not hold.
pub(super) fn refusal(problem: &Problem) -> Response<GatewayBody> {
    let title = problem.status.canonical_reason().unwrap_or(problem.reason);
    let body = format!("<h1>{}</h1>\n<p>{}</p>\n", escape(title), escape(&problem.detail));
    html(problem.status, title, &body)
}

/// Makes a page of what is escaped.
fn html(status: StatusCode, title: &str, body: &str) -> Response<GatewayBody> {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"robots\" content=\"noindex\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\n\
         <body>\n{body}</body></html>\n"
    );
    let mut response = Response::new(GatewayBody::full(Bytes::from(page)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex, nofollow"));
    let style = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Returns a size as people read it.
fn rounded(bytes: u64) -> String {
    let tenths_of_kilobytes = bytes.div_ceil(100);
    match tenths_of_kilobytes {
        0..10_000 => format!("{}.{} kB", tenths_of_kilobytes / 10, tenths_of_kilobytes % 10),
        10_000..10_000_000 => format!("{}.{} MB", tenths_of_kilobytes / 10_000, tenths_of_kilobytes / 1000 % 10),
        _ => format!("{}.{} GB", tenths_of_kilobytes / 10_000_000, tenths_of_kilobytes / 1_000_000 % 10),
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded() {
        for (bytes, text) in [(0, "0.0 kB"), (1500, "1.5 kB"), (12_345_678, "12.3 MB"), (50_000_000_000, "50.0 GB")] {
            assert_eq!(rounded(bytes), text);
        }
    }

    #[test]
    fn every_text_is_escaped() {
        assert_eq!(escape("<a href='x'>\"&\u{1b}"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
        let problem = Problem::bad_request("<script>");
        let response = refusal(&problem);
        let GatewayBody::Full(Some(body)) = response.body() else { panic!() };
        let page = String::from_utf8(body.to_vec()).unwrap();
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
    }
}
