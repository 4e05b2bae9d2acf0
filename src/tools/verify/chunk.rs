//! The check of one chunk: frames against lines, index against frames, manifest against sums.

use super::bundle::{Kept, Promise};
use super::report::{ChunkReport, Status};
use crate::archive::index::{self, FrameRef};
use crate::archive::manifest::{Manifest, SealedBy};
use crate::archive::read::{Damage, Origin};
use crate::archive::trailer::Facts;
use crate::otlp::view::for_each_span;

/// How many issues are told per chunk; the rest is counted.
const MAX_ISSUES: usize = 5;

/// What is known of a chunk so far.
pub(super) struct ChunkCheck {
    report: ChunkReport,
    origin: Origin,
    last_sequence: Option<u32>,
    raw_bytes: u64,
    /// A checksum of each frame's place and trailer: what the index must say, in four bytes a frame.
    frame_sums: Vec<u32>,
    is_torn: bool,
    is_recovered: bool,
}

impl ChunkCheck {
    pub(super) fn new(name: &str, origin: Origin) -> Self {
        Self {
            origin,
            report: ChunkReport::new(name),
            last_sequence: None,
            raw_bytes: 0,
            frame_sums: Vec::new(),
            is_torn: false,
            is_recovered: false,
        }
    }

    /// Holds a frame's lines against its trailer.
    pub(super) fn frame(&mut self, frame: &FrameRef, lines: &[u8]) {
        let FrameRef { span, trailer, .. } = frame;
        if self.last_sequence.is_some_and(|last| trailer.sequence <= last) {
            self.issue(format!("frame {} at byte {} is out of order", trailer.sequence, span.start));
        }
        self.last_sequence = Some(trailer.sequence);
        let spans = self.lines(lines, Some(&trailer.facts), &format!("the frame at byte {}", span.start));
        if spans != u64::from(trailer.facts.items) {
            let stated = trailer.facts.items;
            self.issue(format!("the frame at byte {} holds {spans} spans, its trailer says {stated}", span.start));
        }
        self.report.frames += 1;
        self.raw_bytes += u64::from(trailer.raw_len);
        self.frame_sums.push(sum_of(frame));
    }

    /// Checks lines that nothing vouches for.
    pub(super) fn foreign(&mut self, member: &str, lines: &[u8]) {
        self.lines(lines, None, &format!("`{member}`"));
    }

    /// Reads every line and returns how many spans there are.
    fn lines(&mut self, lines: &[u8], facts: Option<&Facts>, place: &str) -> u64 {
        let mut n_spans = 0;
        for line in lines.split_inclusive(|&b| b == b'\n') {
            let mut is_denied = false;
            let result = for_each_span(line, |span| {
                n_spans += 1;
                is_denied |= facts.is_some_and(|facts| {
                    !facts.may_have_service(span.service)
                        || span.trace_id.is_some_and(|id| !facts.trace_ids.may_contain(&id))
                });
            });
            self.report.lines += 1;
            // Blank lines separate nothing and stand for nothing in JSON lines of others.
            if let (Err(error), false) = (result, facts.is_none() && line.trim_ascii().is_empty()) {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                self.issue(format!("line {} ({place}): {error}{cause}", self.report.lines));
            }
            if is_denied {
                // A reader that trusted the trailer would have passed over this line.
                self.issue(format!("line {} ({place}) holds spans that its trailer denies", self.report.lines));
            }
        }
        self.report.spans += n_spans;
        self.report.bytes += lines.len() as u64;
        n_spans
    }

    pub(super) fn damage(&mut self, Damage { span, what }: &Damage) {
        self.issue(format!("bytes {} to {}: {what}", span.start, span.end));
    }

    pub(super) fn torn(&mut self, Damage { span, what }: &Damage) {
        self.is_torn = true;
        self.note(format!("ends at byte {}, then {} bytes: {what}", span.start, span.end - span.start));
    }

    /// Holds the index against the frames in front of it.
    ///
    /// A chunk without one is no worse: so it is sealed on a volume that is nearly full.
    pub(super) fn index(&mut self, body: &[u8]) {
        let Some(frames) = index::decode(body) else { return self.issue("the index is damaged".to_owned()) };
        if !frames.iter().map(sum_of).eq(self.frame_sums.iter().copied()) {
            self.issue(format!(
                "the index lists {} frames that are not the {} found",
                frames.len(),
                self.report.frames
            ));
        }
    }

    /// Holds the manifest against the sums of the frames.
    pub(super) fn manifest(&mut self, body: &[u8]) {
        let manifest: Manifest = match serde_json::from_slice(body) {
            Ok(manifest) => manifest,
            Err(error) => return self.issue(format!("cannot read the manifest: {error}")),
        };
        let ChunkReport { frames, lines, spans, .. } = self.report;
        let sums = [
            ("frames", manifest.frames, frames),
            ("lines", manifest.lines, lines),
            ("spans", manifest.items, spans),
            ("bytes", manifest.raw_bytes, self.raw_bytes),
        ];
        for (what, stated, found) in sums {
            if stated != found {
                self.issue(format!("the manifest says {stated} {what}, {found} are there"));
            }
        }
        if manifest.chunk != self.report.chunk {
            self.issue(format!("the manifest is that of `{}`", manifest.chunk));
        }
        if manifest.sealed_by == SealedBy::Recovery {
            self.is_recovered = true;
            let lost: u64 = manifest.damage.iter().map(|damage| damage.len).sum();
            if lost > 0 {
                self.note(format!("recovery left out {lost} bytes"));
            }
        }
    }

    /// Notes that the end is missing, of a chunk or file that is complete or nothing.
    pub(super) fn cut_short(&mut self) {
        self.is_torn = true;
        self.report.failed = true;
        self.note("it is cut short".to_owned());
    }

    /// Gives the verdict.
    pub(super) fn finish(mut self, promise: &mut Promise) -> ChunkReport {
        let Kept { difference, was_damaged } = promise.keep(&self.report, self.origin);
        if let Some(difference) = difference {
            self.issue(difference);
        }
        if was_damaged {
            // Of what happened on the way nothing is known to whoever made the bundle.
            self.report.at_source = !self.report.failed;
            self.issue("its file was damaged where the bundle was made: only what was still found is here".to_owned());
        }
        self.report.status = match self.report.status {
            Status::Damaged => Status::Damaged,
            _ if self.is_torn => Status::Torn,
            _ if self.is_recovered => Status::Recovered,
            other => other,
        };
        self.report
    }

    /// Notes what is wrong with something that was vouched for.
    fn issue(&mut self, what: String) {
        self.report.status = Status::Damaged;
        self.report.failed = true;
        self.note(what);
    }

    fn note(&mut self, what: String) {
        if self.report.issues.len() < MAX_ISSUES {
            self.report.issues.push(what);
        } else {
            self.report.more_issues += 1;
        }
    }
}

fn sum_of(frame: &FrameRef) -> u32 {
    crc32fast::hash(&index::encode(std::slice::from_ref(frame)))
}
