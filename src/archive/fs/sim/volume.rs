//! What all clones share: the files, their names, and the failures to come.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use super::dice::Dice;
use super::inode::Inode;
use super::names::Change;
use super::{EIO, Effect, Fault, FileId, Kind, Op, Stat};

#[derive(Default)]
pub(super) struct Volume {
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) dirs: BTreeSet<PathBuf>,
    pub(super) visible: BTreeMap<PathBuf, u64>,
    pub(super) durable: BTreeMap<PathBuf, u64>,
    pub(super) pending: Vec<Change>,
    pub(super) next_inode: u64,
    /// Counts every change; stands for the server's clock.
    pub(super) now: u64,
    pub(super) ops: Vec<Op>,
    pub(super) faults: Vec<Fault>,
    pub(super) failing: Vec<Op>,
    pub(super) spoiled: BTreeMap<PathBuf, Errno>,
    pub(super) capacity: Option<u64>,
    pub(super) dice: Option<Dice>,
    pub(super) resyncs: u64,
}

impl Volume {
    pub(super) fn new_inode(&mut self) -> u64 {
        self.next_inode += 1;
        self.next_inode
    }

    /// Counts an operation and tells how it is to fail, if it is.
    pub(super) fn begin(&mut self, op: Op) -> Option<(io::Error, Effect)> {
        let at = self.ops.len() as u64;
        self.ops.push(op);
        self.now += 1;
        if self.failing.contains(&op) {
            return Some((io::Error::new(EIO, "planned failure"), Effect::None));
        }
        let fault = self.faults.iter().find(|fault| (fault.at..fault.at.saturating_add(fault.times)).contains(&at))?;
        Some((io::Error::new(fault.kind, "planned failure"), fault.effect))
    }

    /// Runs an operation that has an effect wholly or not at all.
    pub(super) fn run<T>(&mut self, op: Op, action: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        match self.begin(op) {
            None => action(self),
            Some((error, Effect::None | Effect::Half | Effect::Dead)) => Err(error),
            Some((error, Effect::Whole)) => action(self).and(Err(error)),
        }
    }

    /// Fails where a path was spoiled and something is there.
    pub(super) fn sound(&self, path: &Path) -> io::Result<&Self> {
        let is_there = self.visible.contains_key(path) || self.dirs.contains(path);
        self.spoiled.get(path).filter(|_| is_there).map_or(Ok(self), |&errno| Err(errno.into()))
    }

    pub(super) fn lookup(&self, path: &Path) -> io::Result<u64> {
        self.visible.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    pub(super) fn change(&mut self, change: Change) {
        change.clone().apply(&mut self.visible);
        self.pending.push(change);
    }

    pub(super) fn used(&self) -> u64 {
        self.visible.values().map(|inode| self.inodes[inode].visible.len() as u64).sum()
    }

    pub(super) fn stat_inode(&self, inode: u64) -> Stat {
        let file = &self.inodes[&inode];
        let id = FileId { device: 1, inode };
        Stat { kind: Kind::File, len: file.visible.len() as u64, id, modified: Duration::from_secs(file.modified) }
    }

    pub(super) fn write(&mut self, inode: u64, bytes: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let len = self.inodes[&inode].visible.len();
        let growth = (offset + bytes.len()).saturating_sub(len) as u64;
        let room = self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()));
        let excess = usize::try_from(growth.saturating_sub(room)).unwrap();
        let (fitting, rest) = bytes.split_at(bytes.len().saturating_sub(excess));
        let file = self.inodes.get_mut(&inode).unwrap();
        file.modified = self.now;
        if !fitting.is_empty() {
            file.write(fitting, offset);
        }
        if rest.is_empty() { Ok(()) } else { Err(ErrorKind::StorageFull.into()) }
    }

    /// Makes durable what happened in a directory, and what that depends on.
    pub(super) fn sync_dir(&mut self, path: &Path) {
        let mut taken: Vec<Change> = Vec::new();
        let mut left: Vec<Change> = Vec::new();
        for change in std::mem::take(&mut self.pending).into_iter().rev() {
            let wanted = change.directory() == Some(path) || taken.iter().any(|later| later.depends_on(&change));
            if wanted { taken.push(change) } else { left.push(change) }
        }
        taken.into_iter().rev().for_each(|change| change.apply(&mut self.durable));
        left.reverse();
        self.pending = left;
    }
}
