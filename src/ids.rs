//! Names and identifiers that several floors share.
//!
//! Every type here can only be made from text or bytes that were checked, so a
//! value of it may be put into a path, a header or a metric label as it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest writer name, in bytes: a chunk's stem (writer plus 36 bytes and
/// more of time, incarnation and sequence) and a member's name must fit into the
/// 100 bytes of a ustar header.
pub const MAX_WRITER_LEN: usize = 36;

/// The longest namespace or capture name, in bytes (RFC 1123 label, as Kubernetes has it).
pub const MAX_LABEL_LEN: usize = 63;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidId {
    /// The text is not a DNS label.
    #[error("`{0}` is not a name: use 1 to {MAX_LABEL_LEN} of a-z, 0-9 and `-`, with a letter or digit at both ends")]
    Label(String),
    /// The text is not a writer name.
    #[error(
        "`{0}` is not a writer id: use 1 to {MAX_WRITER_LEN} of a-z, 0-9 and `-`, with a letter or digit at both ends"
    )]
    Writer(String),
    /// The text is not an incarnation.
    #[error("`{0}` is not an incarnation: it has four lower-case hexadecimal digits")]
    Incarnation(String),
    /// The text is not a trace id.
    #[error("`{0}` is not a trace id: it has 32 hexadecimal digits, not all zero")]
    TraceId(String),
}

/// Names a capture: the namespace and name of its `TraceCapture` object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaptureId {
    namespace: String,
    name: String,
}

impl CaptureId {
    /// Checks both parts and joins them.
    ///
    /// # Errors
    /// [`InvalidId::Label`] names the part that is not a DNS label.
    pub fn new(namespace: &str, name: &str) -> Result<Self, InvalidId> {
        for part in [namespace, name] {
            if !is_label(part, MAX_LABEL_LEN) {
                return Err(InvalidId::Label(part.to_owned()));
            }
        }
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// Returns the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the name within the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for CaptureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Names one writer of chunks: a pod, or a process of `run`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterId(String);

impl WriterId {
    /// Returns the writer's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WriterId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if is_label(text, MAX_WRITER_LEN) { Ok(Self(text.to_owned())) } else { Err(InvalidId::Writer(text.to_owned())) }
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells two lives of the same writer apart: drawn at random at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u16);

impl FromStr for Incarnation {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let lower_hex = text.len() == 4 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        u16::from_str_radix(text, 16)
            .ok()
            .filter(|_| lower_hex)
            .map(Self)
            .ok_or_else(|| InvalidId::Incarnation(text.to_owned()))
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0)
    }
}

/// Identifies a trace: 16 bytes, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// Returns the id, or `None` where `bytes` is not 16 bytes long or all zero.
    ///
    /// Source: OpenTelemetry `trace.proto`, `Span.trace_id`.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let id: [u8; 16] = bytes.try_into().ok()?;
        (id != [0; 16]).then_some(Self(id))
    }

    /// Returns the 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for TraceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::TraceId(text.to_owned());
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        let id = u128::from_str_radix(text, 16).map_err(|_| invalid())?;
        Self::from_bytes(&id.to_be_bytes()).ok_or_else(invalid)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Names the kind of telemetry of a request, a member or a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Signal {
    /// Spans.
    Traces,
}

impl Signal {
    /// Returns the signal's lower-case plural, as it stands in member names, paths and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
        }
    }
}

/// Tells whether `text` is an RFC 1123 label of at most `max_len` bytes.
fn is_label(text: &str, max_len: usize) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty()
        && text.len() <= max_len
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_id_is_two_labels() {
        assert_eq!(CaptureId::new("default", "local").unwrap().to_string(), "default/local");
        for bad in ["", "-a", "a-", "A", "a/b", "..", &"x".repeat(64)] {
            assert_eq!(CaptureId::new("default", bad), Err(InvalidId::Label(bad.to_owned())));
        }
    }

    #[test]
    fn a_writer_id_never_holds_the_separator_of_a_chunk_name() {
        assert!("checkout-collector-0".parse::<WriterId>().is_ok());
        for bad in ["a_b", "a.b", "", &"x".repeat(MAX_WRITER_LEN + 1)] {
            assert!(bad.parse::<WriterId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_round_trip_through_text() {
        assert_eq!("7f3a".parse::<Incarnation>().unwrap().to_string(), "7f3a");
        assert!("7F3A".parse::<Incarnation>().is_err());
        assert!("+123".parse::<Incarnation>().is_err());
        let id: TraceId = "5B8EFFF798038103D269B633813FC60C".parse().unwrap();
        assert_eq!(id.to_string(), "5b8efff798038103d269b633813fc60c");
        assert!("0".repeat(32).parse::<TraceId>().is_err());
    }
}
