//! One reading: what is open, what was spent, and what is told to the visitor.

use std::io::{self, Read};
use std::ops::{ControlFlow, Range};

use super::error::ReadError;
use super::event::{Damage, Event, Origin, Visitor};
use super::limits::Limits;
use crate::archive::frame::{self, Compression};
use crate::archive::index::FrameRef;
use crate::archive::name::ChunkState;
use crate::telemetry::chain;

/// Output below which no ratio is held against it.
const RATIO_GRACE: u64 = 256 << 20;

/// Bytes of a gzip frame's footer: CRC-32 and length of the lines.
const GZIP_FOOTER: usize = 8;

/// What a chunk ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// An end mark, another chunk, or the end of a file that needs no mark.
    Marked,
    /// Nothing: the tar stops.
    Unmarked,
}

/// Why a reading ends before its data does.
#[derive(Debug)]
pub(super) enum Halt {
    /// The visitor has enough.
    Stopped,
    /// It cannot go on.
    Failed(ReadError),
}

impl From<ReadError> for Halt {
    fn from(error: ReadError) -> Self {
        Self::Failed(error)
    }
}

pub(super) type Flow<T = ()> = Result<T, Halt>;

/// One call of the reader.
pub(super) struct Session<'a> {
    pub(super) limits: &'a Limits,
    visitor: &'a mut dyn Visitor,
    /// The file that is read, for messages.
    pub(super) source: String,
    pub(super) chunk: Option<OpenChunk>,
    /// Where members of chunks are said to be found.
    pub(super) member_origin: Origin,
    /// Reused from member to member.
    pub(super) window: Vec<u8>,
    lines: Vec<u8>,
    entries: u64,
    consumed: u64,
    produced: u64,
}

/// The chunk or foreign file that has begun and not ended.
pub(super) struct OpenChunk {
    pub(super) name: String,
    pub(super) origin: Origin,
    /// Where it begins in the stream; places are told from here.
    pub(super) base: u64,
    /// Lines whose trailer is the next member.
    pub(super) pending: Option<PendingLines>,
    has_manifest: bool,
    /// Not told yet: a frame behind it makes it damage, the end of an open chunk makes it torn.
    gap: Option<Damage>,
}

/// Lines of a member without compression, whose trailer has to be the next member.
pub(super) struct PendingLines {
    pub(super) number: u32,
    /// Header and body in the stream, padding included.
    pub(super) span: Range<u64>,
    pub(super) data: Range<u64>,
    pub(super) lines: Vec<u8>,
}

impl<'a> Session<'a> {
    pub(super) fn new(limits: &'a Limits, visitor: &'a mut dyn Visitor) -> Self {
        Self {
            limits,
            visitor,
            source: String::new(),
            chunk: None,
            member_origin: Origin::Loose,
            window: Vec::new(),
            lines: Vec::new(),
            entries: 0,
            consumed: 0,
            produced: 0,
        }
    }

    /// Begins a chunk; one that is open must have been ended.
    pub(super) fn begin(&mut self, name: &str, origin: Origin, base: u64) -> Flow {
        let chunk = OpenChunk { name: name.to_owned(), origin, base, pending: None, has_manifest: false, gap: None };
        self.chunk = Some(chunk);
        let file = self.source.clone();
        self.tell(Event::Begin { name, origin, file: &file })
    }

    /// Ends the open chunk.
    pub(super) fn end(&mut self, ending: Ending) -> Flow {
        let marked = ending == Ending::Marked;
        self.drop_pending();
        let Some(OpenChunk { origin, has_manifest, gap, .. }) = self.chunk.take() else { return Ok(()) };
        // Nothing can be said to be missing from a chunk that was never sealed: its writer may be at work.
        let is_open = match origin {
            Origin::File(state) => state != ChunkState::Sealed,
            Origin::Loose => !has_manifest,
            Origin::Bundle | Origin::Extracted | Origin::Member | Origin::Foreign => false,
        };
        let is_whole = match origin {
            Origin::File(_) => marked && has_manifest,
            Origin::Loose | Origin::Bundle => marked,
            Origin::Extracted | Origin::Member | Origin::Foreign => true,
        };
        let complete = is_open || is_whole;
        match gap {
            Some(gap) if is_open || !complete => self.tell(Event::Torn(&gap))?,
            Some(gap) => self.tell(Event::Damage(&gap))?,
            None => {}
        }
        self.tell(Event::End { complete })
    }

    /// Notes bytes of the stream that belong to no intact frame.
    pub(super) fn gap(&mut self, span: Range<u64>, what: impl Into<String>) -> Flow {
        if self.chunk.is_none() {
            let name = self.source.clone();
            self.begin(&name, Origin::Foreign, 0)?;
        }
        let Some(chunk) = &mut self.chunk else { return Ok(()) };
        let span = span.start.saturating_sub(chunk.base)..span.end.saturating_sub(chunk.base);
        match &mut chunk.gap {
            // The first reason explains what follows it.
            Some(gap) => gap.span.end = gap.span.end.max(span.end),
            none => *none = Some(Damage { span, what: what.into() }),
        }
        Ok(())
    }

    /// Tells of bytes that are damage even at the end of a chunk that was never sealed.
    pub(super) fn damage(&mut self, span: Range<u64>, what: &str) -> Flow {
        self.drop_pending();
        self.close_gap()?;
        self.gap(span, what)?;
        self.close_gap()
    }

    /// Gives up lines whose trailer did not come.
    pub(super) fn drop_pending(&mut self) {
        let Some(PendingLines { span, lines, .. }) = self.chunk.as_mut().and_then(|chunk| chunk.pending.take()) else {
            return;
        };
        self.window = lines;
        // The chunk is open, so noting the gap tells nobody yet and cannot end the reading.
        let _ = self.gap(span, "lines without their trailer");
    }

    /// Tells of a gap that intact data follows.
    fn close_gap(&mut self) -> Flow {
        match self.chunk.as_mut().and_then(|chunk| chunk.gap.take()) {
            Some(gap) => self.tell(Event::Damage(&gap)),
            None => Ok(()),
        }
    }

    /// Hands out a frame whose trailer and data match; `frame` counts from the chunk's beginning.
    pub(super) fn frame(&mut self, compression: Compression, frame: &FrameRef, data: &[u8]) -> Flow {
        if !self.visitor.wants(frame) {
            self.close_gap()?;
            return self.tell(Event::Frame { frame, lines: None });
        }
        // No ratio is held against it: its lines are bounded by what the trailer states, and by `MAX_RAW`.
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        let result = match decode(compression, frame, data, &mut lines) {
            Ok(()) => self.close_gap().and_then(|()| self.tell(Event::Frame { frame, lines: Some(&lines) })),
            Err(what) => {
                let base = self.chunk.as_ref().map_or(0, |chunk| chunk.base);
                self.gap(base + frame.span.start..base + frame.span.end, what)
            }
        };
        self.lines = lines;
        result
    }

    /// Hands out foreign lines.
    pub(super) fn foreign_lines(&mut self, member: &str, lines: &[u8]) -> Flow {
        self.close_gap()?;
        self.tell(Event::Lines { member, lines })
    }

    /// Hands out the manifest of the open chunk.
    pub(super) fn manifest(&mut self, body: &[u8]) -> Flow {
        if let Some(chunk) = &mut self.chunk {
            chunk.has_manifest = true;
        }
        self.tell(Event::Manifest(body))
    }

    /// Tells the visitor.
    pub(super) fn tell(&mut self, event: Event<'_>) -> Flow {
        match self.visitor.event(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Halt::Stopped),
        }
    }

    /// Counts a member.
    pub(super) fn count_entry(&mut self) -> Flow {
        self.entries += 1;
        if self.entries > self.limits.max_entries {
            let what = format!("more than {} members", self.limits.max_entries);
            return Err(self.limit(what, "--max-entries"));
        }
        Ok(())
    }

    /// Returns how many members were counted.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Counts bytes of a stream without frames that went in, and bytes that came out of them.
    pub(super) fn spend(&mut self, consumed: u64, produced: u64) -> Flow {
        self.consumed += consumed;
        self.produced = self.produced.saturating_add(produced);
        if self.produced > RATIO_GRACE && self.produced / self.limits.max_ratio.max(1) > self.consumed {
            let what = format!("data that decompresses to more than {} times its size", self.limits.max_ratio);
            return Err(self.limit(what, "--max-ratio"));
        }
        Ok(())
    }

    /// Makes the error of a limit.
    pub(super) fn limit(&self, what: String, flag: &'static str) -> Halt {
        ReadError::Limit { name: self.source.clone(), what, flag }.into()
    }

    /// Makes the error of a disk or pipe.
    pub(super) fn read_failed(&self, source: io::Error) -> Halt {
        ReadError::Read { name: self.source.clone(), source }.into()
    }

    /// Reads as many bytes as the buffer takes or the input has.
    pub(super) fn fill(&self, input: &mut dyn Read, buffer: &mut [u8]) -> Flow<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match input.read(rest) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.read_failed(error)),
            }
        }
        Ok(filled)
    }
}

/// Decompresses a frame and checks what the compression's own format vouches for.
fn decode(compression: Compression, frame: &FrameRef, data: &[u8], lines: &mut Vec<u8>) -> Result<(), String> {
    frame::decode(compression, data, &frame.trailer, lines).map_err(|error| chain(&error))?;
    if compression == Compression::Gzip {
        let footer = data.len().checked_sub(GZIP_FOOTER).and_then(|at| data.get(at..at + 4));
        if footer != Some(crc32fast::hash(lines).to_le_bytes().as_slice()) {
            return Err("the gzip checksum does not match".to_owned());
        }
    }
    let n_lines = memchr::memchr_iter(b'\n', lines).count();
    if u32::try_from(n_lines).is_ok_and(|n| n == frame.trailer.facts.lines) {
        Ok(())
    } else {
        Err(format!("a frame holds {n_lines} lines, its trailer says {}", frame.trailer.facts.lines))
    }
}
