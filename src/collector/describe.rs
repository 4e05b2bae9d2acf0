//! What a collector tells about itself: the JSON of `/api/v1/captures/{namespace}/{name}`.
//!
//! Names and units are those of the resource's status.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::{Value, json};

use super::health::Health;
use super::share::Share;
use crate::api::State;
use crate::archive::catalog::{Chunk, Inventory};
use crate::archive::name::ChunkState;
use crate::settings::LiveSettings;
use crate::telemetry::metrics::{ReceiveMetrics, StorageMetrics};

/// Where the figures come from.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) settings: Arc<ArcSwap<LiveSettings>>,
    pub(super) inventory: Arc<ArcSwap<Inventory>>,
    pub(super) health: Health,
    pub(super) share: Share,
    pub(super) received: ReceiveMetrics,
    pub(super) stored: StorageMetrics,
}

impl Sources {
    /// Tells whether the capture takes no spans.
    pub(super) fn is_stopped(&self) -> bool {
        self.settings.load().state == State::Stopped
    }

    /// Returns settings, inventory and health as of the keeper's last sweep.
    pub(super) fn describe(&self) -> Value {
        let live = self.settings.load();
        json!({
            "state": if live.state == State::Stopped { "Stopped" } else { "Running" },
            "settings": {
                "maxRequestBytes": live.max_request_bytes.0,
                "chunk": { "maxBytes": live.chunk.max_bytes.0, "maxAgeSeconds": live.chunk.max_age.as_secs() },
                "retention": {
                    "maxBytes": live.retention.max_bytes.0,
                    "maxAgeSeconds": live.retention.max_age.map(|age| age.as_secs()),
                },
                "recovery": { "inactiveSeconds": live.recovery.inactive.as_secs() },
            },
            "health": { "storage": self.health.storage() },
            "storage": self.storage(live.retention.max_bytes.0),
            "received": {
                "spans": self.received.received_spans.get(),
                "stored": self.received.stored_spans.get(),
                "rejected": self.received.rejected_total(),
                "bytes": self.received.inflated_bytes.get(),
            },
        })
    }

    fn storage(&self, limit_bytes: u64) -> Value {
        let inventory = self.inventory.load();
        let count = |state| inventory.chunks.iter().filter(|chunk| chunk.state == state).count();
        let started = |chunk: Option<&Chunk>| chunk.map(|chunk| chunk.name.started());
        json!({
            "usedBytes": inventory.total_bytes(),
            "limitBytes": limit_bytes,
            "chunks": count(ChunkState::Sealed),
            "inProgressChunks": count(ChunkState::InProgress) + count(ChunkState::Recovering),
            "oldestTime": started(inventory.chunks.first()),
            "newestTime": started(inventory.chunks.last()),
            "recoveredChunks": self.stored.recovered.get(),
            "quarantinedFiles": inventory.quarantine.len(),
            "evictedChunks": self.stored.evicted_total(),
        })
    }
}
