//! A volume in memory that forgets what was not synced, and fails where it is told to.
//!
//! What is modelled:
//! - Content is durable per page of [`PAGE`] bytes once its file was synced; until then a
//!   crash keeps or loses each page and each change of length on its own.
//! - Creating, renaming and removing is durable once the directory (a rename: the one
//!   renamed into) was synced; until then a crash keeps or loses each of them, those that
//!   touch the same path in order. A rename is all or nothing.
//! - A failed sync writes some pages and drops the others: they stay visible, count as
//!   written, and a later sync is silent about them.
//! - Creating a directory is durable at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::{File, FileId, Fs, Kind, Space, Stat};

/// What a disk writes whole or not at all: a sector, the smallest that is in use.
const PAGE: usize = 512;

/// Random numbers that a seed repeats: `SplitMix64`.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Returns a number below `end_exclusive`, 0 for an empty range.
    pub(crate) fn below(&mut self, end_exclusive: u64) -> u64 {
        self.next() % end_exclusive.max(1)
    }

    /// Returns true once in `n` times.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What a failing operation does all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing; a sync drops pages.
    None,
    /// The first half of a write; nothing else.
    Half,
    /// All of it: only the answer is lost.
    Whole,
    /// Nothing, and a sync drops no page either: the process ended before it.
    Dead,
}

/// A failure to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    /// Which operation fails, counted from 0 at the volume's making.
    pub(crate) at: u64,
    /// How many in a row.
    pub(crate) times: u64,
    /// What the operation answers.
    pub(crate) kind: ErrorKind,
    /// What it does.
    pub(crate) effect: Effect,
}

/// What an error of the disk itself comes as.
pub(crate) const EIO: ErrorKind = ErrorKind::Other;

/// What an operation is, for tests that choose one to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Create,
    Open,
    Rename,
    Remove,
    SyncDir,
    List,
    Stat,
    Write,
    Read,
    Sync,
    SetLen,
    Touch,
}

/// The volume; clones share it.
#[derive(Clone)]
pub(crate) struct SimFs(Arc<Mutex<Volume>>);

#[derive(Default)]
struct Volume {
    inodes: BTreeMap<u64, Inode>,
    dirs: BTreeSet<PathBuf>,
    visible: BTreeMap<PathBuf, u64>,
    durable: BTreeMap<PathBuf, u64>,
    pending: Vec<Change>,
    next_inode: u64,
    /// Counts every change; stands for the server's clock.
    now: u64,
    ops: Vec<Op>,
    faults: Vec<Fault>,
    capacity: Option<u64>,
    dice: Option<Dice>,
    resyncs: u64,
}

#[derive(Default)]
struct Inode {
    visible: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
    modified: u64,
    /// A sync failed with an error other than a full volume.
    failed: bool,
}

/// A change of names that no sync has made durable yet.
#[derive(Clone)]
enum Change {
    Create(PathBuf, u64),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, u64),
}

impl Change {
    fn touches(&self, path: &Path) -> bool {
        match self {
            Self::Create(at, _) | Self::Remove(at) => at == path,
            Self::Rename(from, to, _) => from == path || to == path,
        }
    }

    fn depends_on(&self, earlier: &Self) -> bool {
        match self {
            Self::Create(at, _) | Self::Remove(at) => earlier.touches(at),
            Self::Rename(from, to, _) => earlier.touches(from) || earlier.touches(to),
        }
    }

    /// The directory whose sync makes the change durable.
    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Create(at, _) | Self::Remove(at) => at.parent(),
            Self::Rename(_, to, _) => to.parent(),
        }
    }

    fn apply(self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Create(at, inode) => {
                names.insert(at, inode);
            }
            Self::Remove(at) => {
                names.remove(&at);
            }
            Self::Rename(from, to, inode) => {
                names.remove(&from);
                names.insert(to, inode);
            }
        }
    }
}

impl SimFs {
    /// Makes an empty volume with these directories.
    pub(crate) fn new(dirs: &[&str]) -> Self {
        let dirs = dirs.iter().map(PathBuf::from).collect();
        Self(Arc::new(Mutex::new(Volume { dirs, dice: Some(Dice::new(1)), ..Volume::default() })))
    }

    /// Plans a failure.
    pub(crate) fn fail(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Forgets the failures to come, and the bound.
    pub(crate) fn mend(&self) {
        let mut volume = self.lock();
        volume.faults.clear();
        volume.capacity = None;
    }

    /// Bounds the length of all files together, in bytes.
    pub(crate) fn set_capacity(&self, capacity: Option<u64>) {
        self.lock().capacity = capacity;
    }

    /// Returns every operation so far, those that failed included.
    pub(crate) fn ops(&self) -> Vec<Op> {
        self.lock().ops.clone()
    }

    /// Returns how often a file was synced again after a sync of it had failed with [`EIO`].
    pub(crate) fn resyncs(&self) -> u64 {
        self.lock().resyncs
    }

    /// Returns the content that a reader sees now, without counting as an operation.
    pub(crate) fn content(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let volume = self.lock();
        let inode = volume.visible.get(path.as_ref())?;
        Some(volume.inodes[inode].visible.clone())
    }

    /// Replaces a file's content, durably, without counting as an operation: the hand of a test.
    pub(crate) fn put(&self, path: impl AsRef<Path>, content: &[u8]) {
        let mut volume = self.lock();
        let inode = volume.new_inode();
        let entry = Inode { visible: content.to_vec(), durable: content.to_vec(), ..Inode::default() };
        volume.inodes.insert(inode, entry);
        volume.pending.retain(|change| !change.touches(path.as_ref()));
        volume.visible.insert(path.as_ref().to_owned(), inode);
        volume.durable.insert(path.as_ref().to_owned(), inode);
    }

    /// Returns every file's path, sorted.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.lock().visible.keys().cloned().collect()
    }

    /// Returns the volume as it may be found after the machine lost its power; this one stays as it is.
    ///
    /// No fault is planned there, the capacity is the same.
    pub(crate) fn crash(&self, dice: &mut Dice) -> Self {
        let volume = self.lock();
        let mut names = volume.durable.clone();
        let mut lost: Vec<Change> = Vec::new();
        for change in &volume.pending {
            if dice.one_in(2) || lost.iter().any(|earlier| change.depends_on(earlier)) {
                lost.push(change.clone());
            } else {
                change.clone().apply(&mut names);
            }
        }
        let mut after = Volume {
            dirs: volume.dirs.clone(),
            next_inode: volume.next_inode,
            now: volume.now,
            capacity: volume.capacity,
            dice: Some(Dice::new(dice.next())),
            ..Volume::default()
        };
        for inode in names.values() {
            let content = volume.inodes[inode].after_crash(dice);
            let modified = volume.inodes[inode].modified;
            let entry = Inode { visible: content.clone(), durable: content, modified, ..Inode::default() };
            after.inodes.insert(*inode, entry);
        }
        (after.visible, after.durable) = (names.clone(), names);
        Self(Arc::new(Mutex::new(after)))
    }

    fn lock(&self) -> MutexGuard<'_, Volume> {
        self.0.lock().unwrap()
    }

    fn handle(&self, inode: u64) -> Box<dyn File> {
        Box::new(SimFile { volume: self.0.clone(), inode })
    }
}

impl Inode {
    /// Writes, growing the file with zeros where needed.
    fn write(&mut self, bytes: &[u8], at: usize) {
        let end = at + bytes.len();
        let old = self.visible.len();
        if end > old {
            self.visible.resize(end, 0);
        }
        self.visible[at..end].copy_from_slice(bytes);
        self.mark(at.min(old), end);
    }

    fn set_len(&mut self, len: usize) {
        let old = self.visible.len();
        self.visible.resize(len, 0);
        self.mark(len.min(old), len.max(old));
    }

    fn mark(&mut self, start: usize, end: usize) {
        self.dirty.extend(start / PAGE..end.div_ceil(PAGE));
    }

    /// Takes the visible content of one page over to the disk.
    fn persist(page: usize, visible: &[u8], durable: &mut [u8]) {
        let start = page * PAGE;
        for at in start..(start + PAGE).min(durable.len()) {
            durable[at] = visible.get(at).copied().unwrap_or(0);
        }
    }

    fn sync(&mut self) {
        self.durable.resize(self.visible.len(), 0);
        for page in std::mem::take(&mut self.dirty) {
            Self::persist(page, &self.visible, &mut self.durable);
        }
    }

    /// Writes some pages and drops the others.
    fn fail_sync(&mut self, dice: &mut Dice) {
        self.durable = self.after_crash(dice);
        self.dirty.clear();
    }

    fn after_crash(&self, dice: &mut Dice) -> Vec<u8> {
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

impl Volume {
    fn new_inode(&mut self) -> u64 {
        self.next_inode += 1;
        self.next_inode
    }

    /// Counts an operation and tells how it is to fail, if it is.
    fn begin(&mut self, op: Op) -> Option<(io::Error, Effect)> {
        let at = self.ops.len() as u64;
        self.ops.push(op);
        self.now += 1;
        let fault = self.faults.iter().find(|fault| (fault.at..fault.at.saturating_add(fault.times)).contains(&at))?;
        Some((io::Error::new(fault.kind, "planned failure"), fault.effect))
    }

    /// Runs an operation that has an effect wholly or not at all.
    fn run<T>(&mut self, op: Op, action: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        match self.begin(op) {
            None => action(self),
            Some((error, Effect::None | Effect::Half | Effect::Dead)) => Err(error),
            Some((error, Effect::Whole)) => action(self).and(Err(error)),
        }
    }

    fn lookup(&self, path: &Path) -> io::Result<u64> {
        self.visible.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        change.clone().apply(&mut self.visible);
        self.pending.push(change);
    }

    fn used(&self) -> u64 {
        self.visible.values().map(|inode| self.inodes[inode].visible.len() as u64).sum()
    }

    fn stat_inode(&self, inode: u64) -> Stat {
        let file = &self.inodes[&inode];
        let id = FileId { device: 1, inode };
        Stat { kind: Kind::File, len: file.visible.len() as u64, id, modified: Duration::from_secs(file.modified) }
    }

    fn write(&mut self, inode: u64, bytes: &[u8], offset: u64) -> io::Result<()> {
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
    fn sync_dir(&mut self, path: &Path) {
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

impl Fs for SimFs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let inode = self.lock().run(Op::Create, |volume| {
            if volume.visible.contains_key(path) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            if !path.parent().is_some_and(|dir| volume.dirs.contains(dir)) {
                return Err(ErrorKind::NotFound.into());
            }
            let inode = volume.new_inode();
            volume.inodes.insert(inode, Inode { modified: volume.now, ..Inode::default() });
            volume.change(Change::Create(path.to_owned(), inode));
            Ok(inode)
        })?;
        Ok(self.handle(inode))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let inode = self.lock().run(Op::Open, |volume| volume.lookup(path))?;
        Ok(self.handle(inode))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.lock().run(Op::Rename, |volume| {
            let inode = volume.lookup(from)?;
            volume.change(Change::Rename(from.to_owned(), to.to_owned(), inode));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.lock().run(Op::Remove, |volume| {
            volume.lookup(path)?;
            volume.change(Change::Remove(path.to_owned()));
            Ok(())
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.lock().run(Op::SyncDir, |volume| {
            volume.sync_dir(path);
            Ok(())
        })
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut volume = self.lock();
        volume.dirs.extend(path.ancestors().filter(|dir| *dir != Path::new("")).map(Path::to_owned));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.lock().run(Op::List, |volume| {
            if !volume.dirs.contains(path) {
                return Err(ErrorKind::NotFound.into());
            }
            let inside = volume.visible.keys().chain(&volume.dirs).filter(|entry| entry.parent() == Some(path));
            Ok(inside.filter_map(|entry| entry.file_name().map(OsStr::to_owned)).collect())
        })
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.lock().run(Op::Stat, |volume| {
            if volume.dirs.contains(path) {
                let id = FileId { device: 1, inode: u64::MAX };
                return Ok(Stat { kind: Kind::Directory, len: 0, id, modified: Duration::ZERO });
            }
            Ok(volume.stat_inode(volume.lookup(path)?))
        })
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let volume = self.lock();
        let total = volume.capacity.unwrap_or(u64::MAX);
        Ok(Space { free: volume.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(volume.used())), total })
    }
}

/// An open file of a [`SimFs`]; stays usable when its name is gone.
struct SimFile {
    volume: Arc<Mutex<Volume>>,
    inode: u64,
}

impl SimFile {
    fn lock(&self) -> MutexGuard<'_, Volume> {
        self.volume.lock().unwrap()
    }
}

impl File for SimFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut volume = self.lock();
        let Some((error, effect)) = volume.begin(Op::Write) else {
            return volume.write(self.inode, bytes, offset);
        };
        let done = match effect {
            Effect::None | Effect::Dead => 0,
            Effect::Half => bytes.len() / 2,
            Effect::Whole => bytes.len(),
        };
        volume.write(self.inode, &bytes[..done], offset).and(Err(error))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.lock().run(Op::Read, |volume| {
            let content = &volume.inodes[&self.inode].visible;
            let rest = usize::try_from(offset).ok().and_then(|at| content.get(at..)).unwrap_or_default();
            let n = rest.len().min(buffer.len());
            buffer[..n].copy_from_slice(&rest[..n]);
            Ok(n)
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut volume = self.lock();
        let fault = volume.begin(Op::Sync);
        let mut dice = volume.dice.take().unwrap();
        let file = volume.inodes.get_mut(&self.inode).unwrap();
        let again = file.failed;
        let outcome = if let Some((error, effect)) = fault {
            file.failed |= error.kind() == EIO && effect != Effect::Dead;
            match effect {
                Effect::Whole => file.sync(),
                Effect::None | Effect::Half => file.fail_sync(&mut dice),
                Effect::Dead => {}
            }
            Err(error)
        } else {
            file.sync();
            Ok(())
        };
        volume.resyncs += u64::from(again);
        volume.dice = Some(dice);
        outcome
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.lock().run(Op::SetLen, |volume| {
            let now = volume.now;
            let file = volume.inodes.get_mut(&self.inode).unwrap();
            file.modified = now;
            file.set_len(usize::try_from(len).unwrap());
            Ok(())
        })
    }

    fn touch(&self) -> io::Result<()> {
        self.lock().run(Op::Touch, |volume| {
            let now = volume.now;
            volume.inodes.get_mut(&self.inode).unwrap().modified = now;
            Ok(())
        })
    }

    fn stat(&self) -> io::Result<Stat> {
        self.lock().run(Op::Stat, |volume| Ok(volume.stat_inode(self.inode)))
    }
}
