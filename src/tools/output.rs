//! Writing a command's result to stdout.

use std::io::{ErrorKind, IsTerminal, Write as _};

use serde::Serialize;
use thiserror::Error;

use super::escape::{escape_for_terminal, escape_json_lines_for_terminal};
use super::exit::{ExitCode, Failure};

/// Why a result could not be written.
#[derive(Debug, Error)]
#[error("cannot write to stdout")]
pub struct OutputError(#[from] std::io::Error);

/// How JSON is written that holds what others wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The very bytes, for files and pipes.
    Raw,
    /// Without what could steer a terminal; it still means the same.
    Escaped,
}

impl Form {
    /// Returns the form for a stream.
    pub fn of(stream: &impl IsTerminal) -> Self {
        if stream.is_terminal() { Self::Escaped } else { Self::Raw }
    }
}

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

/// Writes `value` to stdout as indented JSON with a line end; on a terminal, escaped.
///
/// # Errors
/// As [`write_stdout`].
pub fn write_json(value: &impl Serialize) -> Result<(), Failure> {
    write_stdout(&json(value, Form::of(&std::io::stdout()))?)
}

/// Returns `value` as indented JSON with a line end.
fn json(value: &impl Serialize, form: Form) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::new(ExitCode::Failed, error))? + "\n";
    Ok(match form {
        Form::Raw => text,
        Form::Escaped => escape_json_lines_for_terminal(text.as_bytes()).into_owned(),
    })
}

/// Writes a message to stderr, where it is in no program's way.
pub fn say(text: &str) {
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{}", escape_for_terminal(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_gets_json_escaped() {
        let value = serde_json::json!({ "operation": "a\u{1b}[2J\u{9b}2J\u{202e}\u{7f}\n", "spans": 1 });
        let (raw, escaped) = (json(&value, Form::Raw).unwrap(), json(&value, Form::Escaped).unwrap());
        assert!(raw.contains("\u{9b}2J\u{202e}\u{7f}"), "{raw:?}");
        let told = "{\n  \"operation\": \"a\\u001b[2J\\u009b2J\\u202e\\u007f\\n\",\n  \"spans\": 1\n}\n";
        assert_eq!(escaped, told);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }
}
