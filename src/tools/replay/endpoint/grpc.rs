//! OTLP over gRPC: one message each way, framed by hand.
//!
//! Sources: the gRPC specification, "PROTOCOL-HTTP2"; OTLP specification 1.11.0, "OTLP/gRPC Response", "Failures".

use base64::Engine as _;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use prost::Message as _;

use super::answer::{ATTEMPT_LIMIT, Answer, shown};
use super::connection::Response;
use super::target::{Protocol, Target};
use crate::otlp::answers::{Status, read_partial};
use crate::tools::exit::ExitCode;

/// A flag and the length of the message.
const FRAME_HEADER: usize = 5;

/// Writers pad `-bin` headers or not.
const BASE64: base64::engine::GeneralPurpose = base64::engine::GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    base64::engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// The codes of gRPC by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Makes the request of an export.
pub(super) fn request(target: &Target, headers: &HeaderMap, body: &Bytes) -> Result<Request<Full<Bytes>>, http::Error> {
    let mut framed = BytesMut::with_capacity(FRAME_HEADER + body.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(body);
    let mut request = Request::post(target.export_url(Protocol::Grpc))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", format!("{}S", ATTEMPT_LIMIT.as_secs()))
        .header("user-agent", concat!("tracecapture/", env!("CARGO_PKG_VERSION")));
    if let Some(all) = request.headers_mut() {
        all.extend(headers.clone());
    }
    request.body(Full::new(framed.freeze()))
}

/// Reads what was said, by the table of OTLP.
pub(super) fn answer(response: &Response) -> Answer {
    let header = |name| [&response.trailers, &response.headers].into_iter().find_map(|headers| headers.get(name));
    let Some(code) = header("grpc-status").and_then(|value| value.to_str().ok()?.parse::<usize>().ok()) else {
        return no_grpc(response);
    };
    let details = header("grpc-status-details-bin").and_then(|value| BASE64.decode(value.as_bytes()).ok());
    let retry_after = details.and_then(|details| Status::decode(details.as_slice()).ok()?.retry_delay());
    let message = header("grpc-message").map(|value| percent_decode_str(value.to_str().unwrap_or_default()));
    let message = message.map(|message| shown(&message.decode_utf8_lossy())).unwrap_or_default();
    let what = format!("the endpoint said {}: {message}", CODES.get(code).copied().unwrap_or("an unknown code"));
    match code {
        0 => accepted(&response.body),
        1 | 4 | 10 | 11 | 14 | 15 => Answer::Retry { after: retry_after, what },
        // Without RetryInfo it is a limit that the batch will always exceed.
        8 if retry_after.is_some() => Answer::Retry { after: retry_after, what },
        7 | 16 => Answer::Unusable { code: ExitCode::Denied, what },
        12 => Answer::Unusable { code: ExitCode::Failed, what },
        _ => Answer::Refused { what },
    }
}

fn accepted(body: &[u8]) -> Answer {
    // We offered no compression, so the flag is 0; an empty body is what some servers say for an empty message.
    let message = match body.split_at_checked(FRAME_HEADER) {
        Some((_, message)) => message,
        None => &[],
    };
    let (rejected, message) = read_partial(message).unwrap_or_default();
    Answer::Accepted { rejected, message: shown(&message) }
}

/// Reads an answer without `grpc-status`: a proxy's, or that of no gRPC server at all.
///
/// Source: the gRPC specification, "HTTP to gRPC Status Code Mapping".
fn no_grpc(response: &Response) -> Answer {
    let what = format!("the endpoint answered {} without a gRPC status", response.status);
    match response.status.as_u16() {
        429 | 502..=504 => Answer::Retry { after: None, what },
        401 | 403 => Answer::Unusable { code: ExitCode::Denied, what },
        _ => Answer::Unusable { code: ExitCode::Failed, what: format!("{what}; is it OTLP over HTTP?") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn check(trailers: &[(&'static str, &str)], body: &'static [u8], expected: &Answer) {
        let mut response = Response {
            status: http::StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body),
            trailers: HeaderMap::new(),
        };
        for (name, value) in trailers {
            response.trailers.insert(*name, value.parse().unwrap());
        }
        assert_eq!(answer(&response), *expected, "{trailers:?}");
    }

    /// A status with `RetryInfo` of 2.5 s, as it stands in the header, without padding.
    fn details() -> String {
        let info = [0x0a, 0x08, 0x08, 0x02, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01];
        let url = b"type.googleapis.com/google.rpc.RetryInfo";
        let any = [&[0x0a, u8::try_from(url.len()).unwrap()], url.as_slice(), &[0x12, 10], &info].concat();
        let status = [&[0x08, 14, 0x1a, u8::try_from(any.len()).unwrap()], any.as_slice()].concat();
        BASE64.encode(status).trim_end_matches('=').to_owned()
    }

    #[test]
    fn r07_codes_are_retried_as_otlp_says() {
        let what = |code: &str| format!("the endpoint said {code}: no way");
        let said = |number: &'static str| [("grpc-status", number), ("grpc-message", "no%20way")];
        for (number, code) in [
            ("1", "CANCELLED"),
            ("4", "DEADLINE_EXCEEDED"),
            ("10", "ABORTED"),
            ("11", "OUT_OF_RANGE"),
            ("14", "UNAVAILABLE"),
            ("15", "DATA_LOSS"),
        ] {
            check(&said(number), b"", &Answer::Retry { after: None, what: what(code) });
        }
        for (number, code) in
            [("2", "UNKNOWN"), ("3", "INVALID_ARGUMENT"), ("8", "RESOURCE_EXHAUSTED"), ("13", "INTERNAL")]
        {
            check(&said(number), b"", &Answer::Refused { what: what(code) });
        }
        check(&said("16"), b"", &Answer::Unusable { code: ExitCode::Denied, what: what("UNAUTHENTICATED") });
        check(&said("12"), b"", &Answer::Unusable { code: ExitCode::Failed, what: what("UNIMPLEMENTED") });
    }

    #[test]
    fn r08_retry_info_says_when_to_come_back() {
        let details = details();
        for (number, code) in [("14", "UNAVAILABLE"), ("8", "RESOURCE_EXHAUSTED")] {
            let expected = Answer::Retry {
                after: Some(Duration::from_millis(2_500)),
                what: format!("the endpoint said {code}: "),
            };
            check(&[("grpc-status", number), ("grpc-status-details-bin", &details)], b"", &expected);
        }
    }

    #[test]
    fn r06_partial_success_is_read() {
        let accepted = |rejected, message: &str| Answer::Accepted { rejected, message: message.to_owned() };
        check(&[("grpc-status", "0")], b"\0\0\0\0\x06\x0a\x04\x08\x03\x12\0", &accepted(3, ""));
        check(&[("grpc-status", "0")], b"\0\0\0\0\x00", &accepted(0, ""));
        check(&[("grpc-status", "0")], b"", &accepted(0, ""));
    }
}
