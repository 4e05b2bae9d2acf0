//! Writing a command's result to stdout.

use std::io::{ErrorKind, Write as _};

use serde::Serialize;
use thiserror::Error;

use super::escape::escape_for_terminal;
use super::exit::{ExitCode, Failure};

/// Why a result could not be written.
#[derive(Debug, Error)]
#[error("cannot write to stdout")]
pub struct OutputError(#[from] std::io::Error);

/// Writes `text` to stdout and flushes it.
///
/// A reader that went away, such as `head`, has all it wanted: that is no failure.
///
/// # Errors
/// [`OutputError`] as a [`Failure`], such as when the disk behind a redirection is full.
pub fn write_stdout(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(ExitCode::Failed, OutputError(error))),
        _ => Ok(()),
    }
}

/// Writes `value` to stdout as indented JSON with a line end.
///
/// # Errors
/// As [`write_stdout`].
pub fn write_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::new(ExitCode::Failed, error))?;
    write_stdout(&(text + "\n"))
}

/// Writes a message to stderr, where it is in no program's way.
pub fn say(text: &str) {
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{}", escape_for_terminal(text));
}
