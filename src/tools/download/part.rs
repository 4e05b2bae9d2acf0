//! What is received so far: `FILE.part`, and beside it which snapshot its bytes are of.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::archive::fs::{File, Fs as _, RealFs, named, read_exact_at};
use crate::tools::exit::{ExitCode, Failure};

/// The longest state that is read; ours has about 300 bytes.
const MAX_STATE: u64 = 64 << 10;

/// Which bytes a part holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Snapshot {
    /// Namespace and name of the capture.
    pub(super) capture: String,
    /// What was asked for.
    pub(super) query: String,
    /// The entity tag of the whole; `None` where it had none, and so cannot be continued.
    pub(super) etag: Option<String>,
    /// The length of the whole, in bytes.
    pub(super) total: u64,
}

/// A download on its way to become a file.
pub(super) struct Part {
    file: Box<dyn File>,
    path: PathBuf,
    state_path: PathBuf,
    capture: String,
    query: String,
    len: u64,
    snapshot: Option<Snapshot>,
}

/// Why a part cannot be written or continued.
#[derive(Debug, Error)]
enum PartError {
    #[error("cannot write `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("another process is downloading to `{}`", .0.display())]
    Busy(PathBuf),
    #[error("`{}` was begun by another download: of {found}, not of {wanted}", path.display())]
    Other { path: PathBuf, found: String, wanted: String },
    #[error("`{}` was not begun by this command: nothing says what it is of", .0.display())]
    Unknown(PathBuf),
    #[error("cannot rename `{}`", .0.display())]
    Rename(PathBuf, #[source] io::Error),
}

impl Part {
    /// Opens what an earlier try left, or begins a new one.
    ///
    /// # Errors
    /// A [`Failure`] where it belongs to something else and `restart` does not say to forget that.
    pub(super) fn open(target: &Path, capture: &str, query: &str, restart: bool) -> Result<Self, Failure> {
        let (path, state_path) = (with_ending(target, ".part"), with_ending(target, ".part.json"));
        let file = named::own(&path).map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => Failure::new(ExitCode::Failed, PartError::Busy(path.clone()))
                .with_hint("wait for it, or give another file with -o"),
            _ => failed(&path, error),
        })?;
        let len = file.stat().map_err(|error| failed(&path, error))?.len;
        let snapshot = if restart { None } else { read_state(&state_path) };
        let (capture, query) = (capture.to_owned(), query.to_owned());
        let mut part = Self { file, path, state_path, capture, query, len, snapshot };
        if restart || len == 0 {
            part.snapshot = None;
            part.cut_to_nothing()?;
            return Ok(part);
        }
        part.check()?;
        Ok(part)
    }

    /// Refuses a part of something else.
    fn check(&self) -> Result<(), Failure> {
        let describe = |capture: &str, query: &str| {
            if query.is_empty() { capture.to_owned() } else { format!("{capture} with `{query}`") }
        };
        let error = match &self.snapshot {
            Some(Snapshot { capture, query, .. }) if (capture, query) == (&self.capture, &self.query) => return Ok(()),
            Some(Snapshot { capture, query, .. }) => PartError::Other {
                path: self.path.clone(),
                found: describe(capture, query),
                wanted: describe(&self.capture, &self.query),
            },
            None => PartError::Unknown(self.path.clone()),
        };
        Err(Failure::new(ExitCode::Failed, error)
            .with_hint("add --restart to forget it and begin anew, or give another file with -o"))
    }

    /// Returns how many bytes are there.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Returns where they are.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the tag under which the whole is continued; `None` where there is nothing to continue.
    pub(super) fn tag(&self) -> Option<&str> {
        self.snapshot.as_ref().filter(|_| self.len > 0)?.etag.as_deref()
    }

    /// Returns the length of the whole, once it is known.
    pub(super) fn total(&self) -> Option<u64> {
        self.snapshot.as_ref().map(|snapshot| snapshot.total)
    }

    /// Begins anew with a snapshot.
    ///
    /// # Errors
    /// A [`Failure`] where the disk refuses.
    pub(super) fn begin(&mut self, etag: Option<String>, total: u64) -> Result<(), Failure> {
        // Emptied first: a crash in between must not leave old bytes under a new tag.
        self.cut_to_nothing()?;
        let snapshot = Snapshot { capture: self.capture.clone(), query: self.query.clone(), etag, total };
        let text = serde_json::to_vec(&snapshot).map_err(|error| failed(&self.state_path, error.into()))?;
        let write = || -> io::Result<()> {
            let state = named::own(&self.state_path)?;
            state.set_len(0)?;
            state.write_all_at(&text, 0)
        };
        write().map_err(|error| failed(&self.state_path, error))?;
        self.snapshot = Some(snapshot);
        Ok(())
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// A [`Failure`] where the disk refuses.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all_at(bytes, self.len).map_err(|error| failed(&self.path, error))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Makes the bytes durable.
    ///
    /// # Errors
    /// A [`Failure`] where the disk refuses.
    pub(super) fn sync(&self) -> Result<(), Failure> {
        self.file.sync_data().map_err(|error| failed(&self.path, error))
    }

    /// Gives the part its name.
    ///
    /// # Errors
    /// A [`Failure`] where the disk refuses.
    pub(super) fn finish(self, target: &Path) -> Result<(), Failure> {
        let renamed = RealFs.rename(&self.path, target);
        renamed.map_err(|error| Failure::new(ExitCode::Failed, PartError::Rename(self.path.clone(), error)))?;
        // A state without a part says nothing to anybody.
        let _ = RealFs.remove(&self.state_path);
        Ok(())
    }

    /// Removes it.
    ///
    /// # Errors
    /// A [`Failure`] where the disk refuses.
    pub(super) fn discard(self) -> Result<(), Failure> {
        let _ = RealFs.remove(&self.state_path);
        RealFs.remove(&self.path).map_err(|error| failed(&self.path, error))
    }

    fn cut_to_nothing(&mut self) -> Result<(), Failure> {
        self.file.set_len(0).map_err(|error| failed(&self.path, error))?;
        self.len = 0;
        Ok(())
    }
}

/// Reads the state; `None` where there is none that makes sense.
fn read_state(path: &Path) -> Option<Snapshot> {
    let file = RealFs.open(path).ok()?;
    let len = file.stat().ok()?.len;
    let mut text = vec![0; usize::try_from(len.min(MAX_STATE)).ok()?];
    read_exact_at(&*file, &mut text, 0).ok()?;
    serde_json::from_slice(&text).ok()
}

fn failed(path: &Path, source: io::Error) -> Failure {
    let failure = Failure::new(ExitCode::Failed, PartError::Write { path: path.to_owned(), source });
    failure.with_hint("make room or choose another place with -o; what is there is kept")
}

/// Returns a path with an ending added to its name.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}
