//! Metrics of the OTLP endpoint.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Labels of an answered request; both come from closed sets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AnswerLabels {
    /// `grpc` or `http`.
    pub transport: &'static str,
    /// `Accepted`, `Partial`, or the reason of a refusal.
    pub answer: &'static str,
}

/// Why spans are not stored: one of a small fixed set of words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// `InvalidId`, or the reason why a whole request has to come again.
    pub reason: &'static str,
}

/// Every reason of [`ReasonLabel`].
const REJECTION_REASONS: [&str; 6] = ["InvalidId", "Overloaded", "Stopped", "VolumeFull", "StorageFailed", "Draining"];

/// Counters and gauges of the OTLP endpoint; clones count into the same families.
#[derive(Debug, Clone, Default)]
pub struct ReceiveMetrics {
    /// Requests by transport and answer.
    pub requests: Family<AnswerLabels, Counter>,
    /// Spans of requests that could be decoded; each is stored or rejected once its request is answered.
    pub received_spans: Counter,
    /// Spans that are stored.
    pub stored_spans: Counter,
    /// Spans that are not stored, by reason: alone for an invalid id, or with their whole request.
    pub rejected_spans: Family<ReasonLabel, Counter>,
    /// Links left out because of an invalid id.
    pub dropped_links: Counter,
    /// Strings in which invalid UTF-8 was replaced.
    pub repaired_strings: Counter,
    /// Spans that alone are longer than a line should be.
    pub oversized_spans: Counter,
    /// References into a string table, which traces do not have.
    pub string_references: Counter,
    /// Bytes of bodies as they came over the wire.
    pub wire_bytes: Counter,
    /// Bytes of bodies once inflated.
    pub inflated_bytes: Counter,
    /// Bytes of requests, and of lines made from them, that are in memory.
    pub in_flight_bytes: Gauge<u64, AtomicU64>,
    /// Open connections.
    pub connections: Gauge,
    /// Connections closed at once because too many were open.
    pub refused_connections: Counter,
}

impl ReceiveMetrics {
    /// Counts spans that are not stored.
    pub fn reject(&self, reason: &'static str, spans: u64) {
        if spans > 0 {
            self.rejected_spans.get_or_create(&ReasonLabel { reason }).inc_by(spans);
        }
    }

    /// Returns how many spans were not stored, whatever the reason.
    pub fn rejected_total(&self) -> u64 {
        REJECTION_REASONS.iter().map(|&reason| self.rejected_spans.get_or_create(&ReasonLabel { reason }).get()).sum()
    }

    /// Registers the families under `receive_…`; the registry brings the prefix of the program.
    pub fn register(&self, registry: &mut Registry) {
        let receive = registry.sub_registry_with_prefix("receive");
        receive.register("requests", "Requests by transport and answer", self.requests.clone());
        let counters = [
            ("received_spans", "Spans of requests that could be decoded", &self.received_spans),
            ("stored_spans", "Spans acknowledged after they were stored", &self.stored_spans),
            ("dropped_links", "Links left out because of an invalid id", &self.dropped_links),
            ("repaired_strings", "Strings in which invalid UTF-8 was replaced", &self.repaired_strings),
            ("oversized_spans", "Spans longer than a line should be", &self.oversized_spans),
            ("string_references", "References into a string table, ignored", &self.string_references),
            ("wire_bytes", "Bytes of request bodies on the wire", &self.wire_bytes),
            ("inflated_bytes", "Bytes of request bodies once inflated", &self.inflated_bytes),
            ("refused_connections", "Connections closed because too many were open", &self.refused_connections),
        ];
        for (name, help, counter) in counters {
            receive.register(name, help, counter.clone());
        }
        receive.register("rejected_spans", "Spans that are not stored", self.rejected_spans.clone());
        receive.register("in_flight_bytes", "Bytes of requests in memory", self.in_flight_bytes.clone());
        receive.register("connections", "Open connections", self.connections.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_exposed_with_their_labels() {
        let (metrics, mut registry) = (ReceiveMetrics::default(), Registry::with_prefix("tracecapture"));
        metrics.register(&mut registry);
        metrics.requests.get_or_create(&AnswerLabels { transport: "grpc", answer: "Accepted" }).inc();
        metrics.in_flight_bytes.set(7);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "tracecapture_receive_requests_total{transport=\"grpc\",answer=\"Accepted\"} 1",
            "tracecapture_receive_in_flight_bytes 7",
            "tracecapture_receive_stored_spans_total 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
