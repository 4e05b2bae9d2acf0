//! OTLP over HTTP/1.1, with protobuf.
//!
//! Source: OTLP specification 1.11.0, "OTLP/HTTP Response", "Failures", "OTLP/HTTP Throttling".

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderMap, Request, Uri};
use http_body_util::Full;
use prost::Message as _;

use super::answer::{Answer, shown};
use super::connection::Response;
use super::target::{Protocol, Target};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::otlp::answers::{Status, read_partial};
use crate::tools::exit::ExitCode;

/// The media type of requests and answers.
const PROTOBUF: &str = "application/x-protobuf";

/// Makes the request of an export.
pub(super) fn request(target: &Target, headers: &HeaderMap, body: Bytes) -> Result<Request<Full<Bytes>>, http::Error> {
    let uri: Uri = target.export_url(Protocol::Http).parse()?;
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::post(path)
        .header(HOST, host)
        .header(CONTENT_TYPE, PROTOBUF)
        .header("user-agent", concat!("tracecapture/", env!("CARGO_PKG_VERSION")));
    if let Some(all) = request.headers_mut() {
        all.extend(headers.clone());
    }
    request.body(Full::new(body))
}

/// Reads what was said, by the table of OTLP.
pub(super) fn answer(response: &Response) -> Answer {
    let what = format!("the endpoint answered {}{}", response.status, said(response));
    match response.status.as_u16() {
        200..=299 => success(response),
        429 | 502..=504 => Answer::Retry { after: retry_after(response, SystemClock::new().now()), what },
        401 | 403 | 407 => Answer::Unusable { code: ExitCode::Denied, what },
        300..=399 | 404 | 405 | 415 => Answer::Unusable { code: ExitCode::Failed, what },
        _ => Answer::Refused { what },
    }
}

/// Reads an answer that says that all is well.
///
/// Login pages and pages of applications say so, too, to whatever is sent to them.
/// An endpoint that sends nothing back, or does not say what, is believed.
fn success(response: &Response) -> Answer {
    let media_type = media_type(response);
    let is_otlp = media_type.is_empty() || media_type.contains("protobuf") || media_type.ends_with("json");
    if !is_otlp && !response.body.trim_ascii().is_empty() {
        let (status, said) = (response.status, said(response));
        let what = format!("the endpoint answered {status} with `{media_type}`, as none of OTLP does{said}");
        return Answer::Unusable { code: ExitCode::Failed, what };
    }
    let partial = (media_type == PROTOBUF).then(|| read_partial(&response.body)).flatten();
    let (rejected, message) = partial.unwrap_or_default();
    Answer::Accepted { rejected, message: shown(&message) }
}

/// Returns the message of an answer, behind a colon; errors are a `Status` where the endpoint keeps to OTLP.
fn said(response: &Response) -> String {
    let text = if media_type(response) == PROTOBUF {
        Status::decode(response.body.clone()).map(|status| status.message).unwrap_or_default()
    } else {
        String::from_utf8_lossy(&response.body).into_owned()
    };
    let text = shown(&text);
    if text.is_empty() { text } else { format!(": {text}") }
}

fn media_type(response: &Response) -> String {
    let value = response.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Reads `Retry-After`: seconds, or a date.
fn retry_after(response: &Response, now: Timestamp) -> Option<Duration> {
    let text = response.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let date = Timestamp::from_unix_nanos(u64::try_from(date.as_nanosecond()).ok()?);
    Some(date.saturating_since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&'static str, &str)], body: &'static [u8]) -> Response {
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.insert(*name, value.parse().unwrap());
        }
        let status = http::StatusCode::from_u16(status).unwrap();
        Response { status, headers: all, body: Bytes::from_static(body), trailers: HeaderMap::new() }
    }

    #[test]
    fn r17_only_four_codes_are_retried() {
        for status in [429, 502, 503, 504] {
            let answer = answer(&response(status, &[], b""));
            assert!(matches!(answer, Answer::Retry { after: None, .. }), "{status} {answer:?}");
        }
        for status in [400, 408, 413, 500, 501] {
            let answer = answer(&response(status, &[("content-type", "text/plain")], b"too much\n"));
            assert!(matches!(&answer, Answer::Refused { what } if what.ends_with(": too much")), "{status} {answer:?}");
        }
        for (status, expected) in
            [(401, ExitCode::Denied), (403, ExitCode::Denied), (301, ExitCode::Failed), (404, ExitCode::Failed)]
        {
            let answer = answer(&response(status, &[], b""));
            assert!(matches!(answer, Answer::Unusable { code, .. } if code == expected), "{status} {answer:?}");
        }
    }

    #[test]
    fn r19_retry_after_is_seconds_or_a_date() {
        let now = "2026-11-21T10:00:00Z".parse().unwrap();
        let check = |value: &str, expected: Option<u64>| {
            let found = retry_after(&response(503, &[("retry-after", value)], b""), now);
            assert_eq!(found, expected.map(Duration::from_secs), "{value}");
        };
        check("7", Some(7));
        check("Sat, 21 Nov 2026 10:00:30 GMT", Some(30));
        check("Sat, 21 Nov 2026 09:00:00 GMT", Some(0));
        check("soon", None);
    }

    #[test]
    fn success_is_believed_only_of_what_may_speak_otlp() {
        let taken = Answer::Accepted { rejected: 0, message: String::new() };
        let page = |media_type: &str, body| answer(&response(200, &[("content-type", media_type)], body));
        for (media_type, body) in [
            ("application/json; charset=utf-8", b"{}".as_slice()),
            ("application/protobuf", b""),
            ("application/vnd.google.protobuf", b"\x0a\0"),
            ("text/html", b""),
            ("text/plain", b"\r\n"),
        ] {
            assert_eq!(page(media_type, body), taken, "{media_type}");
        }
        assert_eq!(answer(&response(202, &[], b"ok")), taken);
        for (media_type, body) in [("text/html; charset=utf-8", b"<html>".as_slice()), ("TEXT/plain", b"OK")] {
            let answer = page(media_type, body);
            let is_told = |what: &str| what.starts_with("the endpoint answered 200 OK with `text/");
            assert!(
                matches!(&answer, Answer::Unusable { code: ExitCode::Failed, what } if is_told(what)),
                "{media_type} {answer:?}"
            );
        }
    }

    #[test]
    fn r06_partial_success_and_r16_status_are_read() {
        let protobuf = [("content-type", "application/x-protobuf; charset=x")];
        let body = b"\x0a\x08\x08\x02\x12\x04late";
        let expected = Answer::Accepted { rejected: 2, message: "late".to_owned() };
        assert_eq!(answer(&response(200, &protobuf, body)), expected);
        let refused = answer(&response(400, &protobuf, b"\x08\x03\x12\x03bad"));
        assert_eq!(refused, Answer::Refused { what: "the endpoint answered 400 Bad Request: bad".to_owned() });
    }
}
