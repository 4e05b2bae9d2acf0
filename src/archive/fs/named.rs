//! What a person named on a command line: links are followed, pipes are read.
//!
//! [`Fs::open`](super::Fs::open) refuses both, because in a data directory nothing but
//! regular files has any business; a person who types a path means what it leads to.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// A file or pipe to be read from its beginning.
pub type Input = Box<dyn Read + Send>;

/// Tells whether the path leads to a directory.
///
/// # Errors
/// What the operating system says, `NotFound` first of all.
pub fn is_directory(path: &Path) -> io::Result<bool> {
    Ok(fs::metadata(path)?.is_dir())
}

/// Opens a file or pipe for reading.
///
/// # Guarantees
/// A regular file is read up to the length that it has now: what a live writer appends later is not seen.
///
/// # Errors
/// What the operating system says.
#[expect(clippy::disallowed_methods, reason = "part of the filesystem seam")]
pub fn open(path: &Path) -> io::Result<Input> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok(Box::new(file.take(metadata.len()))) } else { Ok(Box::new(file)) }
}

/// Opens a file for reading and writing as its only owner, or creates it; a symbolic link is an error.
///
/// # Errors
/// `ResourceBusy` where another process has it open in the same way; else what the operating system says.
pub fn own(path: &Path) -> io::Result<Box<dyn super::File>> {
    super::real::own(path)
}
