//! The operating system's filesystem.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::{File, FileId, Fs, Kind, Space, Stat};

/// The volume as the operating system shows it.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFs;

/// Only the owner may read what customers' software sent.
const MODE: u32 = 0o600;

#[expect(clippy::disallowed_methods, reason = "this is the seam that everything else goes through")]
impl Fs for RealFs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(MODE).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        // Without NONBLOCK the open of a pipe that someone put here would wait for ever.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Box::new(RealFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?.map(|entry| entry.map(|e| e.file_name())).collect()
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let metadata = fs::symlink_metadata(path)?;
        if !metadata.is_file() {
            return Ok(stat(&metadata));
        }
        // NFS promises fresh attributes at open, not at stat.
        match self.open(path) {
            Ok(file) => file.stat(),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(stat(&metadata)),
            Err(error) => Err(error),
        }
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let volume = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(volume.f_frsize);
        // What is free for privileged writers alone is no part of the volume for us.
        let kept = volume.f_bfree.saturating_sub(volume.f_bavail);
        Ok(Space { free: bytes(volume.f_bavail), total: bytes(volume.f_blocks.saturating_sub(kept)) })
    }
}

/// Opens a file for reading and writing as its only owner, or creates it; a symbolic link is an error.
///
/// # Errors
/// `ResourceBusy` where another process has it open in the same way; else what the operating system says.
pub(super) fn own(path: &Path) -> io::Result<Box<dyn File>> {
    let flags = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).map_err(io::Error::other)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(MODE).custom_flags(flags);
    let file = options.open(path)?;
    match file.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::ResourceBusy.into()),
        // A filesystem without locks only leaves two owners unnoticed.
        Ok(()) | Err(fs::TryLockError::Error(_)) => Ok(Box::new(RealFile(file))),
    }
}

/// An open file of the operating system.
#[derive(Debug)]
struct RealFile(fs::File);

impl File for RealFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn touch(&self) -> io::Result<()> {
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
        Ok(rustix::fs::futimens(&self.0, &times)?)
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(stat(&self.0.metadata()?))
    }
}

fn stat(metadata: &fs::Metadata) -> Stat {
    let kind = match metadata.file_type() {
        file if file.is_file() => Kind::File,
        directory if directory.is_dir() => Kind::Directory,
        _ => Kind::Other,
    };
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Stat {
        kind,
        len: metadata.len(),
        id: FileId { device: metadata.dev(), inode: metadata.ino() },
        modified: modified.unwrap_or(Duration::ZERO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_reads_renames_and_lists() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let file = RealFs.create_new(&a).unwrap();
        file.write_all_at(b"hello", 3).unwrap();
        file.sync_data().unwrap();
        assert_eq!(RealFs.create_new(&a).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        RealFs.rename(&a, &b).unwrap();
        RealFs.sync_dir(dir.path()).unwrap();
        let mut buffer = [9; 8];
        assert_eq!(RealFs.open(&b).unwrap().read_at(&mut buffer, 0).unwrap(), 8);
        assert_eq!(&buffer, b"\0\0\0hello");
        assert_eq!(RealFs.stat(&b).unwrap().id, file.stat().unwrap().id);
        assert_eq!(RealFs.list(dir.path()).unwrap(), ["b"]);
        let space = RealFs.space(dir.path()).unwrap();
        assert!(0 < space.free && space.free <= space.total, "{space:?}");
    }

    #[test]
    fn never_opens_a_link_or_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        assert!(RealFs.open(&link).is_err());
        assert!(RealFs.open(dir.path()).is_err());
        assert_eq!(RealFs.stat(&link).unwrap().kind, Kind::Other);
    }
}
