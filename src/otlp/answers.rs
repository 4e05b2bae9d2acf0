//! The few protobuf messages of answers, and their JSON forms: what a collector makes, and a replay reads.
//!
//! Sources: googleapis `google/rpc/status.proto`, `error_details.proto`; opentelemetry-proto
//! `trace_service.proto`. Each message is written out here because a generator would bring thousands
//! of lines for four of them.

use std::time::Duration;

use prost::Message;
use serde_json::{Value, json};

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

impl Status {
    /// Returns when the endpoint asks to come back, if it does.
    pub(crate) fn retry_delay(&self) -> Option<Duration> {
        let any = self.details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
        let delay = RetryInfo::decode(any.value.as_slice()).ok()?.retry_delay.unwrap_or_default();
        let (seconds, nanos) = (u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?);
        Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(u64::from(nanos))))
    }
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<ProtoDuration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct ProtoDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// `google.rpc.BadRequest`.
#[derive(Clone, PartialEq, Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

/// `google.rpc.BadRequest.FieldViolation`.
#[derive(Clone, PartialEq, Message)]
struct FieldViolation {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    description: String,
}

/// `ExportTraceServiceResponse`.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// `ExportTracePartialSuccess`.
#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// What a status tells beside its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Nothing.
    None,
    /// When to come back: `RetryInfo`.
    Retry(Duration),
    /// That the body is bad: `BadRequest`.
    BadRequest,
}

/// Returns the protobuf form of a status.
pub(crate) fn status_protobuf(code: i32, message: &str, detail: &Detail) -> Vec<u8> {
    let any = |name: &str, value: Vec<u8>| Any { type_url: format!("type.googleapis.com/google.rpc.{name}"), value };
    let details = match detail {
        Detail::None => Vec::new(),
        Detail::Retry(delay) => {
            let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
            let nanos = i32::try_from(delay.subsec_nanos()).unwrap_or(0);
            let retry_delay = Some(ProtoDuration { seconds, nanos });
            vec![any("RetryInfo", RetryInfo { retry_delay }.encode_to_vec())]
        }
        Detail::BadRequest => {
            let violation = FieldViolation { field: "body".to_owned(), description: message.to_owned() };
            vec![any("BadRequest", BadRequest { field_violations: vec![violation] }.encode_to_vec())]
        }
    };
    Status { code, message: message.to_owned(), details }.encode_to_vec()
}

/// Returns the JSON form of a status.
pub(crate) fn status_json(code: i32, message: &str, detail: &Detail) -> Vec<u8> {
    let mut status = json!({ "code": code, "message": message });
    let detail = match detail {
        Detail::None => None,
        Detail::Retry(delay) => Some(json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": format!("{}s", delay.as_secs_f64()),
        })),
        Detail::BadRequest => Some(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{ "field": "body", "description": message }],
        })),
    };
    if let (Some(detail), Value::Object(fields)) = (detail, &mut status) {
        fields.insert("details".to_owned(), Value::Array(vec![detail]));
    }
    status.to_string().into_bytes()
}

/// Returns the protobuf form of a response with `partial_success`.
pub(crate) fn partial_protobuf(rejected: u64, message: &str) -> Vec<u8> {
    let rejected_spans = i64::try_from(rejected).unwrap_or(i64::MAX);
    let partial_success = Some(PartialSuccess { rejected_spans, error_message: message.to_owned() });
    ExportResponse { partial_success }.encode_to_vec()
}

/// Returns the JSON form of a response with `partialSuccess`; 64-bit integers are strings there.
pub(crate) fn partial_json(rejected: u64, message: &str) -> Vec<u8> {
    json!({ "partialSuccess": { "rejectedSpans": rejected.to_string(), "errorMessage": message } })
        .to_string()
        .into_bytes()
}

/// Returns how many spans a protobuf response says were rejected, and why; `None` where it is no such response.
pub(crate) fn read_partial(answer: &[u8]) -> Option<(u64, String)> {
    let PartialSuccess { rejected_spans, error_message } =
        ExportResponse::decode(answer).ok()?.partial_success.unwrap_or_default();
    Some((u64::try_from(rejected_spans).unwrap_or_default(), error_message))
}
