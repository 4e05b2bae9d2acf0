//! Which chunks nobody writes to any more, as seen on our own clock.
//!
//! Times in names are those of other machines and times of files those of the volume's
//! server, so neither is compared with ours. What counts is how long *we* have seen a
//! file unchanged. Live writers touch their chunk at least once a minute.

use std::collections::HashMap;
use std::time::Duration;

use crate::archive::catalog::Inventory;
use crate::archive::name::{ChunkName, ChunkState};
use crate::ids::WriterId;

/// Watches chunks in progress, claimed chunks and temporary files over many sweeps.
#[derive(Debug)]
pub struct OrphanWatch {
    writer: WriterId,
    inactive: Duration,
    seen: HashMap<String, Seen>,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// Chunks to recover, oldest first.
    pub chunks: Vec<ChunkName>,
    /// Temporary files to remove.
    pub temporaries: Vec<String>,
}

/// A file as it was last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    len: u64,
    modified: Duration,
    due_at: Duration,
}

impl OrphanWatch {
    /// Makes a watch for the writer that it runs beside, which holds the lock of its id.
    ///
    /// A file not seen to change for `inactive` is an orphan.
    pub fn new(writer: WriterId, inactive: Duration) -> Self {
        Self { writer, inactive, seen: HashMap::new() }
    }

    /// Sets how long a file has to stay unchanged; holds for files from their next change on.
    pub fn set_inactive(&mut self, inactive: Duration) {
        self.inactive = inactive;
    }

    /// Takes a sweep into account and tells what is due.
    ///
    /// `live` is the chunk that this process writes, asked for after the inventory was read: never due.
    /// This writer's other chunks are due at once: they are of former lives, whose process is gone, since
    /// we have its lock, or this one has given them up. `now` is monotonic time.
    pub fn observe(&mut self, inventory: &Inventory, live: Option<&ChunkName>, now: Duration) -> Due {
        let mut due = Due::default();
        let mut seen = HashMap::new();
        for chunk in &inventory.chunks {
            if chunk.state == ChunkState::Sealed || live == Some(&chunk.name) {
                continue;
            }
            let wait = if chunk.name.writer() == &self.writer { Duration::ZERO } else { self.inactive };
            let key = chunk.name.file_name(chunk.state);
            let sight = self.sight(&key, chunk.len, chunk.modified, now, wait);
            seen.insert(key, sight);
            if sight.due_at <= now && due.chunks.last() != Some(&chunk.name) {
                due.chunks.push(chunk.name.clone());
            }
        }
        for file in &inventory.temporaries {
            let sight = self.sight(&file.file_name, file.len, file.modified, now, self.inactive);
            seen.insert(file.file_name.clone(), sight);
            if sight.due_at <= now {
                due.temporaries.push(file.file_name.clone());
            }
        }
        // What is gone is forgotten, so the watch is as large as the directory.
        self.seen = seen;
        due
    }

    /// Puts a chunk off that could not be recovered: it is due again when as long has passed as makes an orphan.
    pub fn defer(&mut self, chunk: &ChunkName, now: Duration) {
        for state in [ChunkState::InProgress, ChunkState::Recovering] {
            let key = chunk.file_name(state);
            match self.seen.get_mut(&key) {
                Some(seen) => seen.due_at = now + self.inactive,
                // It was claimed meanwhile: what the next sweep finds under that name is put off, too.
                None => {
                    self.seen.insert(key, Seen { len: 0, modified: Duration::MAX, due_at: now + self.inactive });
                }
            }
        }
    }

    /// Returns when a file is due: later than before where it has changed.
    fn sight(&self, key: &str, len: u64, modified: Duration, now: Duration, wait: Duration) -> Seen {
        match self.seen.get(key) {
            Some(before) if (before.len, before.modified) == (len, modified) => *before,
            // Put off before it was first seen: only the date counts.
            Some(before) if before.modified == Duration::MAX => Seen { len, modified, due_at: before.due_at },
            _ => Seen { len, modified, due_at: now + wait },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::catalog::{Chunk, Temporary};
    use crate::archive::testing::chunk;

    const INACTIVE: Duration = Duration::from_mins(10);

    fn watch() -> OrphanWatch {
        OrphanWatch::new("own".parse().unwrap(), INACTIVE)
    }

    fn of(name: &ChunkName, state: ChunkState, len: u64, modified: u64) -> Inventory {
        let modified = Duration::from_secs(modified);
        let chunk = Chunk { name: name.clone(), state, len, modified, unreadable: false };
        Inventory { chunks: vec![chunk], ..Inventory::default() }
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_chunk_is_due_once_we_saw_it_unchanged_for_long_enough() {
        let (mut watch, other) = (watch(), chunk("other", 9, 0));
        let at = |len, modified| of(&other, ChunkState::InProgress, len, modified);
        // Its file's time is of another clock, far ahead of ours and far behind it.
        assert_eq!(watch.observe(&at(10, 9_999_999), None, secs(5)), Due::default());
        assert_eq!(watch.observe(&at(10, 1), None, secs(604)), Due::default());
        assert_eq!(watch.observe(&at(11, 1), None, secs(1_203)), Due::default());
        assert_eq!(watch.observe(&at(11, 1), None, secs(1_802)), Due::default());
        assert_eq!(watch.observe(&at(11, 1), None, secs(1_803)).chunks, [other]);
    }

    #[test]
    fn a_chunk_that_cannot_be_looked_up_for_as_long_is_due_too() {
        let (mut watch, other, before) = (watch(), chunk("other", 9, 0), chunk("own", 1, 0));
        let unreadable = |name: &ChunkName| {
            let mut inventory = of(name, ChunkState::InProgress, 0, 0);
            inventory.chunks[0].unreadable = true;
            inventory
        };
        let seen = of(&other, ChunkState::InProgress, 1, 1);
        for (inventory, now) in [(unreadable(&other), 0), (seen, 599), (unreadable(&other), 700)] {
            assert_eq!(watch.observe(&inventory, None, secs(now)), Due::default());
        }
        assert_eq!(watch.observe(&unreadable(&other), None, secs(1_299)), Due::default());
        assert_eq!(watch.observe(&unreadable(&other), None, secs(1_300)).chunks, std::slice::from_ref(&other));
        assert_eq!(watch.observe(&unreadable(&before), None, secs(2_000)).chunks, [before]);
    }

    #[test]
    fn own_leftovers_are_due_at_once_and_the_live_chunk_never() {
        let (mut watch, before, live) = (watch(), chunk("own", 1, 0), chunk("own", 2, 0));
        for state in [ChunkState::InProgress, ChunkState::Recovering] {
            assert_eq!(
                watch.observe(&of(&before, state, 1, 1), Some(&live), secs(0)).chunks,
                std::slice::from_ref(&before)
            );
        }
        for now in [0, 10_000] {
            let live_only = of(&live, ChunkState::InProgress, 1, 1);
            assert_eq!(watch.observe(&live_only, Some(&live), secs(now)), Due::default());
        }
    }

    #[test]
    fn a_chunk_of_this_life_that_was_given_up_is_due_at_once() {
        let (poisoned, next) = (chunk("own", 2, 0), chunk("own", 2, 1));
        let inventory = of(&poisoned, ChunkState::InProgress, 1, 1);
        for live in [None, Some(&next)] {
            assert_eq!(watch().observe(&inventory, live, secs(0)).chunks, std::slice::from_ref(&poisoned));
        }
    }

    #[test]
    fn what_failed_is_put_off_even_under_its_claimed_name() {
        let (mut watch, leftover) = (watch(), chunk("own", 1, 0));
        assert_eq!(watch.observe(&of(&leftover, ChunkState::InProgress, 1, 1), None, secs(0)).chunks.len(), 1);
        watch.defer(&leftover, secs(0));
        let claimed = of(&leftover, ChunkState::Recovering, 1, 1);
        assert_eq!(watch.observe(&claimed, None, secs(1)), Due::default());
        assert_eq!(watch.observe(&claimed, None, INACTIVE).chunks, [leftover]);
    }

    #[test]
    fn sealed_chunks_are_never_due_and_stale_temporaries_are() {
        let mut watch = watch();
        let mut inventory = of(&chunk("other", 1, 0), ChunkState::Sealed, 1, 1);
        let file_name = ".copy-x".to_owned();
        inventory.temporaries.push(Temporary { file_name: file_name.clone(), len: 1, modified: secs(1) });
        assert_eq!(watch.observe(&inventory, None, secs(0)), Due::default());
        let due = watch.observe(&inventory, None, INACTIVE);
        assert_eq!(due, Due { chunks: Vec::new(), temporaries: vec![file_name] });
    }
}
