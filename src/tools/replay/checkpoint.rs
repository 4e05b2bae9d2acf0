//! The checkpoint: how far a replay is, in a file that is replaced as a whole.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::args::ReplayArgs;
use super::position::Done;
use crate::archive::fs::{Fs as _, RealFs, named};
use crate::otlp::export::Shift;
use crate::tools::exit::{ExitCode, Failure};

/// The version of the file; another one is not read. The first one knew a single place in all that is read.
const FORMAT: u32 = 2;

/// The longest file that is read: a chunk or file takes about a hundred bytes.
const MAX_BYTES: u64 = 64 << 20;

/// Spans by what became of them; `read` is the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Spans whose outcome is known.
    pub(super) read: u64,
    /// Spans that the endpoint took.
    pub(super) sent: u64,
    /// Spans that it refused by partial success.
    pub(super) rejected: u64,
    /// Spans of requests that it refused.
    pub(super) failed: u64,
}

/// How far a replay is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checkpoint {
    format: u32,
    paths: Vec<PathBuf>,
    to: String,
    /// Decided once, so that all spans are moved alike. Nanoseconds as text: JSON numbers end at 2^53.
    shift_nanos: String,
    /// The spans whose outcome is known.
    pub(super) done: Done,
    /// What became of them.
    pub(super) tally: Tally,
}

/// What every version of the file has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, Error)]
pub(super) enum CheckpointError {
    /// The file cannot be read. Whether a retry helps is in the source.
    #[error("cannot read the checkpoint `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is no checkpoint.
    #[error("`{}` is no checkpoint of a replay", path.display())]
    Malformed {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// It was written by another version.
    #[error("the checkpoint `{}` has format {format}, this program reads {FORMAT}", path.display())]
    Format { path: PathBuf, format: u32 },
    /// The file cannot be written.
    #[error("cannot write the checkpoint `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It belongs to another replay.
    #[error("the checkpoint is of another replay: it has {what} `{known}`, not `{typed}`")]
    Another { what: &'static str, known: String, typed: String },
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        let (code, hint) = match &error {
            CheckpointError::Read { .. } | CheckpointError::Write { .. } => {
                (ExitCode::Failed, "see to the file and its directory, then go on with the same command")
            }
            _ => (ExitCode::Usage, "name another --checkpoint, or remove the file to begin anew"),
        };
        Self::new(code, error).with_hint(hint)
    }
}

impl Checkpoint {
    /// Makes the checkpoint of a replay that begins.
    pub(super) fn new(args: &ReplayArgs, shift: Shift) -> Self {
        Self {
            format: FORMAT,
            paths: args.paths.clone(),
            to: args.to.to_string(),
            shift_nanos: shift.0.to_string(),
            done: Done::default(),
            tally: Tally::default(),
        }
    }

    /// Checks that it is of the replay that was asked for.
    pub(super) fn check(&self, args: &ReplayArgs) -> Result<(), CheckpointError> {
        let another = |what, known, typed| Err(CheckpointError::Another { what, known, typed });
        if self.to != args.to.to_string() {
            return another("the endpoint", self.to.clone(), args.to.to_string());
        }
        if self.paths != args.paths {
            let text =
                |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ");
            return another("the paths", text(&self.paths), text(&args.paths));
        }
        Ok(())
    }

    /// Returns how far times are moved.
    pub(super) fn shift(&self) -> Shift {
        Shift(self.shift_nanos.parse().unwrap_or_default())
    }
}

/// The file of a checkpoint.
#[derive(Debug, Clone)]
pub(super) struct CheckpointFile {
    path: PathBuf,
}

impl CheckpointFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Reads it; `None` where there is no such file.
    pub(super) fn read(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        let failed = |source| CheckpointError::Read { path: self.path.clone(), source };
        let mut input = match named::open(&self.path) {
            Ok(input) => io::Read::take(input, MAX_BYTES),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut text = Vec::new();
        io::Read::read_to_end(&mut input, &mut text).map_err(failed)?;
        let malformed = |source| CheckpointError::Malformed { path: self.path.clone(), source };
        // The version first: nothing else of another one can be relied on.
        match serde_json::from_slice(&text).map_err(malformed)? {
            Version { format: FORMAT } => serde_json::from_slice(&text).map(Some).map_err(malformed),
            Version { format } => Err(CheckpointError::Format { path: self.path.clone(), format }),
        }
    }

    /// Replaces it: after a crash the old one or the new one is there, whole.
    pub(super) fn write(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let failed = |source| CheckpointError::Write { path: self.path.clone(), source };
        let text = serde_json::to_vec(checkpoint).map_err(|error| failed(error.into()))?;
        self.replace(&text).map_err(failed)
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let mut part = self.path.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        // One that a crash left is nobody's any more.
        match RealFs.remove(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = RealFs.create_new(&part)?;
        file.write_all_at(text, 0)?;
        // Before the rename: a crash between the two must not leave an empty file under the name.
        file.sync_data()?;
        RealFs.rename(&part, &self.path)?;
        let directory = self.path.parent().filter(|directory| !directory.as_os_str().is_empty());
        RealFs.sync_dir(directory.unwrap_or(Path::new(".")))
    }
}
