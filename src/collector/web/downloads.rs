//! Which snapshots were sent, and how far: for clients that resume without naming what.
//!
//! `curl -C -` sends `Range: bytes=N-` and no validator. It must get the bytes of the snapshot it began
//! with, or an error. Who has N bytes of a snapshot was sent at least as many: so by a record of everything that was
//! ever sent, a position belongs to a snapshot if that alone was sent so far, and else to none that can be told.
//! Nothing softer decides: neither how long ago it was, nor how much sockets and proxies may hold back, nor that all
//! of a snapshot was sent, since sent is not received.
//!
//! The record is one process's memory. Where it has gaps there is no answer either: up to the furthest byte of
//! what it had to forget, and anywhere at all where another process may have served the same captures, before or beside
//! this one. The way out is the same for all: a bundle names its snapshot in its first entry.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::access::Principal;
use crate::archive::snapshot::{Scope, Token};
use crate::ids::CaptureId;

/// How many snapshots are remembered: people and scripts of one capture are few, and a token may have some kilobytes.
const MAX_ENTRIES: usize = 256;

/// What two requests for the same thing have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) principal: Principal,
    pub(super) capture: CaptureId,
    pub(super) scope: Scope,
}

/// What a process has sent.
#[derive(Default)]
pub(super) struct Downloads(Mutex<Record>);

#[derive(Default)]
struct Record {
    /// The latest at the end.
    entries: VecDeque<Entry>,
    /// The furthest position of what was sent and is not among `entries`.
    gaps_to: u64,
}

struct Entry {
    key: Key,
    token: Token,
    /// The position behind the furthest byte that was sent.
    sent: u64,
}

/// Why nobody can say which snapshot a position belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unmatched {
    /// No snapshot was sent that far.
    None,
    /// Several snapshots were.
    Several,
    /// One may have been that the record does not hold.
    Unrecorded,
}

impl Downloads {
    /// Notes that the bytes of a snapshot go out up to `position`; to be called before they do.
    ///
    /// A snapshot without a token cannot be gone on with, but somebody may try.
    pub(super) fn note(&self, key: &Key, token: Option<&Token>, position: u64) {
        let mut record = self.lock();
        let Some(token) = token else {
            record.gaps_to = record.gaps_to.max(position);
            return;
        };
        let at = record.entries.iter().position(|entry| entry.token == *token && entry.key == *key);
        let before = at.and_then(|at| record.entries.remove(at)).map_or(0, |entry| entry.sent);
        if record.entries.len() >= MAX_ENTRIES {
            let forgotten = record.entries.pop_front().map_or(0, |entry| entry.sent);
            record.gaps_to = record.gaps_to.max(forgotten);
        }
        record.entries.push_back(Entry { key: key.clone(), token: token.clone(), sent: before.max(position) });
    }

    /// Finds the one snapshot of which a client can have what is before `position`.
    ///
    /// # Errors
    /// [`Unmatched`] where there is none, or more than one.
    pub(super) fn find(&self, key: &Key, position: u64) -> Result<Token, Unmatched> {
        let record = self.lock();
        if position <= record.gaps_to {
            return Err(Unmatched::Unrecorded);
        }
        let mut candidates = record.entries.iter().filter(|entry| entry.key == *key && position <= entry.sent);
        match (candidates.next(), candidates.next()) {
            (Some(entry), None) => Ok(entry.token.clone()),
            (None, _) => Err(Unmatched::None),
            (Some(_), Some(_)) => Err(Unmatched::Several),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::snapshot::Filter;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn key(service: &str) -> Key {
        let filter = Filter { service: Some(service.to_owned()), ..Filter::default() };
        let capture = CaptureId::new("default", "local").unwrap();
        Key { principal: Principal("token"), capture, scope: Scope::Bundle(filter) }
    }

    fn token(n: u8) -> Token {
        URL_SAFE_NO_PAD.encode([&[1][..], &[n; 20]].concat()).parse().unwrap()
    }

    /// Sends each snapshot of service `a` so far, and looks for a position.
    fn check(sent: &[(u8, u64)], position: u64, expected: Result<u8, Unmatched>) {
        let downloads = Downloads::default();
        for &(n, to) in sent {
            downloads.note(&key("a"), Some(&token(n)), to);
        }
        assert_eq!(downloads.find(&key("a"), position), expected.map(token), "{position} of {sent:?}");
        assert_eq!(downloads.find(&key("b"), position), Err(Unmatched::None));
    }

    #[test]
    fn a_position_belongs_to_the_only_snapshot_that_was_sent_so_far() {
        check(&[], 1, Err(Unmatched::None));
        check(&[(1, 1_000)], 1_000, Ok(1));
        check(&[(1, 1_000)], 1, Ok(1));
        check(&[(1, 1_000)], 1_001, Err(Unmatched::None));
        check(&[(1, 1_000), (1, 500)], 1_000, Ok(1));
    }

    #[test]
    fn a_choice_is_no_answer_however_far_apart_the_ends_are() {
        check(&[(1, 1_000), (2, 900)], 900, Err(Unmatched::Several));
        check(&[(1, 1_000), (2, 900)], 901, Ok(1));
        check(&[(1, 1 << 40), (2, 900)], 900, Err(Unmatched::Several));
    }

    #[test]
    fn what_is_forgotten_leaves_a_gap_up_to_its_end() {
        let downloads = Downloads::default();
        downloads.note(&key("a"), Some(&token(0)), 700);
        (1..=255).for_each(|n| downloads.note(&key("a"), Some(&token(n)), 10));
        downloads.note(&key("b"), Some(&token(0)), 900);
        assert_eq!(downloads.lock().entries.len(), MAX_ENTRIES);
        assert_eq!(downloads.find(&key("b"), 700), Err(Unmatched::Unrecorded));
        assert_eq!(downloads.find(&key("b"), 701), Ok(token(0)));
    }

    #[test]
    fn what_has_no_token_leaves_a_gap_up_to_its_end() {
        let downloads = Downloads::default();
        downloads.note(&key("a"), None, 700);
        downloads.note(&key("a"), Some(&token(1)), 900);
        assert_eq!(downloads.find(&key("a"), 700), Err(Unmatched::Unrecorded));
        assert_eq!(downloads.find(&key("a"), 701), Ok(token(1)));
    }
}
