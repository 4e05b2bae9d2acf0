//! How a command ends: its exit code, and one paragraph about what failed.

use std::error::Error;
use std::fmt;
use std::io::Write as _;

use super::escape::escape_for_terminal;

/// How a command ended; scripts rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Not found, or nothing matched.
    NotFound = 3,
    /// Not authenticated, or not allowed.
    Denied = 4,
    /// An archive is damaged.
    Integrity = 5,
    /// A part of the result was written.
    Partial = 6,
    /// It took too long.
    Timeout = 8,
    /// Interrupted by a signal.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        // A `repr(u8)` enum without fields: the cast is its discriminant.
        Self::from(code as u8)
    }
}

/// Why a command did not reach its end: what failed and why, in detail, and what to do next.
#[derive(Debug)]
pub struct Failure {
    code: ExitCode,
    error: Box<dyn Error + Send + Sync>,
    details: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    /// Makes a failure of an error; its sources are printed with it.
    pub fn new(code: ExitCode, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code, error: error.into(), details: Vec::new(), hint: None }
    }

    /// Adds details, each printed on a line of its own.
    #[must_use]
    pub fn with_details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// Adds what to do next: a sentence without a full stop.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Changes how the command ends, where more is known than when it failed.
    #[must_use]
    pub fn with_code(mut self, code: ExitCode) -> Self {
        self.code = code;
        self
    }

    /// Returns the exit code.
    pub fn code(&self) -> ExitCode {
        self.code
    }

    /// Writes the failure to stderr.
    pub fn print(&self, program: &str) {
        // A closed stderr leaves nobody to tell.
        let _ = write!(std::io::stderr().lock(), "{program}: {self}");
    }
}

impl fmt::Display for Failure {
    /// Writes the error with its sources, then details and hint, escaped and each ended by a line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.error.to_string();
        let mut source = self.error.source();
        while let Some(cause) = source {
            let why = cause.to_string();
            // Some libraries repeat the cause in their own text.
            if !said.ends_with(&why) {
                said = format!("{said}: {why}");
            }
            source = cause.source();
        }
        write!(f, "{}", escape_for_terminal(&said))?;
        writeln!(f)?;
        for detail in &self.details {
            writeln!(f, "  {}", escape_for_terminal(detail))?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "hint: {}", escape_for_terminal(hint)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_paragraph_with_its_causes_and_a_hint() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot open `a\u{1b}[2J`")]
        struct Outer(#[source] std::io::Error);

        let cause = std::io::Error::other("permission denied");
        let failure = Failure::new(ExitCode::Failed, Outer(cause))
            .with_details(["line 3: x".to_owned()])
            .with_hint("check the permissions");
        assert_eq!(
            failure.to_string(),
            "cannot open `a\\u{1b}[2J`: permission denied\n  line 3: x\nhint: check the permissions\n"
        );
    }
}
