//! What a transcoded request consists of.

use std::fmt::Debug;

use thiserror::Error;

use super::wire::Stop;
use crate::clock::Timestamp;
use crate::ids::TraceId;

/// How a request's body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Binary protobuf (`application/x-protobuf`, gRPC).
    Protobuf,
    /// OTLP JSON (`application/json`).
    Json,
}

/// Bounds of a transcoding.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A line longer than this many bytes is split at span borders; a single span above it keeps a line of its own.
    pub max_line_bytes: usize,
    /// A segment is closed once it holds this many bytes; so one is at most this plus a line.
    pub segment_bytes: usize,
    /// How deep `AnyValue`s and skipped groups may nest.
    pub max_depth: u32,
    /// A body may become lines of this many times its length: what exporters send becomes twice as long,
    /// but a large resource is repeated in every line, and an empty attribute is short as protobuf alone.
    pub max_growth: usize,
}

/// A segment names services up to this many bytes in all: a frame's trailer keeps no more either.
pub const MAX_SERVICES_BYTES: usize = 16 << 10;

/// However high the limit is set, values nest no deeper than this, so that the stack is safe.
pub(super) const HIGHEST_DEPTH: u32 = 128;

/// Lines up to this many bytes are taken however short their body was.
const FREE_BYTES: usize = 16 << 20;

impl Limits {
    /// Returns how many bytes the lines of a body of `body_len` bytes may have.
    pub(crate) fn max_bytes(&self, body_len: usize) -> usize {
        body_len.saturating_mul(self.max_growth).max(FREE_BYTES)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_line_bytes: 1_000_000, segment_bytes: 1 << 20, max_depth: 64, max_growth: 8 }
    }
}

/// Whole lines of one signal and what is known about them: the unit that becomes part of a frame.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Segment {
    /// OTLP JSON lines, each one `TracesData` object that holds one `ResourceSpans`, each ended by `\n`.
    pub lines: Vec<u8>,
    /// How many lines.
    pub line_count: u32,
    /// How many spans (data points, log records) the lines hold.
    pub items: u32,
    /// Earliest start and latest end of the spans; `None` where no span has a time.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Distinct values of the resource attribute `service.name`; `""` stands for a resource without one.
    ///
    /// The names together have at most [`MAX_SERVICES_BYTES`].
    pub services: Vec<String>,
    /// Whether there are services that `services` does not name, since that would be too long.
    pub has_other_services: bool,
    /// Trace ids of the spans; the same id is not repeated for neighbours, elsewhere it may be.
    pub trace_ids: Vec<TraceId>,
}

impl Segment {
    /// Returns how many bytes of memory it takes, but for the names of its services, which are few.
    pub fn held_bytes(&self) -> usize {
        self.lines.capacity() + self.trace_ids.capacity() * size_of::<TraceId>()
    }
}

/// What a transcoding kept, refused and repaired, beside the lines.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Report {
    /// Spans in the segments.
    pub accepted: u64,
    /// Spans left out because their trace id or span id is invalid.
    pub rejected: u64,
    /// Links left out because of an invalid id.
    pub dropped_links: u64,
    /// Strings in which invalid UTF-8 was replaced by U+FFFD.
    pub repaired_strings: u64,
    /// Spans that alone are longer than a line should be.
    pub oversized_spans: u64,
    /// References into a string table (profiles only), treated as absent.
    pub string_references: u64,
    /// Set where a JSON request holds data only under `snake_case` keys, which OTLP ignores.
    pub snake_case_keys: bool,
}

/// Why a request could not be decoded at all; retrying never helps.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadData {
    /// The bytes are not the protobuf message.
    #[error("cannot decode the protobuf body at byte {offset}: {what}")]
    Protobuf {
        /// Where in the body.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// The bytes are not the JSON document.
    #[error("cannot decode the JSON body at byte {offset}: {what}")]
    Json {
        /// Where in the body.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// Values nest deeper than the limit.
    #[error("values nest deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: u32,
    },
    /// The lines did not get the room that they need; whoever refused it knows whether retrying helps.
    #[error("there is no room for the lines of the body")]
    NoRoom,
    /// The body is made so that its lines become many times longer than itself.
    #[error("as lines the body would have more than {limit} bytes: send fewer spans at a time")]
    TooLong {
        /// The limit.
        limit: usize,
    },
}

/// Grants memory for lines before they are made.
pub trait Room: Debug {
    /// Takes `more` bytes; `false` where they are not to be had.
    fn take(&mut self, more: usize) -> bool;
}

/// As much room as there is memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unbounded;

impl Room for Unbounded {
    fn take(&mut self, _more: usize) -> bool {
        true
    }
}

impl BadData {
    /// Returns the kind of fault: stable, for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Protobuf { .. } => "BadProtobuf",
            Self::Json { .. } => "BadJson",
            Self::TooDeep { .. } => "TooDeep",
            Self::TooLong { .. } => "TooLong",
            Self::NoRoom => "NoRoom",
        }
    }

    pub(super) fn new(encoding: Encoding, stop: Stop, limit: u32) -> Self {
        match (stop, encoding) {
            (Stop::Malformed { offset, what }, Encoding::Protobuf) => Self::Protobuf { offset, what },
            (Stop::Malformed { offset, what }, Encoding::Json) => Self::Json { offset, what },
            (Stop::TooDeep, _) => Self::TooDeep { limit },
            (Stop::TooLong { limit }, _) => Self::TooLong { limit },
            (Stop::NoRoom, _) => Self::NoRoom,
            // The careful way never asks for another one.
            (Stop::Repeats, _) => Self::Protobuf { offset: 0, what: "fields that cannot be merged" },
        }
    }
}
