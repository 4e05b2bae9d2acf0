//! The few protobuf messages of answers, as a client reads them.
//!
//! Sources: googleapis `google/rpc/status.proto`, `error_details.proto`; opentelemetry-proto `trace_service.proto`.

use std::time::Duration;

use prost::Message;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
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

impl Status {
    /// Returns when the endpoint asks to come back, if it does.
    pub(super) fn retry_delay(&self) -> Option<Duration> {
        let any = self.details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
        let delay = RetryInfo::decode(any.value.as_slice()).ok()?.retry_delay.unwrap_or_default();
        let (seconds, nanos) = (u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?);
        Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(u64::from(nanos))))
    }
}

/// Returns how many spans an answer says were rejected, and why; `None` where it is no such answer.
pub(super) fn partial_success(answer: &[u8]) -> Option<(u64, String)> {
    let PartialSuccess { rejected_spans, error_message } =
        ExportResponse::decode(answer).ok()?.partial_success.unwrap_or_default();
    Some((u64::try_from(rejected_spans).unwrap_or_default(), error_message))
}
