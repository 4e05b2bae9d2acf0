//! What was found out about chunks, so that it need not be read again, or is tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use tracing::warn;

use crate::archive::fs::FileId;
use crate::archive::name::{ChunkName, ChunkState};
use crate::archive::scan::Scan;
use crate::archive::snapshot::Counts;

/// What was found out about chunks and need not be read again.
#[derive(Default)]
pub(super) struct Known {
    /// Sealed chunks as a whole; they never change.
    pub(super) sealed: BTreeMap<ChunkName, (u64, Counts)>,
    /// Growing chunks, as far as they were read.
    pub(super) growing: BTreeMap<ChunkName, Growing>,
    /// Sealed chunks whose damage was logged.
    damaged: BTreeSet<ChunkName>,
    /// What could not be read of chunks when it was last tried.
    pub(super) failing: BTreeMap<ChunkName, Failing>,
}

/// The frames of a growing chunk, and what the file looked like when they were read.
pub(super) struct Growing {
    pub(super) id: FileId,
    pub(super) len: u64,
    pub(super) modified: Duration,
    pub(super) scan: Scan,
}

/// A range of a file that could not be read.
#[derive(Debug, Clone)]
pub(super) struct Failing {
    pub(super) id: FileId,
    pub(super) range: Range<u64>,
}

impl Known {
    /// Forgets what is known about a sealed chunk: recovery has put another file in its place.
    pub(super) fn forget(&mut self, name: &ChunkName) {
        self.sealed.remove(name);
    }

    /// Says once that a sealed chunk does not end as a writer leaves it.
    pub(super) fn note_damage(&mut self, name: &ChunkName) {
        if self.damaged.insert(name.clone()) {
            warn!(chunk = %name, "a sealed chunk is truncated or damaged: downloads hold the frames that are still found in it");
        }
    }

    /// Forgets chunks that are no longer there, so that memory follows the directory.
    pub(super) fn forget_others(&mut self, listed: &BTreeMap<ChunkName, ChunkState>) {
        self.sealed.retain(|name, _| listed.contains_key(name));
        self.damaged.retain(|name| listed.contains_key(name));
        self.failing.retain(|name, _| listed.contains_key(name));
        self.growing.retain(|name, _| listed.get(name).is_some_and(|&state| state != ChunkState::Sealed));
    }
}
