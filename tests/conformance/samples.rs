//! Requests to send, each with a trace id of its own.

use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::{Value, json};

/// The limit that the specification recommends.
pub(crate) const MAX_BYTES: usize = 64 << 20;

/// Held by tests that send the largest bodies: two at a time are more than a receiver has to hold.
pub(crate) static LARGE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Returns a trace id that no other test uses, as 32 lower-case hexadecimal digits.
pub(crate) fn trace_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{:016x}{:016x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Returns the bytes that hexadecimal digits stand for.
pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    digits.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// A span that is valid.
pub(crate) fn span(trace_id: &str) -> Span {
    Span {
        trace_id: unhex(trace_id),
        span_id: vec![1, 2, 3, 4, 5, 6, 7, 8],
        name: "GET /checkout".to_owned(),
        kind: 2,
        start_time_unix_nano: 1_795_257_045_000_000_001,
        end_time_unix_nano: 1_795_257_045_000_000_002,
        ..Span::default()
    }
}

/// A request of these spans.
pub(crate) fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
}

/// The protobuf bytes of a request with one valid span.
pub(crate) fn protobuf() -> Vec<u8> {
    request(vec![span(&trace_id())]).encode_to_vec()
}

/// The bytes of a valid request of more than `len` bytes, in one attribute-free span name.
pub(crate) fn protobuf_of(len: usize) -> Vec<u8> {
    request(vec![Span { name: "x".repeat(len), ..span(&trace_id()) }]).encode_to_vec()
}

/// The JSON form of a request of these spans.
pub(crate) fn json_request(spans: &[Value]) -> Value {
    json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] })
}

/// The JSON form of a valid span, with these fields beside or instead.
pub(crate) fn json_span(trace_id: &str, fields: &Value) -> Value {
    let mut span = json!({ "traceId": trace_id, "spanId": "0102030405060708", "name": "GET /checkout" });
    for (key, value) in fields.as_object().unwrap() {
        span[key] = value.clone();
    }
    span
}
