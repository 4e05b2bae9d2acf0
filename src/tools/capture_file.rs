//! Reading a `TraceCapture` file, or stdin.

use std::io::Read;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::exit::{ExitCode, Failure};
use crate::api::{self, Fault, ValidCapture};

/// The largest file that is read: 1 MiB, far above what the API server takes for one object.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why there is no valid capture in a file.
#[derive(Debug, Error)]
pub enum CaptureFileError {
    /// The file cannot be read. Worth retrying where someone is about to write it.
    #[error("cannot read {name}")]
    Read {
        /// The file, for people.
        name: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than 1 MiB.
    #[error("cannot read {name}: it is larger than 1 MiB")]
    TooLarge {
        /// The file, for people.
        name: String,
    },
    /// The file has faults. No retry helps before it is edited.
    #[error("{name} is not a valid TraceCapture: {} {}", faults.len(), if faults.len() == 1 { "fault" } else { "faults" })]
    Faults {
        /// The file, for people.
        name: String,
        /// Every fault, in the order of lines.
        faults: Vec<Fault>,
    },
}

impl CaptureFileError {
    /// Returns the faults of the file; empty where it could not be read.
    pub fn faults(&self) -> &[Fault] {
        match self {
            Self::Read { .. } | Self::TooLarge { .. } => &[],
            Self::Faults { faults, .. } => faults,
        }
    }
}

impl From<CaptureFileError> for Failure {
    fn from(error: CaptureFileError) -> Self {
        let details: Vec<String> = error.faults().iter().map(ToString::to_string).collect();
        let hint = match error {
            CaptureFileError::Read { .. } => "give the path of a TraceCapture YAML file, or `-` for stdin",
            CaptureFileError::TooLarge { .. } => "give a file with one TraceCapture and nothing else",
            CaptureFileError::Faults { .. } => {
                "correct these lines; `kubectl explain tracecapture.spec` describes every field"
            }
        };
        Self::new(ExitCode::Failed, error).with_details(details).with_hint(hint)
    }
}

/// A capture file and the text that was read from it last.
#[derive(Debug)]
pub struct CaptureFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl CaptureFile {
    /// Reads and checks the capture in `path`; `-` is stdin.
    ///
    /// # Errors
    /// [`CaptureFileError`], with every fault at once.
    pub fn open(path: &Path) -> Result<(Self, ValidCapture), CaptureFileError> {
        let text = read_text(path)?;
        let capture = check(path, &text)?;
        Ok((Self { path: path.to_owned(), text }, capture))
    }

    /// Names the file for people.
    pub(super) fn name(&self) -> String {
        name_of(&self.path)
    }

    /// Tells whether the capture came from stdin, which cannot change later.
    pub fn is_stdin(&self) -> bool {
        is_stdin(&self.path)
    }
}

/// Checks a text that was read from `path`.
pub(super) fn check(path: &Path, text: &str) -> Result<ValidCapture, CaptureFileError> {
    api::parse(text).map_err(|faults| CaptureFileError::Faults { name: name_of(path), faults })
}

/// Reads the whole text of `path`, or of stdin for `-`.
#[expect(
    clippy::disallowed_methods,
    reason = "the capture file is a person's input; the seam of `archive::fs` is for what lies in a data directory"
)]
pub(super) fn read_text(path: &Path) -> Result<String, CaptureFileError> {
    let name = name_of(path);
    let bounded = |reader: &mut dyn Read| {
        let mut text = String::new();
        reader.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map(|_| text)
    };
    let text = if is_stdin(path) {
        bounded(&mut std::io::stdin().lock())
    } else {
        std::fs::File::open(path).and_then(|mut file| bounded(&mut file))
    };
    match text {
        Ok(text) if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES => {
            Err(CaptureFileError::TooLarge { name })
        }
        Ok(text) => Ok(text),
        Err(source) => Err(CaptureFileError::Read { name, source }),
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Names a file for people.
pub(super) fn name_of(path: &Path) -> String {
    if is_stdin(path) { "stdin".to_owned() } else { format!("`{}`", path.display()) }
}
