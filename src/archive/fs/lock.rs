//! One owner per writer id on one machine.
//!
//! A convenience, never the safety argument: on a shared volume the lock may be known
//! to one client only. Two writers of one id would still differ in their incarnation
//! and so never share a chunk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The longest text that is read out of a lock file.
const MAX_OWNER: u64 = 256;

/// Held until it is dropped, or the process ends however it ends.
#[derive(Debug)]
pub struct Lock {
    // The system gives the lock back when the file is closed. The file stays: removing
    // it would let a third process lock a new one while a second waits for the old.
    file: File,
    path: PathBuf,
}

/// Why a lock was not taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process has it. Retrying helps once that process has ended.
    #[error("cannot lock `{path}`: {owner} has it")]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What the owner wrote about itself.
        owner: String,
    },
    /// The filesystem knows no locks; going on without is safe. Never worth retrying.
    #[error("cannot lock `{path}`: this filesystem has no locks")]
    Unsupported {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file could not be opened, locked or written.
    #[error("cannot lock `{path}`")]
    Failed {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl LockError {
    /// Returns the stable reason for metrics and conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Held { .. } => "WriterLocked",
            Self::Unsupported { .. } => "LocksUnsupported",
            Self::Failed { .. } => "LockFailed",
        }
    }
}

impl Lock {
    /// Takes the lock and writes process id and host into its file; never waits.
    ///
    /// # Errors
    /// [`LockError`]; [`LockError::Held`] names the owner.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Failed { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { path: path.to_owned(), owner: owner(&file) });
            }
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                return Err(LockError::Unsupported { path: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // On a full volume the text may not fit; the lock holds all the same.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "process {} on {}", std::process::id(), host()));
        Ok(Self { file, path: path.to_owned() })
    }

    /// Tells whether the path still leads to the locked file; where it does not, others can take the lock.
    pub fn is_in_place(&self) -> bool {
        let (held, found) = (self.file.metadata(), fs::symlink_metadata(&self.path));
        matches!((held, found), (Ok(held), Ok(found)) if (held.dev(), held.ino()) == (found.dev(), found.ino()))
    }
}

/// Returns what the owner of a lock wrote about itself.
fn owner(file: &File) -> String {
    let mut text = String::new();
    let read = file.take(MAX_OWNER).read_to_string(&mut text);
    let text = text.trim();
    if read.is_err() || text.is_empty() { "another process".to_owned() } else { text.to_owned() }
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "this host".to_owned() } else { name.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::fs::{Fs as _, RealFs};

    #[test]
    fn a_second_owner_is_told_who_the_first_is_until_that_one_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock-a");
        let first = Lock::acquire(&path).unwrap();
        let held = Lock::acquire(&path).unwrap_err().to_string();
        assert!(held.contains(&format!("process {} on ", std::process::id())), "{held}");
        drop(first);
        Lock::acquire(&path).unwrap();
    }

    #[test]
    fn a_lock_whose_file_is_gone_is_out_of_place_and_can_be_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock-a");
        let first = Lock::acquire(&path).unwrap();
        assert!(first.is_in_place());
        RealFs.remove(&path).unwrap();
        assert!(!first.is_in_place());
        let again = Lock::acquire(&path).unwrap();
        assert!(again.is_in_place() && !first.is_in_place());
        assert!(matches!(Lock::acquire(&path), Err(LockError::Held { .. })));
    }
}
