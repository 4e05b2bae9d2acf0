//! What a collector tells about itself: the JSON of `/api/v1/captures/{namespace}/{name}`.
//!
//! Names and units are those of the resource's status. Readers ignore fields that they
//! do not know and take absent ones as their defaults, so that a collector and an operator of
//! neighbouring versions understand each other.

use serde::{Deserialize, Serialize};

use super::capture::State;
use crate::clock::Timestamp;

/// Settings, inventory and health of one collector pod, as of its last sweep.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CollectorReport {
    /// Under which name it writes chunks.
    pub writer: String,
    /// Whether it takes spans in: what was asked for, or `Stopped` once the time to stop has come.
    pub state: State,
    /// The generation of the `TraceCapture` whose settings it works by; `None` outside of a cluster.
    pub generation: Option<i64>,
    /// The settings it works by.
    pub settings: ReportedSettings,
    /// Whether a span sent now would be stored.
    pub health: ReportedHealth,
    /// What lies on the volume, whoever wrote it.
    pub storage: ReportedStorage,
    /// What this pod received since it started.
    pub received: ReportedReceived,
    /// When this pod last stored a span; `None` where it has not since it started.
    pub last_span_time: Option<Timestamp>,
}

impl CollectorReport {
    /// Tells whether it works by settings of an earlier generation than this.
    pub(crate) fn is_behind(&self, generation: Option<i64>) -> bool {
        self.generation < generation
    }
}

/// The settings that a collector works by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReportedSettings {
    /// The largest request, after decompression, in bytes.
    pub max_request_bytes: u64,
    /// When a chunk is sealed.
    pub chunk: ReportedChunk,
    /// When chunks are deleted.
    pub retention: ReportedRetention,
    /// When chunks in progress count as orphans.
    pub recovery: ReportedRecovery,
}

/// When a chunk is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReportedChunk {
    /// The size in bytes.
    pub max_bytes: u64,
    /// The age in seconds.
    pub max_age_seconds: u64,
}

/// When chunks are deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReportedRetention {
    /// The size of all chunks in bytes.
    pub max_bytes: u64,
    /// The age in seconds; `None` keeps chunks of any age.
    pub max_age_seconds: Option<u64>,
}

/// When chunks in progress count as orphans.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReportedRecovery {
    /// For how many seconds nobody may have written to them.
    pub inactive_seconds: u64,
}

/// Whether a span sent now would be stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReportedHealth {
    /// The state of the volume as its last use showed it.
    pub storage: StorageHealth,
}

/// The state of the storage as its last use showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum StorageHealth {
    /// The last commit succeeded, or there was none yet.
    #[default]
    Ok,
    /// The volume is full: clients are told to come back.
    Full {
        /// What the operating system said, and where.
        message: String,
    },
    /// Writing, syncing or creating a chunk failed.
    Failed {
        /// What the operating system said, and where.
        message: String,
    },
}

/// What lies in the data directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReportedStorage {
    /// Bytes of all chunks, sealed, in progress and quarantined.
    pub used_bytes: u64,
    /// The limit that retention keeps.
    pub limit_bytes: u64,
    /// Sealed chunks.
    pub chunks: u64,
    /// Chunks that are being written or recovered.
    pub in_progress_chunks: u64,
    /// When the oldest chunk was begun.
    pub oldest_time: Option<Timestamp>,
    /// When the newest chunk was begun.
    pub newest_time: Option<Timestamp>,
    /// Chunks recovered since this process started.
    pub recovered_chunks: u64,
    /// Files in quarantine.
    pub quarantined_files: u64,
    /// Chunks deleted by retention since this process started.
    pub evicted_chunks: u64,
}

/// What a pod received since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReportedReceived {
    /// Spans received: those stored and those rejected.
    pub spans: u64,
    /// Spans stored.
    pub stored: u64,
    /// Spans rejected, for whatever reason.
    pub rejected: u64,
    /// Bytes of requests, after decompression.
    pub bytes: u64,
}
