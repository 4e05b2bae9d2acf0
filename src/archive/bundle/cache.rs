//! Selections of traces that are kept for a while, because making one decodes a capture.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::archive::snapshot::{Counts, DIGEST_LEN};

/// The most bytes that are kept; a trace is a few hundred kilobytes as a rule.
const MAX_CACHED: usize = 64 << 20;

/// What was made last, the latest used at the end.
#[derive(Default)]
pub(super) struct Cache {
    entries: VecDeque<([u8; DIGEST_LEN], Arc<Selection>)>,
    bytes: usize,
}

/// The one member of a trace's bundle, and what of each chunk is in it.
pub(super) struct Selection {
    pub(super) member: Arc<[u8]>,
    pub(super) counts: Vec<Counts>,
}

impl Cache {
    /// Returns what was made for a snapshot, which is then the latest used.
    pub(super) fn get(&mut self, digest: &[u8; DIGEST_LEN]) -> Option<Arc<Selection>> {
        let at = self.entries.iter().position(|(known, _)| known == digest)?;
        let entry = self.entries.remove(at)?;
        let selection = Arc::clone(&entry.1);
        self.entries.push_back(entry);
        Some(selection)
    }

    /// Keeps what was made for a snapshot, in place of what was not used for longest.
    pub(super) fn put(&mut self, digest: [u8; DIGEST_LEN], selection: Arc<Selection>) {
        self.bytes += selection.member.len();
        self.entries.push_back((digest, selection));
        // The newest stays whatever its size: its download is about to begin.
        while self.bytes > MAX_CACHED && self.entries.len() > 1 {
            let Some((_, oldest)) = self.entries.pop_front() else { return };
            self.bytes -= oldest.member.len();
        }
    }
}
