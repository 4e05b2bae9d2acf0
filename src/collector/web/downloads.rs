//! Which snapshots were sent to whom, and how far: for clients that resume without naming what.
//!
//! `curl -C -` sends `Range: bytes=N-` and no validator. It must get the bytes of the snapshot it began
//! with, or an error. What a client received differs from what was sent by what sockets buffer, so a position
//! that far back or less belongs to a download; where that leaves a choice, there is no answer.
//!
//! A process that began on a directory with chunks, or has forgotten entries, cannot tell whether a client began
//! with a snapshot that it does not know. It then takes only downloads for candidates that were cut before its eyes.
//! What stays possible: a client that began with an unknown snapshot, and another of the same token that was cut since,
//! within [`IN_FLIGHT`] of the same position. Who names the snapshot is safe from that, too.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::access::Principal;
use crate::archive::snapshot::{Scope, Token};
use crate::ids::CaptureId;

/// More than sockets and proxies in between hold of a connection.
const IN_FLIGHT: u64 = 16 << 20;

/// How many downloads are remembered.
const MAX_ENTRIES: usize = 256;

/// For how long.
const MAX_AGE: Duration = Duration::from_hours(24);

/// What two requests for the same thing have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) principal: Principal,
    pub(super) capture: CaptureId,
    pub(super) scope: Scope,
}

/// The downloads of a process.
pub(super) struct Downloads(Mutex<Known>);

struct Known {
    /// The latest at the end.
    entries: VecDeque<Entry>,
    /// Whether `entries` are all downloads there ever were.
    all: bool,
}

struct Entry {
    key: Key,
    token: Token,
    sent: u64,
    /// Whether the last byte was sent; it may not have been received.
    whole: bool,
    touched: Duration,
}

/// How far a snapshot was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// The position behind the last byte sent.
    pub(super) position: u64,
    /// The snapshot's length.
    pub(super) of: u64,
}

/// Why a position belongs to no download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unmatched {
    /// Nothing was sent so far.
    None,
    /// Several snapshots were.
    Several,
}

impl Downloads {
    /// Makes the memory of a process; `knows_all` where nothing can have been downloaded before it.
    pub(super) fn new(knows_all: bool) -> Self {
        Self(Mutex::new(Known { entries: VecDeque::new(), all: knows_all }))
    }

    /// Notes how far a snapshot's bytes went out.
    pub(super) fn note(&self, key: &Key, token: &Token, sent: Sent, now: Duration) {
        let mut known = self.lock();
        let at = known.entries.iter().position(|entry| entry.token == *token && entry.key == *key);
        let before = at.and_then(|at| known.entries.remove(at));
        let (position, whole) = before.map_or((0, false), |entry| (entry.sent, entry.whole));
        while known.entries.len() >= MAX_ENTRIES {
            known.entries.pop_front();
            known.all = false;
        }
        known.entries.push_back(Entry {
            key: key.clone(),
            token: token.clone(),
            sent: position.max(sent.position),
            whole: whole || sent.position == sent.of,
            touched: now,
        });
    }

    /// Finds the one snapshot that a client may have received up to `position`.
    pub(super) fn find(&self, key: &Key, position: u64, now: Duration) -> Result<Token, Unmatched> {
        let Known { entries, all } = &mut *self.lock();
        let before = entries.len();
        entries.retain(|entry| now.saturating_sub(entry.touched) < MAX_AGE);
        *all &= entries.len() == before;
        let fits = |entry: &&Entry| {
            entry.key == *key
                && (*all || !entry.whole)
                && (entry.sent.saturating_sub(IN_FLIGHT)..=entry.sent).contains(&position)
        };
        let mut candidates = entries.iter().filter(fits);
        match (candidates.next(), candidates.next()) {
            (Some(entry), None) => Ok(entry.token.clone()),
            (None, _) => Err(Unmatched::None),
            (Some(_), Some(_)) => Err(Unmatched::Several),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::snapshot::Filter;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    const NOW: Duration = Duration::from_secs(100);

    fn key(service: &str) -> Key {
        let filter = Filter { service: Some(service.to_owned()), ..Filter::default() };
        let capture = CaptureId::new("default", "local").unwrap();
        Key { principal: Principal("token"), capture, scope: Scope::Bundle(filter) }
    }

    fn token(n: u8) -> Token {
        URL_SAFE_NO_PAD.encode([&[1][..], &[n; 20]].concat()).parse().unwrap()
    }

    fn sent(position: u64) -> Sent {
        Sent { position, of: 1 << 30 }
    }

    #[test]
    fn after_a_restart_only_what_was_cut_before_its_eyes_is_gone_on_with() {
        for (knows_all, found) in [(true, Ok(token(1))), (false, Err(Unmatched::None))] {
            let downloads = Downloads::new(knows_all);
            downloads.note(&key("a"), &token(1), Sent { position: 1_000, of: 1_000 }, NOW);
            assert_eq!(downloads.find(&key("a"), 900, NOW), found);
            downloads.note(&key("b"), &token(2), sent(1_000), NOW);
            assert_eq!(downloads.find(&key("b"), 900, NOW), Ok(token(2)));
        }
    }

    #[test]
    fn a_position_near_what_was_sent_finds_its_snapshot() {
        let downloads = Downloads::new(true);
        downloads.note(&key("a"), &token(1), sent(100 << 20), NOW);
        let find = |position| downloads.find(&key("a"), position, NOW);
        assert_eq!(find(100 << 20), Ok(token(1)));
        assert_eq!(find(84 << 20), Ok(token(1)));
        assert_eq!(find((84 << 20) - 1), Err(Unmatched::None));
        assert_eq!(find((100 << 20) + 1), Err(Unmatched::None));
        assert_eq!(downloads.find(&key("b"), 100 << 20, NOW), Err(Unmatched::None));
        assert_eq!(downloads.find(&key("a"), 100 << 20, NOW + MAX_AGE), Err(Unmatched::None));
    }

    #[test]
    fn a_choice_is_no_answer() {
        let downloads = Downloads::new(true);
        downloads.note(&key("a"), &token(1), sent(1_000), NOW);
        downloads.note(&key("a"), &token(1), sent(500), NOW);
        downloads.note(&key("a"), &token(2), sent(900), NOW);
        assert_eq!(downloads.find(&key("a"), 800, NOW), Err(Unmatched::Several));
        assert_eq!(downloads.find(&key("a"), 950, NOW), Ok(token(1)));
    }

    #[test]
    fn memory_is_bounded() {
        let downloads = Downloads::new(true);
        (0..=255).for_each(|n| downloads.note(&key("a"), &token(n), sent(1), NOW));
        downloads.note(&key("b"), &token(0), sent(1), NOW);
        assert_eq!(downloads.lock().entries.len(), MAX_ENTRIES);
        assert_eq!(downloads.find(&key("b"), 1, NOW), Ok(token(0)));
    }
}
