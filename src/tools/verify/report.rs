//! What `verify` says: one line per chunk, totals, and the same as JSON.

use std::fmt;

use serde::Serialize;

use crate::tools::escape::escape_for_terminal;

/// The verdict about one chunk or foreign file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Status {
    /// Everything is as it was vouched for.
    Ok,
    /// It ends in the middle: being written, left by a crash, or cut.
    Torn,
    /// Something that was vouched for is not intact.
    Damaged,
    /// Intact, and sealed by recovery out of what a crash had left.
    Recovered,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Torn => "torn",
            Self::Damaged => "damaged",
            Self::Recovered => "recovered",
        }
    }
}

/// What was found in one chunk or foreign file.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChunkReport {
    /// The chunk's stem, or the file's name.
    pub(super) chunk: String,
    /// The verdict.
    pub(super) status: Status,
    /// Whether something that was vouched for is damaged or missing.
    pub(super) failed: bool,
    /// Whether it failed for what the bundle itself says is missing, and for nothing else.
    pub(super) at_source: bool,
    /// Intact frames; 0 for foreign data.
    pub(super) frames: u64,
    /// Lines that could be read.
    pub(super) lines: u64,
    /// Spans in them.
    pub(super) spans: u64,
    /// Length of the lines in bytes.
    pub(super) bytes: u64,
    /// What is wrong, the first few.
    pub(super) issues: Vec<String>,
    /// How many more are.
    pub(super) more_issues: u64,
}

impl ChunkReport {
    pub(super) fn new(chunk: &str) -> Self {
        Self {
            chunk: chunk.to_owned(),
            status: Status::Ok,
            failed: false,
            at_source: false,
            frames: 0,
            lines: 0,
            spans: 0,
            bytes: 0,
            issues: Vec::new(),
            more_issues: 0,
        }
    }

    /// Stands for a chunk whose file could not be read when the bundle was made.
    pub(super) fn unreadable(chunk: &str) -> Self {
        let issue = "its file could not be read where the bundle was made: nothing of it is here";
        let issues = vec![issue.to_owned()];
        Self { status: Status::Damaged, failed: true, at_source: true, issues, ..Self::new(chunk) }
    }
}

impl fmt::Display for ChunkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chunk, status, spans, bytes, issues, more_issues, failed: _, at_source: _, frames: _, lines: _ } =
            self;
        write!(f, "{:<9}  {}  {spans} spans  {bytes} bytes", status.as_str(), escape_for_terminal(chunk))?;
        for (n, issue) in issues.iter().enumerate() {
            write!(f, "{} {}", if n == 0 { ":" } else { ";" }, escape_for_terminal(issue))?;
        }
        if *more_issues > 0 { write!(f, "; and {more_issues} more") } else { Ok(()) }
    }
}

/// The sums over all chunks.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Totals {
    /// Chunks and foreign files.
    pub(super) chunks: u64,
    /// Those that are as they were vouched for.
    ok: u64,
    /// Those that end in the middle.
    torn: u64,
    /// Those that are not intact.
    damaged: u64,
    /// Those sealed by recovery.
    recovered: u64,
    /// Those in which something that was vouched for is damaged or missing.
    pub(super) failed: u64,
    /// Those of them for which the bundle itself says so, and nothing else is wrong.
    pub(super) at_source: u64,
    /// Spans in all of them.
    spans: u64,
    /// Length of all lines in bytes.
    bytes: u64,
}

impl Totals {
    /// Tells whether no span was found, nor anything wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.spans == 0 && self.failed == 0
    }

    pub(super) fn add(&mut self, report: &ChunkReport) {
        self.chunks += 1;
        self.failed += u64::from(report.failed);
        self.at_source += u64::from(report.at_source);
        self.spans += report.spans;
        self.bytes += report.bytes;
        *match report.status {
            Status::Ok => &mut self.ok,
            Status::Torn => &mut self.torn,
            Status::Damaged => &mut self.damaged,
            Status::Recovered => &mut self.recovered,
        } += 1;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chunks, ok, torn, damaged, recovered, failed: _, at_source: _, spans, bytes } = self;
        let noun = if *chunks == 1 { "chunk" } else { "chunks" };
        write!(
            f,
            "total: {chunks} {noun} ({ok} ok, {torn} torn, {damaged} damaged, {recovered} recovered), {spans} spans, {bytes} bytes"
        )
    }
}

/// All of it, as a program reads it.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    /// One per chunk, in the order of reading.
    pub(super) chunks: &'a [ChunkReport],
    /// The sums.
    pub(super) totals: &'a Totals,
}
