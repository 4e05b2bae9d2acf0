//! The filesystem seam: everything the archive asks of a disk, and nothing else.
//!
//! [`RealFs`] is the only caller of `std::fs`. Tests put another implementation in its
//! place that forgets what was not synced, reorders it, or fails at a chosen step.
//! Nothing here retries: what an error means is decided by the caller.

mod lock;
pub mod named;
mod real;
#[cfg(test)]
pub(crate) mod sim;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

pub use lock::{Lock, LockError};
pub use real::RealFs;
#[cfg(test)]
pub(crate) use sim::{Dice, EIO, Effect, Fault, Op, SimFs};

/// Tells files apart whatever their names: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The device.
    pub device: u64,
    /// The inode on it.
    pub inode: u64,
}

/// What the filesystem says about a path, symbolic links not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes.
    pub len: u64,
    /// Which file it is.
    pub id: FileId,
    /// Time of the last change since the Unix epoch, by the clock of whoever serves the volume; compare it only with itself.
    pub modified: Duration,
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A link, socket, device or pipe: never opened.
    Other,
}

/// How much a volume holds, for a writer without privileges, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What could still be written.
    pub free: u64,
    /// What could be written if the volume were empty.
    pub total: u64,
}

/// A volume: paths and directories. All calls block.
///
/// # Errors
/// Of all calls: what the operating system says. `StorageFull` and `QuotaExceeded` may come
/// from every one that writes, syncs or closes.
#[expect(clippy::missing_errors_doc, reason = "said once for all of them")]
pub trait Fs: Send + Sync {
    /// Creates a file that must not exist yet, for writing and reading.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Opens a regular file for reading; a symbolic link is an error.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Renames a file, replacing `to` where it exists.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes what was created, renamed or removed in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory and its parents where they are missing.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Lists the names in a directory, in no order.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Looks a path up, asking a network filesystem's server afresh where that can be asked for.
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// Returns how much the volume of a path holds.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// An open file. Offsets are explicit: nothing here has a position.
///
/// # Errors
/// As with [`Fs`].
#[expect(clippy::missing_errors_doc, reason = "said once for all of them")]
pub trait File: Send + Sync {
    /// Writes all bytes at an offset, extending the file.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Reads up to the buffer's length at an offset; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Makes data and length durable. After an error the file must not be trusted or synced again.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Marks the file as changed now, by the clock of whoever serves the volume.
    fn touch(&self) -> io::Result<()>;

    /// Describes the open file, whatever its path is by now.
    fn stat(&self) -> io::Result<Stat>;
}

/// Tells whether an error is about the one file that was asked for: forbidden, no regular file, or on bad blocks,
/// its inode's included.
///
/// `false` where others would fail as well, such as too many open files or a server that is away.
pub fn is_of_one_file(error: &io::Error) -> bool {
    use rustix::io::Errno;
    // The last two are what filesystems say of an inode or a block that is not what its checksum says.
    let errnos = [Errno::IO, Errno::LOOP, Errno::NXIO, Errno::UCLEAN, Errno::BADMSG];
    // `open` says so where the kind is another.
    error.kind() == io::ErrorKind::InvalidInput
        || error.kind() == io::ErrorKind::PermissionDenied
        || Errno::from_io_error(error).is_some_and(|errno| errnos.contains(&errno))
}

/// Reads exactly `buffer.len()` bytes.
///
/// # Errors
/// `UnexpectedEof` where the file ends before; else what the file says.
pub fn read_exact_at(file: &dyn File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let n = file.read_at(buffer, offset)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = buffer.get_mut(n..).unwrap_or_default();
        offset += n as u64;
    }
    Ok(())
}

/// Tells whether an error means that the volume, or a quota on it, is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
