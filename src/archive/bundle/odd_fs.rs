//! A volume on which one file is not well, for tests.

use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use crate::archive::fs::{File, FileId, Fs, RealFs, Space, Stat};

/// What is wrong with the file.
pub(super) enum Fault {
    /// It cannot be opened.
    Open(Errno),
    /// This range of it cannot be read.
    Read(Errno, Range<u64>),
}

/// A volume of which one file has a fault, until it is mended.
#[derive(Clone)]
pub(super) struct OddFs {
    path: PathBuf,
    /// Another file under that path is well.
    id: FileId,
    fault: Arc<Fault>,
    is_mended: Arc<AtomicBool>,
}

struct OddFile {
    file: Box<dyn File>,
    volume: OddFs,
}

impl OddFs {
    pub(super) fn new(path: PathBuf, fault: Fault) -> Self {
        let id = RealFs.stat(&path).unwrap().id;
        Self { path, id, fault: Arc::new(fault), is_mended: Arc::default() }
    }

    pub(super) fn mend(&self) {
        self.is_mended.store(true, Ordering::SeqCst);
    }

    /// Returns the fault, where the file still has it.
    fn fault(&self) -> Option<&Fault> {
        (!self.is_mended.load(Ordering::SeqCst)).then_some(&*self.fault)
    }
}

impl Fs for OddFs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>> {
        RealFs.create_new(path)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        if path != self.path || RealFs.stat(path)?.id != self.id {
            return RealFs.open(path);
        }
        match self.fault() {
            Some(Fault::Open(errno)) => Err((*errno).into()),
            _ => Ok(Box::new(OddFile { file: RealFs.open(path)?, volume: self.clone() })),
        }
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFs.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealFs.sync_dir(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealFs.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        RealFs.list(path)
    }
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        RealFs.stat(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        RealFs.space(path)
    }
}

impl File for OddFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = offset + buffer.len() as u64;
        match self.volume.fault() {
            Some(Fault::Read(errno, range)) if range.start < end && offset < range.end => Err((*errno).into()),
            _ => self.file.read_at(buffer, offset),
        }
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn touch(&self) -> io::Result<()> {
        self.file.touch()
    }
    fn stat(&self) -> io::Result<Stat> {
        self.file.stat()
    }
}
