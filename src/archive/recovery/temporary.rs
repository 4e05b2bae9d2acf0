//! Temporary files: made beside the quarantine, renamed to what they are for, removed where a crash left them.

use std::io;
use std::path::{Path, PathBuf};

use super::Site;
use crate::archive::fs::{File, FileId, Fs};
use crate::archive::layout;
use crate::archive::name::ChunkName;

/// How many names are tried for a temporary file before giving up.
const MAX_NONCES: u32 = 16;

/// Removes temporary files that a crash left in the quarantine directory and returns how many.
///
/// # Errors
/// The first that could not be removed; another try may help.
pub fn remove_temporaries(fs: &dyn Fs, data_dir: &Path, file_names: &[String]) -> io::Result<usize> {
    let dir = layout::quarantine_dir(data_dir);
    let ours = file_names.iter().filter(|name| layout::is_temporary(name));
    let mut removed = 0;
    for file_name in ours {
        layout::remove_if_there(fs, &dir.join(file_name))?;
        removed += 1;
    }
    if removed > 0 {
        fs.sync_dir(&dir)?;
    }
    Ok(removed)
}

/// Creates a temporary file for a chunk's bytes.
pub(super) fn create(site: Site<'_>, chunk: &ChunkName) -> io::Result<(PathBuf, Box<dyn File>)> {
    let dir = layout::quarantine_dir(site.data_dir);
    for step in 0..MAX_NONCES {
        let path = dir.join(layout::copy_name(chunk, site.nonce.wrapping_add(step)));
        match site.fs.create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Renames a file; where the answer is an error, looks whether it happened all the same.
///
/// A network filesystem repeats a rename whose reply was lost, and then says "not found".
pub(super) fn rename(fs: &dyn Fs, from: &Path, to: &Path, id: FileId) -> io::Result<()> {
    fs.rename(from, to).or_else(|error| match fs.stat(to) {
        Ok(found) if found.id == id => Ok(()),
        _ => Err(error),
    })
}
