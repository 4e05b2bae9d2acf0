//! Where things lie in a data directory, and whether a volume can do what the archive needs.
//!
//! ```text
//! chunks/<stem>.tar                  sealed; .tar.inprogress and .tar.recovering beside it
//! quarantine/<stem>@<offset>.bin     bytes that recovery could not vouch for
//! quarantine/.copy-<stem>-<8 hex>    a copy under way; may be removed once nobody writes to it
//! .lock-<writer>, .reserve-<writer>  one of each per writer
//! ```

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::fs::Fs;
use super::name::{CHUNKS_DIR, ChunkName, ChunkState, QUARANTINE_DIR};
use crate::ids::WriterId;

/// What a lock file's name begins with; the writer's id follows.
const LOCK_PREFIX: &str = ".lock-";

/// What a copy under way begins with.
const COPY: &str = ".copy-";

/// What a probe begins with; one that a crash left is replaced by the next.
const PROBE: &str = ".probe-";

/// A step of the probe: what the archive needs a volume for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Be there, as the volume that it was.
    Reach,
    /// Create the directories.
    Directories,
    /// Create a file that must not exist.
    Create,
    /// Refuse to create a file that exists.
    Exclusive,
    /// Write and sync a file.
    Write,
    /// Rename a file into another directory.
    Rename,
    /// Find the file under its new name.
    Find,
    /// Remove a file.
    Remove,
    /// Sync a directory.
    SyncDirectory,
}

/// Why a directory cannot hold chunks.
///
/// Retrying helps once the volume was mended, and where it is only full.
#[derive(Debug, Error)]
#[error("the volume at `{dir}` cannot {what}", what = .step.as_str())]
pub struct Unfit {
    /// The data directory.
    pub dir: PathBuf,
    /// What it failed at.
    pub step: Step,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl Step {
    fn as_str(self) -> &'static str {
        match self {
            Self::Reach => "be reached",
            Self::Directories => "create the directories of an archive",
            Self::Create => "create a file",
            Self::Exclusive => "refuse to create a file that exists, so two writers could share one",
            Self::Write => "write and sync a file",
            Self::Rename => "rename a file from one directory to another",
            Self::Find => "find a file under its new name",
            Self::Remove => "remove a file",
            Self::SyncDirectory => "sync a directory",
        }
    }
}

impl Unfit {
    /// Returns the stable reason for metrics and conditions.
    pub fn reason(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => "ReadOnly",
            io::ErrorKind::PermissionDenied => "PermissionDenied",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "VolumeFull",
            _ => "VolumeUnfit",
        }
    }
}

/// Returns the directory of chunks.
pub fn chunks_dir(data_dir: &Path) -> PathBuf {
    data_dir.join(CHUNKS_DIR)
}

/// Returns the directory of quarantined bytes and temporary files.
pub fn quarantine_dir(data_dir: &Path) -> PathBuf {
    data_dir.join(QUARANTINE_DIR)
}

/// Returns the path of a chunk in a state.
pub fn chunk_path(data_dir: &Path, chunk: &ChunkName, state: ChunkState) -> PathBuf {
    chunks_dir(data_dir).join(chunk.file_name(state))
}

/// Returns the path of a writer's lock file.
pub fn lock_path(data_dir: &Path, writer: &WriterId) -> PathBuf {
    data_dir.join(format!("{LOCK_PREFIX}{writer}"))
}

/// Counts the writers that ever opened the directory: each of them leaves its lock file there.
///
/// # Errors
/// What the operating system says.
pub fn count_writers(fs: &dyn Fs, data_dir: &Path) -> io::Result<usize> {
    let names = fs.list(data_dir)?;
    Ok(names.iter().filter(|name| name.as_encoded_bytes().starts_with(LOCK_PREFIX.as_bytes())).count())
}

/// Returns the path of a writer's reserve.
pub fn reserve_path(data_dir: &Path, writer: &WriterId) -> PathBuf {
    data_dir.join(format!(".reserve-{writer}"))
}

/// Returns the file name in the quarantine of what lay at `offset` of a chunk.
///
/// `variant` is 0 unless two files of that name held different bytes there.
pub fn quarantine_name(chunk: &ChunkName, offset: u64, variant: u32) -> String {
    match variant {
        0 => format!("{chunk}@{offset}.bin"),
        _ => format!("{chunk}@{offset}-{variant}.bin"),
    }
}

/// Reads the file name of quarantined bytes: chunk and offset; `None` for every other file.
pub fn parse_quarantine_name(file_name: &str) -> Option<(ChunkName, u64)> {
    let (stem, place) = file_name.strip_suffix(".bin")?.split_once('@')?;
    let (offset, variant) = place.split_once('-').unwrap_or((place, "0"));
    let (chunk, offset, variant) = (stem.parse().ok()?, offset.parse().ok()?, variant.parse().ok()?);
    (quarantine_name(&chunk, offset, variant) == file_name).then_some((chunk, offset))
}

/// Returns the file name of a copy under way; `nonce` keeps two copyists apart.
pub fn copy_name(chunk: &ChunkName, nonce: u32) -> String {
    format!("{COPY}{chunk}-{nonce:08x}")
}

/// Tells whether a file of the quarantine directory is a copy or probe under way, or left by a crash.
pub fn is_temporary(file_name: &str) -> bool {
    file_name.starts_with(COPY) || file_name.starts_with(PROBE)
}

/// Returns the device of a data directory, by which [`restore`] knows it again.
///
/// # Errors
/// [`Unfit`] where the directory is not there.
pub fn device(fs: &dyn Fs, data_dir: &Path) -> Result<u64, Unfit> {
    // With a dot, because the directory may be named by a symbolic link.
    let found = fs.stat(&data_dir.join("."));
    found.map(|stat| stat.id.device).map_err(|source| Unfit { dir: data_dir.to_owned(), step: Step::Reach, source })
}

/// Prepares a data directory again that was emptied, or away, while it was in use.
///
/// It neither creates the directory itself nor takes one on another `device`: under a volume
/// that was unmounted lies a directory that nobody meant to fill.
///
/// # Errors
/// [`Unfit`]; worth retrying.
pub fn restore(fs: &dyn Fs, data_dir: &Path, writer: &WriterId, known_device: u64) -> Result<(), Unfit> {
    if device(fs, data_dir)? != known_device {
        let source = io::Error::other("another volume is there, such as the one below a mount that is gone");
        return Err(Unfit { dir: data_dir.to_owned(), step: Step::Reach, source });
    }
    prepare(fs, data_dir, writer)
}

/// Creates the directories and tries everything that the archive needs a volume for.
///
/// Leaves no file behind, whatever it returns; a crash inside may leave a probe, which the next one replaces.
///
/// # Errors
/// [`Unfit`] names the first step that failed.
pub fn prepare(fs: &dyn Fs, data_dir: &Path, writer: &WriterId) -> Result<(), Unfit> {
    let unfit = |step| move |source| Unfit { dir: data_dir.to_owned(), step, source };
    let (chunks, quarantine) = (chunks_dir(data_dir), quarantine_dir(data_dir));
    for dir in [&chunks, &quarantine] {
        fs.create_dir_all(dir).map_err(unfit(Step::Directories))?;
    }
    let name = format!("{PROBE}{writer}");
    let (from, to) = (quarantine.join(&name), chunks.join(&name));
    remove_if_there(fs, &from).and_then(|()| remove_if_there(fs, &to)).map_err(unfit(Step::Remove))?;
    let probed = probe(fs, &from, &to).and_then(|()| {
        let synced = [data_dir, &chunks, &quarantine].into_iter().try_for_each(|dir| fs.sync_dir(dir));
        synced.map_err(|source| (Step::SyncDirectory, source))
    });
    if probed.is_err() {
        // The step's own error is the one to tell; what cannot be cleaned up is replaced by the next probe.
        let _ = remove_if_there(fs, &from).and_then(|()| remove_if_there(fs, &to));
    }
    probed.map_err(|(step, source)| unfit(step)(source))
}

fn probe(fs: &dyn Fs, from: &Path, to: &Path) -> Result<(), (Step, io::Error)> {
    let at = |step| move |source| (step, source);
    let file = fs.create_new(from).map_err(at(Step::Create))?;
    match fs.create_new(from) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err((Step::Exclusive, error)),
        Ok(_) => return Err((Step::Exclusive, io::Error::other("a second create of the same file succeeded"))),
    }
    file.write_all_at(&[0x55; 512], 0).and_then(|()| file.sync_data()).map_err(at(Step::Write))?;
    fs.rename(from, to).map_err(at(Step::Rename))?;
    let (found, opened) = (fs.stat(to).map_err(at(Step::Find))?, file.stat().map_err(at(Step::Find))?);
    if found.id != opened.id || found.len != 512 {
        return Err((Step::Find, io::Error::other("another file was found there")));
    }
    fs.remove(to).map_err(at(Step::Remove))
}

/// Removes a file; that it is gone already is as good.
pub(in crate::archive) fn remove_if_there(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    match fs.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::fs::{RealFs, SimFs};
    use crate::archive::testing::chunk;

    #[test]
    fn names_read_back_and_others_do_not() {
        let chunk = chunk("a", 1, 0);
        for variant in [0, 3] {
            let name = quarantine_name(&chunk, 512, variant);
            assert_eq!(parse_quarantine_name(&name), Some((chunk.clone(), 512)), "{name}");
        }
        for other in [
            "",
            "x@1.bin",
            &format!("{chunk}@1-0.bin"),
            &format!("{chunk}@01.bin"),
            &format!("{chunk}@.bin"),
            &copy_name(&chunk, 7),
        ] {
            assert_eq!(parse_quarantine_name(other), None, "{other}");
        }
        assert!(is_temporary(&copy_name(&chunk, 7)));
    }

    #[test]
    fn a_fit_directory_is_prepared_and_left_empty_even_after_a_crashed_probe() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let writer: WriterId = "a".parse().unwrap();
        prepare(&RealFs, &data, &writer).unwrap();
        RealFs.create_new(&quarantine_dir(&data).join(".probe-a")).unwrap();
        prepare(&RealFs, &data, &writer).unwrap();
        for sub in [chunks_dir(&data), quarantine_dir(&data)] {
            assert!(RealFs.list(&sub).unwrap().is_empty());
        }
    }

    #[test]
    fn a_volume_that_fails_is_told_by_the_step_and_left_clean() {
        use crate::archive::fs::sim::{Effect, Fault, Op};
        let prepare = |fs: &SimFs| prepare(fs, Path::new("/data"), &"a".parse().unwrap());
        let clean = SimFs::new(&["/data"]);
        prepare(&clean).unwrap();
        let table = [
            (Op::Create, Step::Create),
            (Op::Write, Step::Write),
            (Op::Sync, Step::Write),
            (Op::Rename, Step::Rename),
            (Op::Stat, Step::Find),
            (Op::SyncDir, Step::SyncDirectory),
        ];
        for (op, step) in table {
            let fs = SimFs::new(&["/data"]);
            let at = clean.ops().iter().position(|&done| done == op).unwrap() as u64;
            fs.fail(Fault { at, times: 1, kind: io::ErrorKind::PermissionDenied, effect: Effect::None });
            let unfit = prepare(&fs).unwrap_err();
            assert_eq!((unfit.step, unfit.reason()), (step, "PermissionDenied"));
            assert!(fs.paths().is_empty(), "{op:?}");
        }
    }

    #[test]
    fn only_the_directory_that_was_there_is_restored() {
        let scratch = tempfile::tempdir().unwrap();
        let (data, link, writer) = (scratch.path().join("data"), scratch.path().join("link"), "a".parse().unwrap());
        prepare(&RealFs, &data, &writer).unwrap();
        std::os::unix::fs::symlink(&data, &link).unwrap();
        let known = device(&RealFs, &link).unwrap();
        assert_eq!(device(&RealFs, &data).unwrap(), known);
        std::fs::remove_dir_all(&data).unwrap();
        assert_eq!(restore(&RealFs, &data, &writer, known).unwrap_err().step, Step::Reach);
        std::fs::create_dir(&data).unwrap();
        assert_eq!(restore(&RealFs, &data, &writer, known + 1).unwrap_err().step, Step::Reach);
        assert!(RealFs.list(&data).unwrap().is_empty());
        restore(&RealFs, &link, &writer, known).unwrap();
        assert!(RealFs.list(&chunks_dir(&data)).unwrap().is_empty());
    }

    #[test]
    fn a_path_that_is_a_file_is_unfit_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("file");
        RealFs.create_new(&data).unwrap();
        let unfit = prepare(&RealFs, &data, &"a".parse().unwrap()).unwrap_err();
        assert_eq!(unfit.step, Step::Directories);
        assert!(unfit.to_string().contains("create the directories"));
    }
}
