//! The two tables from outcome to answer: the only place that knows status codes.
//!
//! OTLP tells a client by the code alone whether to send again. Over gRPC that is `UNAVAILABLE`
//! (and never `INTERNAL` or `UNKNOWN` for what a disk does), over HTTP 503; everything else loses
//! the data, so it is used only where sending again could not help.
//!
//! Source: OTLP specification 1.11.0, "Failures" of both transports.

use std::time::Duration;

use http::StatusCode;

use super::outcome::{Outcome, Refusal};
use crate::otlp::Encoding;
use crate::otlp::answers::{Detail, partial_json, partial_protobuf, status_json, status_protobuf};

/// The longest message in an answer, in bytes.
///
/// It is all that a request can make long, so an answer is bounded before it is made: in the longest form a
/// few KiB, far below the 4 MiB that an answer may have, and below the 8 KiB of headers that gRPC clients read.
///
/// Source: OTLP specification 1.11.0, "OTLP/gRPC Response", "OTLP/HTTP Response".
const MAX_MESSAGE_LEN: usize = 1024;

/// Status codes of gRPC, as numbered in its `statuscodes.md`.
mod code {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const DEADLINE_EXCEEDED: i32 = 4;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(super) const UNIMPLEMENTED: i32 = 12;
    pub(super) const INTERNAL: i32 = 13;
    pub(super) const UNAVAILABLE: i32 = 14;
}

/// An answer in gRPC's words.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum GrpcAnswer {
    /// Status OK with this `ExportTraceServiceResponse`.
    Message(Vec<u8>),
    /// Another status.
    Status {
        /// The number for `grpc-status`.
        code: i32,
        /// The text for `grpc-message`, not yet escaped.
        message: String,
        /// The bytes for `grpc-status-details-bin`, where there is a detail.
        details: Option<Vec<u8>>,
    },
    /// The request is not gRPC at all: the answer is HTTP's.
    NotGrpc,
}

/// An answer in HTTP's words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HttpAnswer {
    /// The status.
    pub(super) status: StatusCode,
    /// The body: an `ExportTraceServiceResponse` or a `google.rpc.Status`.
    pub(super) body: Vec<u8>,
    /// Seconds for `Retry-After`, at least 1.
    pub(super) retry_after: Option<u64>,
}

/// Returns the answer over gRPC.
pub(super) fn grpc(outcome: &Outcome) -> GrpcAnswer {
    let (code, message, detail) = match outcome {
        Outcome::Accepted => return GrpcAnswer::Message(Vec::new()),
        Outcome::Partial { rejected, message } => {
            return GrpcAnswer::Message(partial_protobuf(*rejected, shortened(message)));
        }
        Outcome::Refused { refusal: Refusal::UnknownMediaType | Refusal::WrongMethod, .. } => {
            return GrpcAnswer::NotGrpc;
        }
        Outcome::RetryAfter { delay, reason } => (code::UNAVAILABLE, reason.message(), Detail::Retry(*delay)),
        Outcome::Refused { refusal, message } => (grpc_code(*refusal), shortened(message).to_owned(), detail(*refusal)),
    };
    let details = (detail != Detail::None).then(|| status_protobuf(code, &message, &detail));
    GrpcAnswer::Status { code, message, details }
}

/// Returns the answer over HTTP, in the request's encoding.
pub(super) fn http(outcome: &Outcome, encoding: Encoding) -> HttpAnswer {
    let (status, code, message, detail) = match outcome {
        Outcome::Accepted => return success(empty_response(encoding)),
        Outcome::Partial { rejected, message } => {
            return success(match encoding {
                Encoding::Protobuf => partial_protobuf(*rejected, shortened(message)),
                Encoding::Json => partial_json(*rejected, shortened(message)),
            });
        }
        Outcome::RetryAfter { delay, reason } => {
            (StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, reason.message(), Detail::Retry(*delay))
        }
        Outcome::Refused { refusal, message } => {
            (http_status(*refusal), grpc_code(*refusal), shortened(message).to_owned(), detail(*refusal))
        }
    };
    let body = match encoding {
        Encoding::Protobuf => status_protobuf(code, &message, &detail),
        Encoding::Json => status_json(code, &message, &detail),
    };
    let retry_after = if let Detail::Retry(delay) = detail { Some(whole_seconds(delay)) } else { None };
    HttpAnswer { status, body, retry_after }
}

fn grpc_code(refusal: Refusal) -> i32 {
    match refusal {
        Refusal::BadData | Refusal::UnknownMediaType => code::INVALID_ARGUMENT,
        // Without RetryInfo, so that a client gives up.
        Refusal::TooLarge => code::RESOURCE_EXHAUSTED,
        Refusal::UnknownCompression | Refusal::NotFound | Refusal::WrongMethod => code::UNIMPLEMENTED,
        // Source: gRPC `compression.md`.
        Refusal::UnnamedCompression => code::INTERNAL,
        Refusal::DeadlineExceeded => code::DEADLINE_EXCEEDED,
    }
}

fn http_status(refusal: Refusal) -> StatusCode {
    match refusal {
        Refusal::BadData | Refusal::UnnamedCompression => StatusCode::BAD_REQUEST,
        Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::UnknownCompression | Refusal::UnknownMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Refusal::NotFound => StatusCode::NOT_FOUND,
        Refusal::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
        Refusal::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
    }
}

fn detail(refusal: Refusal) -> Detail {
    if refusal == Refusal::BadData { Detail::BadRequest } else { Detail::None }
}

fn success(body: Vec<u8>) -> HttpAnswer {
    HttpAnswer { status: StatusCode::OK, body, retry_after: None }
}

fn empty_response(encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Protobuf => Vec::new(),
        Encoding::Json => b"{}".to_vec(),
    }
}

/// Rounds up and never to zero: clients truncate, and zero would bring them back at once.
fn whole_seconds(delay: Duration) -> u64 {
    delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0)).max(1)
}

/// Cuts a message at a character's border.
fn shortened(message: &str) -> &str {
    message.get(..message.floor_char_boundary(MAX_MESSAGE_LEN)).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::outcome::RetryReason;
    use super::super::queue::NotStored;
    use super::*;
    use crate::otlp::answers::Status;

    const ALL_REFUSALS: [(Refusal, i32, u16); 8] = [
        (Refusal::BadData, 3, 400),
        (Refusal::TooLarge, 8, 413),
        (Refusal::UnknownCompression, 12, 415),
        (Refusal::UnnamedCompression, 13, 400),
        (Refusal::UnknownMediaType, 3, 415),
        (Refusal::NotFound, 12, 404),
        (Refusal::WrongMethod, 12, 405),
        (Refusal::DeadlineExceeded, 4, 504),
    ];

    const ALL_RETRIES: [RetryReason; 6] = [
        RetryReason::Overloaded,
        RetryReason::Stopped,
        RetryReason::Incomplete,
        RetryReason::NotStored(NotStored::VolumeFull),
        RetryReason::NotStored(NotStored::StorageFailed),
        RetryReason::NotStored(NotStored::Draining),
    ];

    fn status_of(answer: &HttpAnswer) -> Status {
        Status::decode(&*answer.body).unwrap()
    }

    #[test]
    fn refusals_have_their_codes_and_never_ask_to_come_back() {
        for (refusal, code, status) in ALL_REFUSALS {
            let outcome = Outcome::refused(refusal, "why");
            let over_http = http(&outcome, Encoding::Protobuf);
            assert_eq!((over_http.status.as_u16(), over_http.retry_after), (status, None), "{refusal:?}");
            assert_eq!((status_of(&over_http).code, &*status_of(&over_http).message), (code, "why"));
            match grpc(&outcome) {
                GrpcAnswer::Status { code: over_grpc, details, .. } => {
                    assert_eq!(over_grpc, code, "{refusal:?}");
                    assert_eq!(details.is_some(), refusal == Refusal::BadData, "{refusal:?}");
                }
                GrpcAnswer::NotGrpc => assert!([405, 415].contains(&status), "{refusal:?}"),
                GrpcAnswer::Message(_) => panic!("{refusal:?} is a success"),
            }
        }
    }

    #[test]
    fn what_may_succeed_later_is_retryable_on_both_transports() {
        for reason in ALL_RETRIES {
            let outcome = Outcome::retry(reason);
            let over_http = http(&outcome, Encoding::Json);
            assert_eq!((over_http.status.as_u16(), over_http.retry_after), (503, Some(reason.delay().as_secs())));
            let GrpcAnswer::Status { code, details: Some(details), .. } = grpc(&outcome) else {
                panic!("{reason:?} has no details")
            };
            let status = Status::decode(&*details).unwrap();
            assert_eq!((code, status.code), (14, 14));
            assert_eq!(status.details[0].type_url, "type.googleapis.com/google.rpc.RetryInfo");
        }
    }

    #[test]
    fn a_delay_is_rounded_up_and_never_zero() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (60_000, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }

    #[test]
    fn success_leaves_partial_success_unset() {
        assert_eq!(grpc(&Outcome::Accepted), GrpcAnswer::Message(Vec::new()));
        assert_eq!(http(&Outcome::Accepted, Encoding::Json).body, b"{}");
        assert_eq!(http(&Outcome::Accepted, Encoding::Protobuf).body, b"");
    }

    #[test]
    fn partial_success_tells_how_many_and_why() {
        let outcome = Outcome::Partial { rejected: 3, message: "bad ids".to_owned() };
        let json: serde_json::Value = serde_json::from_slice(&http(&outcome, Encoding::Json).body).unwrap();
        assert_eq!(json["partialSuccess"]["rejectedSpans"], "3");
        assert_eq!(json["partialSuccess"]["errorMessage"], "bad ids");
        assert_eq!(grpc(&outcome), GrpcAnswer::Message(b"\x0a\x0b\x08\x03\x12\x07bad ids".to_vec()));
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let outcome = Outcome::refused(Refusal::BadData, "ü".repeat(5_000) + "x");
        assert_eq!(status_of(&http(&outcome, Encoding::Protobuf)).message, "ü".repeat(512));
    }
}
