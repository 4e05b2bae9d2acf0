//! Which chunks running downloads hold, for retention to spare for a bounded time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::archive::name::ChunkName;
use crate::clock::Clock;

/// How long chunks are spared after the last read: a cut download is usually taken up again within minutes.
const AFTER_READ: Duration = Duration::from_mins(10);

/// How long chunks are spared after the last byte was sent: a client whose connection breaks then has not received
/// what sockets held, which may be a whole small bundle.
const AFTER_SENT: Duration = Duration::from_mins(1);

/// How long one download may hold chunks at all: a reader that trickles must not stop retention for ever.
const AT_MOST: Duration = Duration::from_hours(6);

/// The most downloads that hold chunks; the one read longest ago gives way.
const MAX_HOLDS: usize = 256;

/// The holds of a process; clones share them.
#[derive(Clone)]
pub struct Pins {
    clock: Arc<dyn Clock>,
    holds: Arc<Mutex<Holds>>,
}

#[derive(Default)]
struct Holds {
    next: u64,
    by_id: BTreeMap<u64, Hold>,
}

struct Hold {
    chunks: Arc<[ChunkName]>,
    since: Duration,
    read: Duration,
    /// How long after `read` it ends.
    after: Duration,
}

/// One download's hold; dropped, it goes on for a while, so that the download can be resumed.
pub struct Pin {
    id: u64,
    pins: Pins,
}

impl Pins {
    /// Makes a registry without holds.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, holds: Arc::default() }
    }

    /// Holds chunks for a download that begins.
    pub fn hold(&self, chunks: impl Iterator<Item = ChunkName>) -> Pin {
        let now = self.clock.monotonic();
        let mut holds = self.lock();
        holds.forget_expired(now);
        if holds.by_id.len() >= MAX_HOLDS {
            let oldest = holds.by_id.iter().min_by_key(|(_, hold)| hold.read).map(|(&id, _)| id);
            oldest.and_then(|id| holds.by_id.remove(&id));
        }
        let id = holds.next;
        holds.next += 1;
        holds.by_id.insert(id, Hold { chunks: chunks.collect(), since: now, read: now, after: AFTER_READ });
        Pin { id, pins: self.clone() }
    }

    /// Returns the chunks to spare now.
    pub fn held(&self) -> BTreeSet<ChunkName> {
        let now = self.clock.monotonic();
        let mut holds = self.lock();
        holds.forget_expired(now);
        holds.by_id.values().flat_map(|hold| hold.chunks.iter().cloned()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holds {
    fn forget_expired(&mut self, now: Duration) {
        let live = |hold: &Hold| now.saturating_sub(hold.read) < hold.after && now.saturating_sub(hold.since) < AT_MOST;
        self.by_id.retain(|_, hold| live(hold));
    }
}

impl Pin {
    /// Notes that the download goes on.
    pub fn touch(&self) {
        let now = self.pins.clock.monotonic();
        if let Some(hold) = self.pins.lock().by_id.get_mut(&self.id) {
            hold.read = now;
        }
    }

    /// Gives the chunks free soon: everything was sent.
    pub fn release(self) {
        let now = self.pins.clock.monotonic();
        if let Some(hold) = self.pins.lock().by_id.get_mut(&self.id) {
            (hold.read, hold.after) = (now, AFTER_SENT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::ids::Incarnation;

    fn chunk(sequence: u32) -> ChunkName {
        ChunkName::new(Timestamp::default(), "local".parse().unwrap(), Incarnation(1), sequence)
    }

    #[test]
    fn chunks_are_spared_while_read_and_some_minutes_longer() {
        let clock = Arc::new(ManualClock::new(Timestamp::default()));
        let pins = Pins::new(clock.clone());
        let pin = pins.hold([chunk(1)].into_iter());
        clock.advance(AFTER_READ.saturating_sub(Duration::from_secs(1)));
        pin.touch();
        drop(pin);
        clock.advance(AFTER_READ.saturating_sub(Duration::from_secs(1)));
        assert_eq!(pins.held(), BTreeSet::from([chunk(1)]));
        clock.advance(Duration::from_secs(1));
        assert!(pins.held().is_empty());
    }

    #[test]
    fn a_complete_download_gives_its_chunks_free() {
        let clock = Arc::new(ManualClock::new(Timestamp::default()));
        let pins = Pins::new(clock.clone());
        let (done, running) = (pins.hold([chunk(1)].into_iter()), pins.hold([chunk(2)].into_iter()));
        done.release();
        // Sent is not received.
        clock.advance(AFTER_SENT.saturating_sub(Duration::from_secs(1)));
        assert_eq!(pins.held().len(), 2);
        clock.advance(Duration::from_secs(1));
        assert_eq!(pins.held(), BTreeSet::from([chunk(2)]));
        drop(running);
    }

    #[test]
    fn a_reader_that_trickles_does_not_hold_for_ever() {
        let clock = Arc::new(ManualClock::new(Timestamp::default()));
        let pins = Pins::new(clock.clone());
        let pin = pins.hold([chunk(1)].into_iter());
        for _ in 0..AT_MOST.as_secs() / 60 {
            assert!(!pins.held().is_empty());
            clock.advance(Duration::from_mins(1));
            pin.touch();
        }
        assert!(pins.held().is_empty());
    }
}
