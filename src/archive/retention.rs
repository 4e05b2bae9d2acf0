//! Retention: which chunks go, oldest first, until size and age are within limits.
//!
//! [`plan`] is pure and goes by names and sizes alone; [`carry_out`] deletes, which needs
//! no free space. The age of a chunk is that of its name, so nothing depends on the times
//! of files. Two keepers at once make the same plan, and deleting twice is deleting once.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::catalog::{Chunk, Inventory, Quarantined};
use super::fs::Fs;
use super::layout;
use super::name::{ChunkName, ChunkState};
use crate::clock::Timestamp;

/// What retention keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Everything in the directory together, in bytes.
    pub max_bytes: u64,
    /// The age from which on a chunk goes; `None` for no limit.
    pub max_age: Option<Duration>,
    /// Chunks begun before this instant go; set only while the capture is stopped.
    pub clear_before: Option<Timestamp>,
    /// How long a chunk may become: so much is kept free for the next one.
    pub headroom: u64,
    /// The volume, which may be smaller than `max_bytes`; `None` where it shall not count.
    pub volume: Option<VolumeLimits>,
}

/// What retention keeps to on a volume that is short of room. All in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeLimits {
    /// What the volume has left.
    pub free: u64,
    /// What it is to have left at the least, besides what chunks in progress may grow by.
    pub keep_free: u64,
    /// How much of ours stays at the least: others may be what fills the volume, and our chunks
    /// would only make room for them.
    pub keep_ours: u64,
}

/// What is known of chunks besides what the directory says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Held by running downloads.
    pub pinned: BTreeSet<ChunkName>,
    /// Recovery could make nothing of them: unreadable, or of a later format.
    pub unrecovered: BTreeSet<ChunkName>,
    /// Claimed by recovery, which found no room for a copy.
    pub waiting: BTreeSet<ChunkName>,
}

/// Why something goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The size limit.
    Size,
    /// The volume is smaller than the size limit.
    Volume,
    /// The age limit.
    Age,
    /// The user cleared what was captured before.
    Clear,
}

/// What goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A sealed chunk.
    Chunk(ChunkName),
    /// A chunk that was claimed by recovery, and is not sealed.
    Claimed(ChunkName),
    /// A file of the quarantine, by name.
    Quarantined(String),
}

/// One deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eviction {
    /// What goes.
    pub target: Target,
    /// How many bytes that frees.
    pub len: u64,
    /// Why.
    pub cause: Cause,
}

/// What was deleted, and what could not be.
#[derive(Debug, Default)]
pub struct Evicted {
    /// Deletions done, among them those that somebody else had done.
    pub done: Vec<Eviction>,
    /// Paths that could not be removed, or directories that could not be synced: the next sweep tries again.
    pub failed: Vec<(PathBuf, io::Error)>,
}

impl Cause {
    /// Returns the stable lower-case word for logs and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Volume => "volume",
            Self::Age => "age",
            Self::Clear => "clear",
        }
    }
}

/// Decides what goes, oldest first.
///
/// Of each writer one chunk in progress counts as what it may grow to, and is left alone. A wall
/// clock that was set back makes every chunk young, which stops the age limit and nothing else.
///
/// Pinned chunks stay beyond the limits of size and age, which are exceeded by their length at the
/// most, for as long as whoever keeps the pins allows. They go where the volume has no room, because
/// there the newest would be lost instead, and where they are cleared, because somebody wants them gone.
///
/// A chunk that recovery has claimed has no writer any more. It goes where it is cleared; once recovery was
/// tried in vain, it goes like any other: younger ones must not make room for it.
pub fn plan(inventory: &Inventory, known: &Known, limits: &Limits, now: Timestamp) -> Vec<Eviction> {
    let mut shortage = Shortage::of(inventory, known, limits);
    let (mut evictions, mut young) = (Vec::new(), Vec::new());
    for candidate in oldest_first(inventory) {
        match candidate.due(known, limits, now) {
            Some(cause) => {
                shortage.relieve(candidate, known, limits);
                evictions.push(candidate.evict(cause));
            }
            None if candidate.may_be_recovered(known) => {}
            None => young.push(candidate),
        }
    }
    for candidate in young {
        match shortage.cause(candidate.is_among(&known.pinned)) {
            Some(cause) => {
                shortage.relieve(candidate, known, limits);
                evictions.push(candidate.evict(cause));
            }
            None => shortage.spare(candidate),
        }
    }
    evictions
}

/// Deletes, then syncs the directories.
///
/// Goes on after a failure; that something is gone already is none.
pub fn carry_out(fs: &dyn Fs, data_dir: &Path, evictions: Vec<Eviction>) -> Evicted {
    let mut evicted = Evicted::default();
    let mut dirs = Vec::new();
    for eviction in evictions {
        let (dir, path) = match &eviction.target {
            Target::Chunk(name) => {
                (layout::chunks_dir(data_dir), layout::chunk_path(data_dir, name, ChunkState::Sealed))
            }
            Target::Claimed(name) => {
                (layout::chunks_dir(data_dir), layout::chunk_path(data_dir, name, ChunkState::Recovering))
            }
            Target::Quarantined(file_name) => {
                let dir = layout::quarantine_dir(data_dir);
                let path = dir.join(file_name);
                (dir, path)
            }
        };
        match layout::remove_if_there(fs, &path) {
            Ok(()) => evicted.done.push(eviction),
            Err(error) => evicted.failed.push((path, error)),
        }
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    for dir in dirs {
        if let Err(error) = fs.sync_dir(&dir) {
            evicted.failed.push((dir, error));
        }
    }
    evicted
}

/// What may go.
#[derive(Clone, Copy)]
enum Candidate<'a> {
    Chunk(&'a Chunk),
    Quarantined(&'a Quarantined),
}

impl<'a> Candidate<'a> {
    fn name_and_len(self) -> (&'a ChunkName, u64) {
        match self {
            Self::Chunk(Chunk { name, len, .. }) => (name, *len),
            Self::Quarantined(Quarantined { chunk, len, .. }) => (chunk, *len),
        }
    }

    /// Tells why it goes whether or not there is room.
    fn due(self, known: &Known, limits: &Limits, now: Timestamp) -> Option<Cause> {
        let started = self.name_and_len().0.started();
        if limits.clear_before.is_some_and(|before| started < before) {
            return Some(Cause::Clear);
        }
        let is_old = limits.max_age.is_some_and(|max_age| now.saturating_since(started) > max_age);
        (is_old && !self.may_be_recovered(known) && !self.is_among(&known.pinned)).then_some(Cause::Age)
    }

    /// Tells whether recovery has claimed it and was not tried in vain yet.
    fn may_be_recovered(self, known: &Known) -> bool {
        self.is_claimed() && !self.is_among(&known.unrecovered) && !self.is_among(&known.waiting)
    }

    /// Returns how many bytes are kept free for a copy of it: recovery makes one before it removes the orphan.
    fn copy_len(self, known: &Known) -> u64 {
        if self.is_claimed() && !self.is_among(&known.unrecovered) { self.name_and_len().1 } else { 0 }
    }

    fn is_among(self, chunks: &BTreeSet<ChunkName>) -> bool {
        match self {
            Self::Chunk(chunk) => chunks.contains(&chunk.name),
            // No download reads them, and recovery is done with them.
            Self::Quarantined(_) => false,
        }
    }

    fn is_claimed(self) -> bool {
        matches!(self, Self::Chunk(chunk) if chunk.state == ChunkState::Recovering)
    }

    fn is_unreadable(self) -> bool {
        matches!(self, Self::Chunk(chunk) if chunk.unreadable)
    }

    fn evict(self, cause: Cause) -> Eviction {
        let target = match self {
            Self::Chunk(chunk) if self.is_claimed() => Target::Claimed(chunk.name.clone()),
            Self::Chunk(chunk) => Target::Chunk(chunk.name.clone()),
            Self::Quarantined(file) => Target::Quarantined(file.file_name.clone()),
        };
        Eviction { target, len: self.name_and_len().1, cause }
    }
}

/// What is missing, in bytes.
struct Shortage {
    /// What of ours is left.
    left: u64,
    over_limit: u64,
    over_volume: u64,
    keep_ours: u64,
}

impl Shortage {
    fn of(inventory: &Inventory, known: &Known, limits: &Limits) -> Self {
        let growth = growth(inventory, known, limits);
        let left = inventory.total_bytes();
        let needed = left.saturating_add(growth).saturating_add(limits.headroom);
        let (over_volume, keep_ours) = limits.volume.map_or((0, 0), |volume| {
            (volume.keep_free.saturating_add(growth).saturating_sub(volume.free), volume.keep_ours)
        });
        Self { left, over_limit: needed.saturating_sub(limits.max_bytes), over_volume, keep_ours }
    }

    /// Tells why the next one goes; `None` where it stays.
    fn cause(&self, is_pinned: bool) -> Option<Cause> {
        if self.over_limit > 0 && !is_pinned {
            Some(Cause::Size)
        } else if self.over_volume > 0 && self.left > self.keep_ours {
            Some(Cause::Volume)
        } else {
            None
        }
    }

    /// Reckons with one that goes.
    fn relieve(&mut self, candidate: Candidate<'_>, known: &Known, limits: &Limits) {
        let ((_, len), copy_len) = (candidate.name_and_len(), candidate.copy_len(known));
        self.left = self.left.saturating_sub(len);
        self.over_limit = self.over_limit.saturating_sub(len).saturating_sub(copy_len);
        // What an unreadable one frees shows afterwards; until then it counts as a whole chunk, or all would go.
        let freed = if candidate.is_unreadable() { limits.headroom } else { len };
        self.over_volume = self.over_volume.saturating_sub(freed).saturating_sub(copy_len);
    }

    /// Reckons with one that stays: what is spared for a download goes beyond the limit, and a younger chunk must
    /// not go in its place.
    fn spare(&mut self, candidate: Candidate<'_>) {
        self.over_limit = self.over_limit.saturating_sub(candidate.name_and_len().1);
    }
}

/// Returns by how many bytes the directory may grow before the next chunk is begun.
fn growth(inventory: &Inventory, known: &Known, limits: &Limits) -> u64 {
    // One that recovery cannot even claim has no writer, either.
    let growing = inventory.growing().filter(|chunk| !known.unrecovered.contains(&chunk.name));
    let growing = growing.map(|chunk| limits.headroom.saturating_sub(chunk.len));
    let copied = inventory.chunks.iter().map(|chunk| Candidate::Chunk(chunk).copy_len(known));
    growing.chain(copied).fold(0, u64::saturating_add)
}

/// Returns what may go, in the order in which it goes: a chunk before its quarantined bytes.
fn oldest_first(inventory: &Inventory) -> Vec<Candidate<'_>> {
    let without_writer = inventory.chunks.iter().filter(|chunk| chunk.state != ChunkState::InProgress);
    let chunks = without_writer.map(Candidate::Chunk);
    let mut candidates: Vec<_> = chunks.chain(inventory.quarantine.iter().map(Candidate::Quarantined)).collect();
    candidates.sort_by(|a, b| a.name_and_len().0.cmp(b.name_and_len().0));
    candidates
}

#[cfg(test)]
mod tests;
