//! OTLP/gRPC: unary calls of one method, by hand over HTTP/2.
//!
//! No gRPC framework, because the one there is inflates with a decoder that stops after the first
//! gzip member, answers too large messages with a code that makes clients retry for ever, and costs
//! a codec per message.
//!
//! Sources: gRPC `PROTOCOL-HTTP2.md` and `compression.md`.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{Buf, Bytes};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::time::timeout;

use super::answer::{self, GrpcAnswer};
use super::body::{self, Expected};
use super::http::{media_type, response as http_response};
use super::inflate::Compression;
use super::intake::{Intake, Request};
use super::outcome::{Outcome, Refusal};
use super::reply::ReplyBody;
use crate::ids::Signal;
use crate::otlp::Encoding;

/// The one method that is served.
const EXPORT_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A message begins with a flag and its length.
const PREFIX_LEN: usize = 5;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// What `grpc-message` escapes: everything outside of printable ASCII, and the escape itself.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// Tells whether a request is gRPC by its media type.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|media| {
        ["application/grpc", "application/grpc+proto"].iter().any(|known| known.eq_ignore_ascii_case(media))
    })
}

/// Answers a call; the outcome is returned beside for the metrics.
pub(super) async fn answer(intake: &Intake, request: http::Request<Incoming>) -> (Response<ReplyBody>, &'static str) {
    let outcome = match call_timeout(request.headers()) {
        Some(limit) => timeout(limit, export(intake, request)).await.unwrap_or_else(|_| {
            Outcome::refused(Refusal::DeadlineExceeded, "the client's deadline passed before the spans were stored")
        }),
        None => export(intake, request).await,
    };
    (response(&outcome), outcome.reason())
}

async fn export(intake: &Intake, request: http::Request<Incoming>) -> Outcome {
    let (head, mut body) = request.into_parts();
    let compression = match check_head(&head) {
        Ok(compression) => compression,
        Err(outcome) => return outcome,
    };
    let mut permit = match intake.admit() {
        Ok(permit) => permit,
        Err(outcome) => return outcome,
    };
    let max_bytes = usize::try_from(intake.settings().max_request_bytes.0).unwrap_or(usize::MAX);
    let expected = Expected { limit: max_bytes.saturating_add(PREFIX_LEN), announced: announced_len };
    let message = match body::read(&mut body, &expected, &mut permit).await {
        Ok(message) => message,
        Err(error) => return error.into(),
    };
    match unframe(message, compression) {
        Ok((compression, body)) => {
            let (signal, encoding) = (Signal::Traces, Encoding::Protobuf);
            intake.submit(Request { signal, encoding, compression, body, permit }).await
        }
        Err(outcome) => outcome,
    }
}

/// Returns the compression of the call's messages, `None` where none is named.
fn check_head(head: &http::request::Parts) -> Result<Option<Compression>, Outcome> {
    if !is_grpc(&head.headers) {
        return Err(Outcome::refused(Refusal::UnknownMediaType, "this port takes `application/grpc`"));
    }
    if head.method != Method::POST {
        return Err(Outcome::refused(Refusal::WrongMethod, "gRPC calls are POST requests"));
    }
    if head.uri.path() != EXPORT_PATH {
        let path: String = head.uri.path().chars().take(128).collect();
        return Err(Outcome::refused(Refusal::NotFound, format!("unknown method `{path}`: only traces are received")));
    }
    let Some(name) = head.headers.get(GRPC_ENCODING) else { return Ok(None) };
    let name = String::from_utf8_lossy(name.as_bytes());
    match Compression::from_name(&name) {
        Some(compression) => Ok(Some(compression)),
        None => Err(Outcome::refused(
            Refusal::UnknownCompression,
            format!("unknown `grpc-encoding` `{}`: use one of {}", name.escape_default(), Compression::NAMES),
        )),
    }
}

/// Reads the length of the whole body out of its first bytes.
fn announced_len(begin: &[u8]) -> Option<u64> {
    match *begin {
        [_, a, b, c, d, ..] => Some(u64::from(u32::from_be_bytes([a, b, c, d])) + 5),
        _ => None,
    }
}

/// Takes the only message out of its frame.
fn unframe(mut framed: Bytes, named: Option<Compression>) -> Result<(Compression, Bytes), Outcome> {
    let bad = |what: &str| Err(Outcome::refused(Refusal::BadData, what));
    let (Some(&flag), Some(announced)) = (framed.first(), announced_len(&framed)) else {
        return bad(if framed.is_empty() { "the call has no message" } else { "the message's prefix is cut off" });
    };
    match u64::try_from(framed.len()).unwrap_or(u64::MAX).cmp(&announced) {
        std::cmp::Ordering::Less => return bad("the message is cut off"),
        std::cmp::Ordering::Greater => return bad("bytes follow the message of a unary call"),
        std::cmp::Ordering::Equal => framed.advance(PREFIX_LEN),
    }
    match (flag, named) {
        (0, _) => Ok((Compression::Identity, framed)),
        (1, Some(compression)) if compression != Compression::Identity => Ok((compression, framed)),
        (1, _) => Err(Outcome::refused(
            Refusal::UnnamedCompression,
            "the message is flagged as compressed, but `grpc-encoding` names no compression",
        )),
        _ => bad("the message's compressed flag is neither 0 nor 1"),
    }
}

/// Reads `grpc-timeout`: up to eight digits and a unit; what is malformed is ignored.
fn call_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_hours(count)),
        "M" => Some(Duration::from_mins(count)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

fn response(outcome: &Outcome) -> Response<ReplyBody> {
    match answer::grpc(outcome) {
        GrpcAnswer::Message(message) => {
            let mut trailers = HeaderMap::with_capacity(1);
            trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
            with_headers(ReplyBody::with_trailers(framed(&message), trailers))
        }
        GrpcAnswer::Status { code, message, details } => {
            // Without a message the status comes in the headers ("Trailers-Only").
            let mut response = with_headers(ReplyBody::default());
            let headers = response.headers_mut();
            headers.insert(GRPC_STATUS, HeaderValue::from(code));
            let escaped = utf8_percent_encode(&message, ESCAPED).to_string();
            let values = [(GRPC_MESSAGE, Some(escaped)), (GRPC_DETAILS, details.map(|d| STANDARD_NO_PAD.encode(d)))];
            for (name, value) in values {
                if let Some(value) = value.and_then(|value| HeaderValue::from_maybe_shared(Bytes::from(value)).ok()) {
                    headers.insert(name, value);
                }
            }
            headers.insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static(Compression::NAMES));
            response
        }
        GrpcAnswer::NotGrpc => http_response(outcome, Encoding::Json),
    }
}

fn with_headers(body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Puts a message into its frame, uncompressed.
fn framed(message: &[u8]) -> Bytes {
    if message.is_empty() {
        return Bytes::from_static(&[0; PREFIX_LEN]);
    }
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    Bytes::from([&[0], &len.to_be_bytes()[..], message].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_unframe(framed: &'static [u8], named: Option<Compression>, refusal: Refusal) {
        let result = unframe(Bytes::from_static(framed), named);
        assert!(matches!(result, Err(Outcome::Refused { refusal: r, .. }) if r == refusal), "{framed:?}: {result:?}");
    }

    #[test]
    fn a_call_has_exactly_one_whole_message() {
        for framed in
            [&b""[..], b"\0\0\0", b"\0\0\0\0\x02x", b"\0\0\0\0\x01xy", b"\0\0\0\0\0\0\0\0\0\0", b"\x02\0\0\0\0"]
        {
            check_unframe(framed, None, Refusal::BadData);
        }
        let whole = unframe(Bytes::from_static(b"\0\0\0\0\x01x"), Some(Compression::Gzip)).unwrap();
        assert_eq!(whole, (Compression::Identity, Bytes::from_static(b"x")));
    }

    #[test]
    fn a_compressed_message_needs_a_named_compression() {
        check_unframe(b"\x01\0\0\0\0", None, Refusal::UnnamedCompression);
        check_unframe(b"\x01\0\0\0\0", Some(Compression::Identity), Refusal::UnnamedCompression);
        let whole = unframe(Bytes::from_static(b"\x01\0\0\0\x01x"), Some(Compression::Zstd)).unwrap();
        assert_eq!(whole.0, Compression::Zstd);
    }

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        let read =
            |text: &'static str| call_timeout(&HeaderMap::from_iter([(GRPC_TIMEOUT, HeaderValue::from_static(text))]));
        assert_eq!(read("100m"), Some(Duration::from_millis(100)));
        assert_eq!(read("99999999H"), Some(Duration::from_hours(99_999_999)));
        for bad in ["", "m", "100", "100x", "123456789S", "-1S", "1 S"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_status_is_escaped_and_comes_without_a_body() {
        let response = response(&Outcome::refused(Refusal::BadData, "100 % schön\n"));
        let headers = response.headers();
        assert_eq!(
            (&headers[GRPC_STATUS], &headers[GRPC_MESSAGE]),
            (&"3".parse().unwrap(), &"100 %25 sch%C3%B6n%0A".parse().unwrap())
        );
        assert!(headers.contains_key(GRPC_DETAILS));
        assert!(http_body::Body::is_end_stream(response.body()));
    }
}
