//! A volume in memory that forgets what was not synced, and fails where it is told to.
//!
//! What is modelled:
//! - Content is durable per page of [`inode::PAGE`] bytes once its file was synced; until then a
//!   crash keeps or loses each page and each change of length on its own.
//! - Creating, renaming and removing is durable once the directory (a rename: the one
//!   renamed into) was synced; until then a crash keeps or loses each of them, those that
//!   touch the same path in order. A rename is all or nothing.
//! - A failed sync writes some pages and drops the others: they stay visible, count as
//!   written, and a later sync is silent about them.
//! - Creating a directory is durable at once.

mod dice;
mod file;
mod inode;
mod names;
mod volume;

use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustix::io::Errno;

pub(crate) use self::dice::Dice;
use self::file::SimFile;
use self::inode::Inode;
use self::names::Change;
use self::volume::Volume;
use super::{File, FileId, Fs, Kind, Space, Stat};

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

    /// Fails every operation of one kind with [`EIO`], without effect, until [`Self::mend`].
    pub(crate) fn fail_every(&self, op: Op) {
        self.lock().failing.push(op);
    }

    /// Fails every look at what lies at a path, as a bad inode does, until [`Self::mend`]; it can be renamed and removed.
    pub(crate) fn spoil(&self, path: impl AsRef<Path>, errno: Errno) {
        self.lock().spoiled.insert(path.as_ref().to_owned(), errno);
    }

    /// Forgets the failures to come, and the bound.
    pub(crate) fn mend(&self) {
        let mut volume = self.lock();
        volume.spoiled.clear();
        volume.faults.clear();
        volume.failing.clear();
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
        let inode = self.lock().run(Op::Open, |volume| volume.sound(path)?.lookup(path))?;
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
            if !volume.sound(path)?.dirs.contains(path) {
                return Err(ErrorKind::NotFound.into());
            }
            let inside = volume.visible.keys().chain(&volume.dirs).filter(|entry| entry.parent() == Some(path));
            Ok(inside.filter_map(|entry| entry.file_name().map(OsStr::to_owned)).collect())
        })
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.lock().run(Op::Stat, |volume| {
            if volume.sound(path)?.dirs.contains(path) {
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
