//! How much of its volume, and of what retention allows, one chunk takes; reserve and free room that fit a small volume.
//!
//! The keeper measures and publishes, the appender keeps to it. Both are a ring: the oldest chunks
//! go so that the next one fits, which takes several chunks besides those that grow, however small it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::archive::reserve::RESERVE_BYTES;

/// How many chunks a volume has room for besides those that grow.
///
/// With the one that grows these are the five that `spec.retention.maxBytes` is held to.
const CHUNKS_BESIDES: u64 = 4;

/// The shortest chunk that retention asks for: one that is sealed with a single span has about as much.
///
/// It is also the least that `spec.chunk.maxBytes` may say.
const SHORTEST_CHUNK: u64 = 4 << 10;

/// The part of a whole volume that stays ours where others fill it.
const KEPT_PART: u64 = 16;

/// The reserve's part of a share, so that most of a small volume holds chunks.
const RESERVE_PART: u64 = 4;

/// What is on a volume, and may be. Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// What our files take.
    pub ours: u64,
    /// What is free.
    pub free: u64,
    /// How many chunks grow, those of other writers included.
    pub n_growing: u64,
    /// What retention keeps all chunks together to.
    pub limit: u64,
}

/// What one chunk may take, from the keeper to the appender; clones share it.
///
/// Without bound until the first measurement.
#[derive(Debug, Clone, Default)]
pub(super) struct Share(Arc<Parts>);

/// What one chunk may take, in bytes.
#[derive(Debug)]
struct Parts {
    of_volume: AtomicU64,
    of_limit: AtomicU64,
}

impl Default for Parts {
    fn default() -> Self {
        Self { of_volume: AtomicU64::new(u64::MAX), of_limit: AtomicU64::new(u64::MAX) }
    }
}

impl Share {
    /// Notes what a measurement says.
    pub(super) fn publish(&self, usage: Usage) {
        let Usage { ours, free, n_growing, limit } = usage;
        let n_chunks = n_growing.max(1).saturating_add(CHUNKS_BESIDES);
        self.0.of_volume.store(ours.saturating_add(free) / n_chunks, Ordering::Relaxed);
        self.0.of_limit.store((limit / n_chunks).max(SHORTEST_CHUNK), Ordering::Relaxed);
    }

    /// Returns how long a chunk may become where `asked` is its limit.
    pub(super) fn chunk_bytes(&self, asked: u64) -> u64 {
        asked.min(self.of_volume()).min(self.0.of_limit.load(Ordering::Relaxed))
    }

    /// Returns how much is set aside for the next seal.
    pub(super) fn reserve_bytes(&self) -> u64 {
        RESERVE_BYTES.min(self.of_volume() / RESERVE_PART)
    }

    /// Returns how much is to be free so that storage that was full counts as well: a probe proves little.
    pub(super) fn well_bytes(&self) -> u64 {
        self.reserve_bytes() * 2
    }

    /// Returns how much retention keeps free where `asked` is the limit of a chunk.
    pub(super) fn keep_free(&self, asked: u64) -> u64 {
        // Small chunks, too, are worth nothing on a volume that does not count as well.
        self.chunk_bytes(asked).max(self.well_bytes() + self.reserve_bytes())
    }

    fn of_volume(&self) -> u64 {
        self.0.of_volume.load(Ordering::Relaxed)
    }
}

/// Returns how much of ours stays on a volume of `total` bytes, because others may be what fills it.
///
/// One chunk, or part of the volume where that is less: else a small one would take no spans ever again.
pub(super) fn keep_ours(asked: u64, total: u64) -> u64 {
    asked.min(total / KEPT_PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    /// Checks limit of a chunk, reserve and room kept free on a volume.
    #[track_caller]
    fn check(usage: Usage, asked: u64, expected: (u64, u64, u64)) {
        let share = Share::default();
        share.clone().publish(usage);
        assert_eq!((share.chunk_bytes(asked), share.reserve_bytes(), share.keep_free(asked)), expected);
        assert!(share.keep_free(asked) > share.well_bytes(), "what retention frees must count as well");
    }

    #[test]
    fn chunks_are_as_long_as_asked_for_unless_the_volume_is_small() {
        let usage = |ours, free, n_growing| Usage { ours, free, n_growing, limit: u64::MAX };
        check(usage(0, u64::MAX, 1), 50 * MB, (50 * MB, MB, 50 * MB));
        check(usage(1, 1 << 40, 1), 4_096, (4_096, MB, 3 * MB));
        check(usage(30 * MB, 70 * MB, 1), 50 * MB, (20 * MB, MB, 20 * MB));
        check(usage(30 * MB, 70 * MB, 6), 50 * MB, (10 * MB, MB, 10 * MB));
        check(usage(100_000, 100_000, 0), 50 * MB, (40_000, 10_000, 40_000));
        check(usage(100_000, 100_000, 0), 1_000, (1_000, 10_000, 30_000));
    }

    #[test]
    fn many_writers_seal_earlier_so_that_retention_keeps_sealed_chunks() {
        let usage = |n_growing, limit| Usage { ours: 0, free: 1 << 40, n_growing, limit };
        check(usage(1, 250 * MB), 50 * MB, (50 * MB, MB, 50 * MB));
        check(usage(20, 240 * MB), 50 * MB, (10 * MB, MB, 10 * MB));
        // The volume's part decides about the reserve alone.
        check(usage(20, 20_000), 50 * MB, (SHORTEST_CHUNK, MB, 3 * MB));
        check(usage(20, 20_000), 1_000, (1_000, MB, 3 * MB));
    }

    #[test]
    fn what_is_kept_from_others_is_small_on_a_small_volume() {
        assert_eq!((keep_ours(50, 10_000), keep_ours(50, 160)), (50, 10));
    }
}
