//! What the operator counts.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Buckets of the duration of a visit in seconds: from a quiet cluster to the limit of a visit.
const VISIT_SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0];

/// A capture: as many values as there are captures.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CaptureLabels {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A kind of failure: one of a small fixed set of words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ErrorLabel {
    /// The word.
    pub error: &'static str,
}

/// A kind that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// The kind.
    pub kind: &'static str,
}

/// Counters and gauges of the operator; clones share their values.
#[derive(Debug, Clone)]
pub struct OperatorMetrics {
    /// Visits that ended, well or not.
    pub visits: Counter,
    /// Visits, and writes of single objects, that failed, by kind of failure.
    pub errors: Family<ErrorLabel, Counter>,
    /// Seconds of a visit.
    pub visit_seconds: Histogram,
    /// Captures that are due and wait for a visit.
    pub queue_depth: Gauge,
    /// Visits that run now.
    pub active: Gauge,
    /// Captures that are known.
    pub captures: Gauge,
    /// When each capture was last visited with success, in Unix seconds.
    pub last_success: Family<CaptureLabels, Gauge<u64, AtomicU64>>,
    /// Whether each capture that is to take spans takes them: 1 where its condition `Ready` is `True`, else 0.
    pub capture_ready: Family<CaptureLabels, Gauge>,
    /// Failures of watches, by kind.
    pub watch_errors: Family<KindLabel, Counter>,
    /// Seconds since a watch brought something, by kind.
    pub watch_age: Family<KindLabel, Gauge<i64, AtomicI64>>,
    /// 1 while this replica leads, else 0.
    pub leader: Gauge,
    beats: Beats,
}

/// When each watch brought something last, on one monotonic clock.
#[derive(Debug, Clone, Default)]
struct Beats(Arc<Mutex<Vec<(&'static str, Duration)>>>);

impl OperatorMetrics {
    /// Makes the families and registers them under `operator_…`; the registry brings the prefix of the program.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            visits: Counter::default(),
            errors: Family::default(),
            visit_seconds: Histogram::new(VISIT_SECONDS),
            queue_depth: Gauge::default(),
            active: Gauge::default(),
            captures: Gauge::default(),
            last_success: Family::default(),
            capture_ready: Family::default(),
            watch_errors: Family::default(),
            watch_age: Family::default(),
            leader: Gauge::default(),
            beats: Beats::default(),
        };
        let operator = registry.sub_registry_with_prefix("operator");
        operator.register("reconciles", "Visits of a capture that ended, well or not", metrics.visits.clone());
        operator.register(
            "reconcile_errors",
            "Visits and single writes of a capture that failed",
            metrics.errors.clone(),
        );
        let (seconds, visit_seconds) = (Unit::Seconds, metrics.visit_seconds.clone());
        operator.register_with_unit("reconcile", "Duration of a visit", seconds, visit_seconds);
        operator.register("queue_depth", "Captures that are due and wait for a visit", metrics.queue_depth.clone());
        operator.register("reconciles_active", "Visits that run now", metrics.active.clone());
        operator.register("captures", "Captures that are known", metrics.captures.clone());
        operator.register_with_unit(
            "last_success_timestamp",
            "When a capture was last visited with success, in Unix time",
            Unit::Seconds,
            metrics.last_success.clone(),
        );
        operator.register(
            "capture_ready",
            "1 where a capture that is to take spans is Ready, 0 where it is not",
            metrics.capture_ready.clone(),
        );
        operator.register("watch_errors", "Failures of watches", metrics.watch_errors.clone());
        operator.register_with_unit(
            "watch_event_age",
            "Time since a watch brought something",
            Unit::Seconds,
            metrics.watch_age.clone(),
        );
        operator.register("leader", "1 while this replica leads", metrics.leader.clone());
        metrics
    }

    /// Counts a failed visit.
    pub fn failed(&self, error: &'static str) {
        self.errors.get_or_create(&ErrorLabel { error }).inc();
    }

    /// Notes that a watch brought something.
    pub fn beat(&self, kind: &'static str, now: Duration) {
        let mut beats = self.beats.0.lock().unwrap_or_else(PoisonError::into_inner);
        match beats.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, at)) => *at = now,
            None => beats.push((kind, now)),
        }
    }

    /// Brings the ages of watches up to date, for somebody who is about to read them.
    pub fn refresh(&self, now: Duration) {
        let beats = self.beats.0.lock().unwrap_or_else(PoisonError::into_inner);
        for &(kind, at) in beats.iter() {
            let seconds = i64::try_from(now.saturating_sub(at).as_secs()).unwrap_or(i64::MAX);
            self.watch_age.get_or_create(&KindLabel { kind }).set(seconds);
        }
    }

    /// Notes when a capture was visited with success.
    pub fn succeeded(&self, namespace: &str, name: &str, unix_seconds: u64) {
        self.last_success.get_or_create(&labels(namespace, name)).set(unix_seconds);
    }

    /// Notes that a capture takes spans.
    pub fn ready(&self, namespace: &str, name: &str) {
        self.capture_ready.get_or_create(&labels(namespace, name)).set(1);
    }

    /// Notes that a capture is to take spans, and takes none as far as is known.
    pub fn not_ready(&self, namespace: &str, name: &str) {
        self.capture_ready.get_or_create(&labels(namespace, name)).set(0);
    }

    /// Notes that a capture is to take no spans: nobody is to be alarmed that it takes none.
    pub fn not_wanted(&self, namespace: &str, name: &str) {
        self.capture_ready.remove(&labels(namespace, name));
    }

    /// Forgets a capture that is gone, so that there are never more labels than captures.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.last_success.remove(&labels(namespace, name));
        self.capture_ready.remove(&labels(namespace, name));
    }
}

fn labels(namespace: &str, name: &str) -> CaptureLabels {
    CaptureLabels { namespace: namespace.to_owned(), name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_exposed_and_captures_forgotten() {
        let mut registry = Registry::with_prefix("tracecapture");
        let metrics = OperatorMetrics::register(&mut registry);
        metrics.failed("Forbidden");
        metrics.beat("Pod", Duration::from_secs(10));
        metrics.refresh(Duration::from_secs(52));
        metrics.succeeded("shop", "checkout", 7);
        metrics.succeeded("shop", "gone", 7);
        metrics.not_ready("shop", "checkout");
        metrics.ready("shop", "gone");
        metrics.forget("shop", "gone");
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "tracecapture_operator_reconcile_errors_total{error=\"Forbidden\"} 1",
            "tracecapture_operator_watch_event_age_seconds{kind=\"Pod\"} 42",
            "tracecapture_operator_last_success_timestamp_seconds{namespace=\"shop\",name=\"checkout\"} 7",
            "tracecapture_operator_capture_ready{namespace=\"shop\",name=\"checkout\"} 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("gone"), "{text}");
    }
}
