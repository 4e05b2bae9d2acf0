//! What a collector tells about itself: the JSON of `/api/v1/captures/{namespace}/{name}`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use serde_json::Value;

use super::health::{Health, StorageHealth};
use super::queue::NotStored;
use super::share::Share;
use crate::api::State;
use crate::api::report::{
    CollectorReport, ReportedChunk, ReportedHealth, ReportedReceived, ReportedRecovery, ReportedRetention,
    ReportedSettings, ReportedStorage,
};
use crate::archive::catalog::{Chunk, Inventory};
use crate::archive::name::ChunkState;
use crate::clock::Timestamp;
use crate::ids::WriterId;
use crate::settings::LiveSettings;
use crate::telemetry::metrics::{ReasonLabel, ReceiveMetrics, StorageMetrics};

/// Where the figures come from.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) writer: WriterId,
    pub(super) settings: Arc<ArcSwap<LiveSettings>>,
    pub(super) inventory: Arc<ArcSwap<Inventory>>,
    pub(super) health: Health,
    pub(super) last_stored: LastStored,
    pub(super) share: Share,
    pub(super) received: ReceiveMetrics,
    pub(super) stored: StorageMetrics,
}

/// When a span was last stored, from the appender to whoever asks.
#[derive(Debug, Clone, Default)]
pub(super) struct LastStored(Arc<AtomicU64>);

impl LastStored {
    /// Notes that spans were stored.
    pub(super) fn note(&self, now: Timestamp) {
        self.0.store(now.as_unix_nanos(), Ordering::Relaxed);
    }

    fn time(&self) -> Option<Timestamp> {
        let nanos = self.0.load(Ordering::Relaxed);
        (nanos > 0).then_some(Timestamp::from_unix_nanos(nanos))
    }
}

impl Sources {
    /// Tells whether the capture takes no spans.
    pub(super) fn is_stopped(&self) -> bool {
        self.settings.load().state == State::Stopped
    }

    /// Brings the gauges of the storage's health up to date, for somebody who is about to read them.
    pub(super) fn refresh(&self) {
        let health = self.health.storage();
        // Nobody misses room where nothing is to be written.
        let is_full = matches!(health, StorageHealth::Full { .. }) && !self.is_stopped();
        let is_failed = matches!(health, StorageHealth::Failed { .. });
        for (fault, holds) in [(NotStored::VolumeFull, is_full), (NotStored::StorageFailed, is_failed)] {
            self.stored.faults.get_or_create(&ReasonLabel { reason: fault.reason() }).set(holds.into());
        }
    }

    /// Returns the report as JSON.
    pub(super) fn describe(&self) -> Value {
        // A struct of strings, numbers and times always has a JSON form.
        serde_json::to_value(self.report()).unwrap_or_default()
    }

    /// Returns settings, inventory and health as of the keeper's last sweep.
    fn report(&self) -> CollectorReport {
        let live = self.settings.load();
        CollectorReport {
            writer: self.writer.to_string(),
            state: live.state,
            generation: live.generation,
            settings: settings(&live),
            health: ReportedHealth { storage: self.health.storage() },
            storage: self.storage(live.retention.max_bytes.0),
            received: ReportedReceived {
                spans: self.received.received_spans.get(),
                stored: self.received.stored_spans.get(),
                rejected: self.received.rejected_total(),
                bytes: self.received.inflated_bytes.get(),
            },
            last_span_time: self.last_stored.time(),
        }
    }

    fn storage(&self, limit_bytes: u64) -> ReportedStorage {
        let inventory = self.inventory.load();
        let count = |state| inventory.chunks.iter().filter(|chunk| chunk.state == state).count() as u64;
        let started = |chunk: Option<&Chunk>| chunk.map(|chunk| chunk.name.started());
        ReportedStorage {
            used_bytes: inventory.total_bytes(),
            limit_bytes,
            chunks: count(ChunkState::Sealed),
            in_progress_chunks: count(ChunkState::InProgress) + count(ChunkState::Recovering),
            oldest_time: started(inventory.chunks.first()),
            newest_time: started(inventory.chunks.last()),
            recovered_chunks: self.stored.recovered.get(),
            quarantined_files: inventory.quarantine.len() as u64,
            evicted_chunks: self.stored.evicted_total(),
        }
    }
}

fn settings(live: &LiveSettings) -> ReportedSettings {
    ReportedSettings {
        max_request_bytes: live.max_request_bytes.0,
        chunk: ReportedChunk { max_bytes: live.chunk.max_bytes.0, max_age_seconds: live.chunk.max_age.as_secs() },
        retention: ReportedRetention {
            max_bytes: live.retention.max_bytes.0,
            max_age_seconds: live.retention.max_age.map(|age| age.as_secs()),
        },
        recovery: ReportedRecovery { inactive_seconds: live.recovery.inactive.as_secs() },
    }
}
