//! Spans that no other test sends, and the requests that carry them.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

/// The next span's id; no id is ever sent twice.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub(crate) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

/// A span with this id, whose name has `filler` bytes that hardly compress.
pub(crate) fn span(id: u64, filler: usize) -> Span {
    let (mut state, mut name) = (id | 1 << 40, String::with_capacity(filler + 16));
    while name.len() < filler {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Writing to a string cannot fail.
        let _ = write!(name, "{state:016x}");
    }
    name.truncate(filler);
    Span {
        trace_id: (u128::from(id) | 1 << 100).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        name,
        start_time_unix_nano: 1_800_000_000_000_000_000 + id,
        end_time_unix_nano: 1_800_000_000_000_000_500 + id,
        ..Span::default()
    }
}

/// A request with these spans, as a message.
pub(crate) fn message(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = ScopeSpans { spans, ..ScopeSpans::default() };
    let resource_spans = ResourceSpans { scope_spans: vec![scope_spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}
