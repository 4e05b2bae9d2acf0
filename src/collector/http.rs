//! OTLP/HTTP: one path, protobuf and JSON, over HTTP/1.1 and HTTP/2.
//!
//! Every answer with a status of 400 and above carries a `google.rpc.Status` in the request's
//! encoding, also where the path or the method is wrong. Only a head that never becomes a request,
//! because it is malformed or beyond the bounds, gets a bare 400 or 431 from hyper.

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, ORIGIN, RETRY_AFTER, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::answer::{self, HttpAnswer};
use super::body::{self, Expected};
use super::inflate::Compression;
use super::intake::{Intake, Request};
use super::outcome::{Outcome, Refusal};
use super::reply::ReplyBody;
use crate::ids::Signal;
use crate::otlp::Encoding;
use crate::settings::ReceiveSettings;
use crate::shutdown::Shutdown;

/// How much of a refused body is read and thrown away before the connection is closed.
const DISCARDED_BYTES: usize = 128 << 20;

/// How long a refused body is read for.
const DISCARD_LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

/// What browsers may send, and for how long they may remember it, in seconds.
const CORS_HEADERS: &str = "content-type, content-encoding, authorization, traceparent, tracestate, x-requested-with";
const CORS_MAX_AGE: &str = "7200";

/// Returns the media type of a request without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next().map(str::trim)
}

/// Answers a request; the outcome's name is returned beside for the metrics.
pub(super) async fn answer(
    intake: &Intake,
    tasks: &Shutdown,
    request: http::Request<Incoming>,
) -> (Response<ReplyBody>, &'static str) {
    let (head, mut body) = request.into_parts();
    let named = encoding(&head.headers);
    let encoding = named.unwrap_or(Encoding::Json);
    let (origin, checked) = {
        let settings = intake.settings();
        (allowed_origin(&head.headers, &settings), check_head(&head, named, &settings))
    };
    if let Some(origin) = &origin
        && is_preflight(&head)
    {
        return (preflight(origin.clone()), "Preflight");
    }
    let outcome = match checked {
        Ok(compression) => export(intake, &mut body, encoding, compression).await,
        Err(outcome) => outcome,
    };
    if let Outcome::Refused { .. } | Outcome::RetryAfter { .. } = &outcome {
        discard(&head, body, tasks);
    }
    let mut response = response(&outcome, encoding);
    if let Some(origin) = origin {
        allow_origin(response.headers_mut(), origin);
    }
    (response, outcome.reason())
}

async fn export(intake: &Intake, body: &mut Incoming, encoding: Encoding, compression: Compression) -> Outcome {
    let mut permit = match intake.admit() {
        Ok(permit) => permit,
        Err(outcome) => return outcome,
    };
    let limit = usize::try_from(intake.settings().max_request_bytes.0).unwrap_or(usize::MAX);
    let expected = Expected { limit, announced: |_| None };
    match body::read(body, &expected, &mut permit).await {
        Ok(body) => intake.submit(Request { signal: Signal::Traces, encoding, compression, body, permit }).await,
        Err(error) => error.into(),
    }
}

/// Returns the compression of a request that can be taken.
fn check_head(
    head: &http::request::Parts,
    encoding: Option<Encoding>,
    settings: &ReceiveSettings,
) -> Result<Compression, Outcome> {
    if head.uri.path() != settings.traces_path {
        let path: String = head.uri.path().chars().take(128).collect();
        let message = format!("nothing is served under `{path}`: traces go to `{}`", settings.traces_path);
        return Err(Outcome::refused(Refusal::NotFound, message));
    }
    if head.method != Method::POST {
        return Err(Outcome::refused(Refusal::WrongMethod, "traces are sent with POST"));
    }
    if encoding.is_none() {
        let message = "unknown `Content-Type`: use `application/x-protobuf` or `application/json`";
        return Err(Outcome::refused(Refusal::UnknownMediaType, message));
    }
    compression(&head.headers)
}

/// Returns the encoding that a request's media type names.
fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let media = media_type(headers)?;
    if media.eq_ignore_ascii_case("application/x-protobuf") {
        Some(Encoding::Protobuf)
    } else if media.eq_ignore_ascii_case("application/json") {
        Some(Encoding::Json)
    } else {
        None
    }
}

/// Returns the one compression that `Content-Encoding` names; several on top of each other are not read.
fn compression(headers: &HeaderMap) -> Result<Compression, Outcome> {
    let mut found = Compression::Identity;
    for value in headers.get_all(CONTENT_ENCODING) {
        let value = String::from_utf8_lossy(value.as_bytes());
        for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match Compression::from_name(name) {
                Some(Compression::Identity) => {}
                Some(compression) if found == Compression::Identity => found = compression,
                _ => {
                    let name = name.escape_default();
                    let message = format!("unknown `Content-Encoding` `{name}`: use one of {}", Compression::NAMES);
                    return Err(Outcome::refused(Refusal::UnknownCompression, message));
                }
            }
        }
    }
    Ok(found)
}

/// Lets the rest of a refused body run into nothing while the answer is sent.
///
/// Over HTTP/1 a connection closed with unread bytes is reset, and the reset may overtake the answer.
/// A client that waits for `100 Continue` has not sent anything; HTTP/2 resets the stream alone.
fn discard(head: &http::request::Parts, mut body: Incoming, tasks: &Shutdown) {
    let ended = hyper::body::Body::is_end_stream(&body);
    if ended || head.version >= Version::HTTP_2 || head.headers.contains_key(EXPECT) {
        return;
    }
    tasks.spawn("discard", async move {
        let mut left = DISCARDED_BYTES;
        let reading = async {
            while let Some(Ok(frame)) = body.frame().await {
                left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                if left == 0 {
                    return;
                }
            }
        };
        // Late or not, the body is dropped, and with it the connection.
        let _ = tokio::time::timeout(DISCARD_LIMIT, reading).await;
    });
}

/// Makes the response to a request in this encoding.
pub(super) fn response(outcome: &Outcome, encoding: Encoding) -> Response<ReplyBody> {
    let HttpAnswer { status, body, retry_after } = answer::http(outcome, encoding);
    let mut response = Response::new(ReplyBody::full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let media_type = match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    match outcome {
        Outcome::Refused { refusal: Refusal::WrongMethod, .. } => {
            headers.insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
        }
        // Source: RFC 7694, section 3.
        Outcome::Refused { refusal: Refusal::UnknownCompression, .. } => {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(Compression::NAMES));
        }
        _ => {}
    }
    response
}

/// Returns what `Access-Control-Allow-Origin` says to this request, `None` where it comes from no page or no allowed one.
fn allowed_origin(headers: &HeaderMap, settings: &ReceiveSettings) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    if settings.cors_allowed_origins.iter().any(|allowed| allowed == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    settings.cors_allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

fn is_preflight(head: &http::request::Parts) -> bool {
    head.method == Method::OPTIONS && head.headers.contains_key(http::header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Source: Fetch standard, "CORS-preflight fetch".
fn preflight(origin: HeaderValue) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(CORS_HEADERS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(CORS_MAX_AGE));
    allow_origin(headers, origin);
    response
}

fn allow_origin(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(VARY, HeaderValue::from_static("origin"));
}
