//! One fault of a `TraceCapture`: where it is, what is wrong and what to write instead.

use std::fmt;

/// A fault of a `TraceCapture`.
///
/// The texts quote what the author wrote: escape them before a terminal sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, such as `spec.chunk.maxBytes`; empty where the whole object is meant.
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
    /// The line in the file, counted from 1; `None` where the object came from elsewhere.
    pub line: Option<u64>,
}

impl Fault {
    /// Makes a fault without a line.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), line: None }
    }
}

impl fmt::Display for Fault {
    /// Writes `line 7: spec.chunk.maxBytes: message`, without the parts that are not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}
