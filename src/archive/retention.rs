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
    /// Claimed by recovery, which could make nothing of them: unreadable, or of a later format.
    pub unrecovered: BTreeSet<ChunkName>,
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
/// A chunk that recovery has claimed has no writer any more. It goes where it is cleared; where recovery
/// could make nothing of it, also by age, and to make room once nothing else is left that could.
pub fn plan(inventory: &Inventory, known: &Known, limits: &Limits, now: Timestamp) -> Vec<Eviction> {
    let mut shortage = Shortage::of(inventory, known, limits);
    let (mut evictions, mut young) = (Vec::new(), Vec::new());
    for candidate in oldest_first(inventory) {
        match candidate.due(known, limits, now) {
            Some(cause) => {
                shortage.relieve(candidate, limits);
                evictions.push(candidate.evict(cause));
            }
            None => young.push(candidate),
        }
    }
    young.retain(|candidate| !candidate.is_claimed() || candidate.is_among(&known.unrecovered));
    // A stable sort: within both kinds the oldest stays first.
    young.sort_by_key(|candidate| candidate.is_claimed());
    for candidate in young {
        match shortage.cause(candidate.is_among(&known.pinned)) {
            Some(cause) => {
                shortage.relieve(candidate, limits);
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
        let may_be_recovered = self.is_claimed() && !self.is_among(&known.unrecovered);
        (is_old && !may_be_recovered && !self.is_among(&known.pinned)).then_some(Cause::Age)
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
    fn relieve(&mut self, candidate: Candidate<'_>, limits: &Limits) {
        let (_, len) = candidate.name_and_len();
        self.left = self.left.saturating_sub(len);
        self.over_limit = self.over_limit.saturating_sub(len);
        // What an unreadable one frees shows afterwards; until then it counts as a whole chunk, or all would go.
        let freed = if candidate.is_unreadable() { limits.headroom } else { len };
        self.over_volume = self.over_volume.saturating_sub(freed);
    }

    /// Reckons with one that stays: what is spared for a download goes beyond the limit, and a younger chunk must
    /// not go in its place.
    fn spare(&mut self, candidate: Candidate<'_>) {
        self.over_limit = self.over_limit.saturating_sub(candidate.name_and_len().1);
    }
}

/// Returns by how many bytes the directory may grow before the next chunk is begun.
fn growth(inventory: &Inventory, known: &Known, limits: &Limits) -> u64 {
    let growing = inventory.growing().map(|chunk| limits.headroom.saturating_sub(chunk.len));
    let claimed = inventory.chunks.iter().filter(|chunk| chunk.state == ChunkState::Recovering);
    // Recovery makes a copy before it removes the orphan.
    let copied = claimed.filter(|chunk| !known.unrecovered.contains(&chunk.name));
    growing.chain(copied.map(|chunk| chunk.len)).fold(0, u64::saturating_add)
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
mod tests {
    use super::*;
    use crate::archive::fs::RealFs;
    use crate::archive::testing::chunk;

    const LIMITS: Limits = Limits { max_bytes: 500, max_age: None, clear_before: None, headroom: 100, volume: None };

    /// Chunks of 100 bytes, one per second, the youngest in progress.
    fn inventory(n_sealed: u64) -> Inventory {
        let one =
            |n, state| Chunk { name: chunk("a", 1, n), state, len: 100, modified: Duration::ZERO, unreadable: false };
        let mut chunks: Vec<_> = (0..n_sealed).map(|n| one(n, ChunkState::Sealed)).collect();
        chunks.push(Chunk { len: 10, ..one(n_sealed, ChunkState::InProgress) });
        Inventory { chunks, ..Inventory::default() }
    }

    fn at(second: u64) -> Timestamp {
        chunk("a", 1, second).started()
    }

    /// Checks which chunks go, by the second they were begun in.
    #[track_caller]
    fn check(inventory: &Inventory, pinned: &[u64], limits: Limits, now: Timestamp, expected: &[(u64, Cause)]) {
        let known = Known { pinned: pinned.iter().map(|&n| chunk("a", 1, n)).collect(), ..Known::default() };
        let goes: Vec<_> = plan(inventory, &known, &limits, now).into_iter().map(|e| (e.target, e.cause)).collect();
        let expected: Vec<_> = expected.iter().map(|&(n, cause)| (Target::Chunk(chunk("a", 1, n)), cause)).collect();
        assert_eq!(goes, expected);
    }

    /// Checks which of four sealed chunks and two older claimed ones go; of the first one recovery made nothing.
    #[track_caller]
    fn check_claimed(limits: Limits, now: Timestamp, expected: &[(Target, Cause)]) {
        let mut inventory = inventory(6);
        inventory.chunks[..2].iter_mut().for_each(|chunk| chunk.state = ChunkState::Recovering);
        let known = Known { unrecovered: [chunk("a", 1, 0)].into(), ..Known::default() };
        let goes: Vec<_> = plan(&inventory, &known, &limits, now).into_iter().map(|e| (e.target, e.cause)).collect();
        assert_eq!(goes, expected);
    }

    #[test]
    fn what_recovery_made_nothing_of_goes_by_age_and_when_cleared_and_else_last() {
        let claimed = |n, cause| (Target::Claimed(chunk("a", 1, n)), cause);
        let sealed = |n, cause| (Target::Chunk(chunk("a", 1, n)), cause);
        let limits = |max_bytes| Limits { max_bytes, ..LIMITS };
        // 610 bytes, 90 of growth, 100 for the copy that is still to be made, and as many for the next chunk.
        check_claimed(limits(900), at(9), &[]);
        check_claimed(limits(800), at(9), &[sealed(2, Cause::Size)]);
        let size: Vec<_> = (2..6).map(|n| sealed(n, Cause::Size)).chain([claimed(0, Cause::Size)]).collect();
        check_claimed(limits(400), at(9), &size);
        // What goes by age need not be made up for by others.
        let aged = Limits { max_age: Some(Duration::from_secs(5)), ..limits(800) };
        check_claimed(aged, at(7), &[claimed(0, Cause::Age)]);
        let cleared = Limits { clear_before: Some(at(2)), ..limits(900) };
        check_claimed(cleared, at(9), &[claimed(0, Cause::Clear), claimed(1, Cause::Clear)]);
    }

    #[test]
    fn keeps_room_for_what_is_in_progress_and_for_the_next_chunk() {
        check(&inventory(3), &[], LIMITS, at(9), &[]);
        check(&inventory(5), &[], LIMITS, at(9), &[(0, Cause::Size), (1, Cause::Size)]);
    }

    #[test]
    fn what_a_writer_left_open_does_not_count_as_growing() {
        let mut inventory = inventory(3);
        let in_progress = |writer, n, len| Chunk {
            name: chunk(writer, 1, n),
            state: ChunkState::InProgress,
            len,
            modified: Duration::ZERO,
            unreadable: false,
        };
        inventory.chunks.extend((4..24).map(|n| in_progress("a", n, 0)));
        // Three sealed, ten bytes of one that was left, the room of the newest and of the next one.
        check(&inventory, &[], Limits { max_bytes: 510, ..LIMITS }, at(99), &[]);
        check(&inventory, &[], Limits { max_bytes: 509, ..LIMITS }, at(99), &[(0, Cause::Size)]);
        // Another writer's newest grows as well.
        inventory.chunks.push(in_progress("b", 24, 30));
        check(&inventory, &[], Limits { max_bytes: 610, ..LIMITS }, at(99), &[]);
        check(&inventory, &[], Limits { max_bytes: 609, ..LIMITS }, at(99), &[(0, Cause::Size)]);
    }

    #[test]
    fn age_goes_by_the_name() {
        let limits = Limits { max_age: Some(Duration::from_secs(5)), ..LIMITS };
        check(&inventory(3), &[], limits, at(7), &[(0, Cause::Age), (1, Cause::Age)]);
    }

    #[test]
    fn a_clock_set_back_stops_the_age_limit_and_nothing_else() {
        let limits = Limits { max_age: Some(Duration::from_secs(5)), ..LIMITS };
        check(&inventory(4), &[], limits, Timestamp::default(), &[(0, Cause::Size)]);
    }

    #[test]
    fn clearing_spares_what_began_later_and_what_is_in_progress() {
        let limits = Limits { clear_before: Some(at(2)), ..LIMITS };
        check(&inventory(3), &[], limits, at(9), &[(0, Cause::Clear), (1, Cause::Clear)]);
        let all = Limits { clear_before: Some(at(99)), ..LIMITS };
        check(&inventory(1), &[], all, at(9), &[(0, Cause::Clear)]);
        // Also what somebody downloads: it is to be gone.
        check(&inventory(1), &[0], all, at(9), &[(0, Cause::Clear)]);
    }

    #[test]
    fn a_pinned_chunk_is_spared_and_no_younger_one_goes_in_its_place() {
        check(&inventory(4), &[0], LIMITS, at(9), &[]);
        check(&inventory(5), &[0], LIMITS, at(9), &[(1, Cause::Size)]);
        // All but the newest: it was sealed while a download of the others ran.
        check(&inventory(5), &[0, 1, 2, 3], LIMITS, at(9), &[]);
        check(&inventory(5), &[1, 3], LIMITS, at(9), &[(0, Cause::Size)]);
    }

    #[test]
    fn a_pinned_chunk_outlives_its_age_until_it_is_free() {
        let limits = Limits { max_age: Some(Duration::from_secs(5)), ..LIMITS };
        check(&inventory(3), &[0], limits, at(7), &[(1, Cause::Age)]);
    }

    #[test]
    fn where_the_volume_has_no_room_pinned_chunks_go_oldest_first() {
        let short = |free, max_bytes| Limits {
            max_bytes,
            volume: Some(VolumeLimits { free, keep_free: 100, keep_ours: 0 }),
            ..LIMITS
        };
        check(&inventory(3), &[0, 1, 2], short(90, 500), at(9), &[(0, Cause::Volume)]);
        check(&inventory(3), &[0, 1], short(0, 500), at(9), &[(0, Cause::Volume), (1, Cause::Volume)]);
        // Over both limits, too, the newest is not what goes.
        check(&inventory(5), &[0, 1, 2, 3], short(90, 500), at(9), &[(0, Cause::Volume)]);
    }

    #[test]
    fn a_volume_smaller_than_the_limit_counts_where_asked_to() {
        let short =
            |free, keep_ours| Limits { volume: Some(VolumeLimits { free, keep_free: 100, keep_ours }), ..LIMITS };
        // The chunk in progress grows by 90, and the next one is to find 100.
        check(&inventory(2), &[], short(190, 0), at(9), &[]);
        check(&inventory(2), &[], short(189, 0), at(9), &[(0, Cause::Volume)]);
        check(&inventory(2), &[], short(0, 0), at(9), &[(0, Cause::Volume), (1, Cause::Volume)]);
        // Of 210 bytes a hundred and some are ours to keep, whoever fills the volume.
        check(&inventory(2), &[], short(0, 110), at(9), &[(0, Cause::Volume)]);
        check(&inventory(2), &[], short(0, 210), at(9), &[]);
    }

    #[test]
    fn an_unreadable_chunk_goes_in_its_turn() {
        let mut inventory = inventory(5);
        for chunk in &mut inventory.chunks[..2] {
            (chunk.len, chunk.unreadable) = (0, true);
        }
        let limits = |max_bytes| Limits { max_bytes, ..LIMITS };
        check(&inventory, &[], limits(500), at(9), &[]);
        check(&inventory, &[], limits(400), at(9), &[(0, Cause::Size), (1, Cause::Size), (2, Cause::Size)]);
        let volume = Some(VolumeLimits { free: 190 - 1, keep_free: 100, keep_ours: 0 });
        check(&inventory, &[], Limits { volume, ..LIMITS }, at(9), &[(0, Cause::Volume)]);
    }

    #[test]
    fn quarantined_bytes_count_and_go_in_their_turn() {
        let mut inventory = inventory(3);
        let file_name = layout::quarantine_name(&chunk("a", 1, 1), 0, 0);
        let quarantined = Quarantined { file_name: file_name.clone(), chunk: chunk("a", 1, 1), offset: 0, len: 250 };
        inventory.quarantine.push(quarantined);
        let goes = plan(&inventory, &Known::default(), &LIMITS, at(9));
        let targets: Vec<_> = goes.into_iter().map(|eviction| eviction.target).collect();
        let expected =
            [Target::Chunk(chunk("a", 1, 0)), Target::Chunk(chunk("a", 1, 1)), Target::Quarantined(file_name)];
        assert_eq!(targets, expected);
    }

    #[test]
    fn a_limit_that_nothing_fits_deletes_all_that_is_sealed_and_ends() {
        let limits = Limits { max_bytes: 0, headroom: u64::MAX, ..LIMITS };
        assert_eq!(plan(&inventory(3), &Known::default(), &limits, at(9)).len(), 3);
    }

    #[test]
    fn deleting_what_is_gone_is_done_and_the_rest_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        layout::prepare(&RealFs, dir.path(), &"a".parse().unwrap()).unwrap();
        let there = layout::chunk_path(dir.path(), &chunk("a", 1, 1), ChunkState::Sealed);
        RealFs.create_new(&there).unwrap();
        let goes = |n| Eviction { target: Target::Chunk(chunk("a", 1, n)), len: 1, cause: Cause::Size };
        let evicted = carry_out(&RealFs, dir.path(), vec![goes(0), goes(1)]);
        assert_eq!((evicted.done.len(), evicted.failed.len()), (2, 0));
        assert!(RealFs.stat(&there).is_err());
    }
}
