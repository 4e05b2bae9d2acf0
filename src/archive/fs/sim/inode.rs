//! A file's content: what is seen, what is durable, and what a crash makes of the two.

use std::collections::BTreeSet;

use super::dice::Dice;

/// What a disk writes whole or not at all: a sector, the smallest that is in use.
const PAGE: usize = 512;

#[derive(Default)]
pub(super) struct Inode {
    pub(super) visible: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) dirty: BTreeSet<usize>,
    pub(super) modified: u64,
    /// A sync failed with an error other than a full volume.
    pub(super) failed: bool,
}

impl Inode {
    /// Writes, growing the file with zeros where needed.
    pub(super) fn write(&mut self, bytes: &[u8], at: usize) {
        let end = at + bytes.len();
        let old = self.visible.len();
        if end > old {
            self.visible.resize(end, 0);
        }
        self.visible[at..end].copy_from_slice(bytes);
        self.mark(at.min(old), end);
    }

    pub(super) fn set_len(&mut self, len: usize) {
        let old = self.visible.len();
        self.visible.resize(len, 0);
        self.mark(len.min(old), len.max(old));
    }

    pub(super) fn mark(&mut self, start: usize, end: usize) {
        self.dirty.extend(start / PAGE..end.div_ceil(PAGE));
    }

    /// Takes the visible content of one page over to the disk.
    pub(super) fn persist(page: usize, visible: &[u8], durable: &mut [u8]) {
        let start = page * PAGE;
        for at in start..(start + PAGE).min(durable.len()) {
            durable[at] = visible.get(at).copied().unwrap_or(0);
        }
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.visible.len(), 0);
        for page in std::mem::take(&mut self.dirty) {
            Self::persist(page, &self.visible, &mut self.durable);
        }
    }

    /// Writes some pages and drops the others.
    pub(super) fn fail_sync(&mut self, dice: &mut Dice) {
        self.durable = self.after_crash(dice);
        self.dirty.clear();
    }

    pub(super) fn after_crash(&self, dice: &mut Dice) -> Vec<u8> {
        let (old, new) = (self.durable.len(), self.visible.len());
        let mut content = self.durable.clone();
        if self.dirty.is_empty() {
            return content;
        }
        content.resize(old.max(new), 0);
        // A third of the crashes each: nothing, everything, or some of what was not synced.
        let mood = dice.below(3);
        for &page in &self.dirty {
            if mood == 1 || (mood == 2 && dice.one_in(2)) {
                Self::persist(page, &self.visible, &mut content);
            }
        }
        let between = old.min(new) as u64 + dice.below((old.max(new) - old.min(new)) as u64 + 1);
        let len = match (mood, dice.below(3)) {
            (0, _) | (2, 0) => old,
            (1, _) | (2, 1) => new,
            _ => usize::try_from(between).unwrap(),
        };
        content.truncate(len);
        content
    }
}
