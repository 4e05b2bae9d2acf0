//! What the appender and the keeper count.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::ReasonLabel;

/// Buckets of commit durations in seconds: from a local SSD to a network volume in trouble.
const COMMIT_SECONDS: [f64; 12] = [0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.25, 1.0, 10.0];

/// Why retention deletes.
const EVICTION_CAUSES: [&str; 4] = ["size", "volume", "age", "clear"];

/// Why something happened: one of a small fixed set of words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CauseLabel {
    /// The word.
    pub cause: &'static str,
}

/// In which state chunks or bytes are: one of a small fixed set of words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabel {
    /// The word.
    pub state: &'static str,
}

/// A gauge of a size or a time.
type Size = Gauge<u64, AtomicU64>;

/// Counters and gauges of the storage; clones share their values.
#[derive(Debug, Clone)]
pub struct StorageMetrics {
    /// Group commits that succeeded.
    pub commits: Counter,
    /// Group commits that failed, by cause.
    pub commit_failures: Family<CauseLabel, Counter>,
    /// Seconds from the write of a group to the end of its sync.
    pub commit_seconds: Histogram,
    /// Bytes of lines that were committed, before compression.
    pub line_bytes: Counter,
    /// Bytes that commits added to chunks.
    pub chunk_bytes: Counter,
    /// Chunks sealed, by cause.
    pub sealed: Family<CauseLabel, Counter>,
    /// Chunks recovered from what a crash left.
    pub recovered: Counter,
    /// Attempts to recover a chunk that failed and will be repeated.
    pub recovery_failures: Counter,
    /// Chunks deleted by retention, by cause.
    pub evicted: Family<CauseLabel, Counter>,
    /// Bytes deleted by retention, by cause.
    pub evicted_bytes: Family<CauseLabel, Counter>,
    /// Chunks in the data directory, by state.
    pub chunks: Family<StateLabel, Size>,
    /// Bytes in the data directory, by state.
    pub bytes: Family<StateLabel, Size>,
    /// The limit that retention keeps, in bytes.
    pub limit_bytes: Size,
    /// Bytes that can still be written to the volume.
    pub free_bytes: Size,
    /// 1 where the storage keeps spans away for this reason, else 0.
    pub faults: Family<ReasonLabel, Gauge>,
}

impl StorageMetrics {
    /// Makes the families and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            commits: Counter::default(),
            commit_failures: Family::default(),
            commit_seconds: Histogram::new(COMMIT_SECONDS),
            line_bytes: Counter::default(),
            chunk_bytes: Counter::default(),
            sealed: Family::default(),
            recovered: Counter::default(),
            recovery_failures: Counter::default(),
            evicted: Family::default(),
            evicted_bytes: Family::default(),
            chunks: Family::default(),
            bytes: Family::default(),
            limit_bytes: Size::default(),
            free_bytes: Size::default(),
            faults: Family::default(),
        };
        metrics.register_commits(registry);
        metrics.register_directory(registry);
        metrics
    }

    /// Returns how many chunks retention deleted, whatever the cause.
    pub fn evicted_total(&self) -> u64 {
        EVICTION_CAUSES.iter().map(|&cause| self.evicted.get_or_create(&CauseLabel { cause }).get()).sum()
    }

    fn register_commits(&self, registry: &mut Registry) {
        registry.register("commits", "Group commits that succeeded", self.commits.clone());
        registry.register("commit_failures", "Group commits that failed", self.commit_failures.clone());
        registry.register_with_unit(
            "commit",
            "Time from the write of a group to the end of its sync",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        registry.register("committed_line_bytes", "Bytes of lines committed, uncompressed", self.line_bytes.clone());
        registry.register("committed_chunk_bytes", "Bytes that commits added to chunks", self.chunk_bytes.clone());
        registry.register("chunks_sealed", "Chunks sealed", self.sealed.clone());
    }

    fn register_directory(&self, registry: &mut Registry) {
        registry.register("chunks_recovered", "Chunks recovered after a crash", self.recovered.clone());
        registry.register(
            "recovery_failures",
            "Recoveries that failed and are tried again",
            self.recovery_failures.clone(),
        );
        registry.register("chunks_evicted", "Chunks deleted by retention", self.evicted.clone());
        registry.register("evicted_bytes", "Bytes deleted by retention", self.evicted_bytes.clone());
        registry.register("chunks", "Chunks in the data directory", self.chunks.clone());
        registry.register_with_unit("storage", "Bytes in the data directory", Unit::Bytes, self.bytes.clone());
        registry.register_with_unit(
            "storage_limit",
            "The limit that retention keeps",
            Unit::Bytes,
            self.limit_bytes.clone(),
        );
        registry.register("storage_fault", "1 where the storage keeps spans away for this reason", self.faults.clone());
        registry.register_with_unit(
            "volume_free",
            "Bytes that can still be written",
            Unit::Bytes,
            self.free_bytes.clone(),
        );
    }
}
