//! Reads the members of a chunk: frames, trailers beside plain lines, index and manifest.

use std::io::Read;
use std::ops::Range;

use super::body::Body;
use super::error::ReadError;
use super::event::Event;
use super::session::Halt;
use super::session::{Flow, PendingLines, Session};
use crate::archive::frame::{self, Compression, FrameError, Located, MAX_FRAME, MAX_RAW};
use crate::archive::index::{FrameRef, MAX_TABLE};
use crate::archive::manifest::FORMAT;
use crate::archive::name::{INDEX_MEMBER, MANIFEST_MEMBER};
use crate::archive::trailer::{MAX_PAYLOAD, Trailer, TrailerError};
use crate::archive::ustar::{self, BLOCK_LEN};
use crate::ids::Signal;
use crate::telemetry::chain;

/// What is read of a member before its first frame is looked for; it doubles while none is found.
const WINDOW: usize = 256 * 1024;

/// A member of frames, or a file that is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct FramesAt {
    pub(super) compression: Compression,
    /// Its number in the chunk, from 1.
    pub(super) member: u32,
    /// Where its body begins in the stream.
    pub(super) body_at: u64,
}

/// What a member's name says.
enum Part {
    Frames(Compression, u32),
    PlainLines(u32),
    Trailer(u32),
    Index,
    Manifest,
    Unknown,
}

impl Part {
    fn of(base: &str) -> Self {
        let number = |rest: &str| rest.parse().ok().filter(|_| rest.bytes().all(|b| b.is_ascii_digit()));
        match base {
            INDEX_MEMBER => return Self::Index,
            MANIFEST_MEMBER => return Self::Manifest,
            _ => {}
        }
        let Some(rest) = base.strip_prefix(Signal::Traces.as_str()).and_then(|rest| rest.strip_prefix('-')) else {
            return Self::Unknown;
        };
        if let Some(number) = rest.strip_suffix(".frame").and_then(number) {
            return Self::Trailer(number);
        }
        let Some((digits, _)) = rest.split_once('.') else { return Self::Unknown };
        match (number(digits), Compression::of_name(base)) {
            (Some(number), Some(Compression::None)) => Self::PlainLines(number),
            (Some(number), Some(compression)) => Self::Frames(compression, number),
            _ => Self::Unknown,
        }
    }
}

impl Session<'_> {
    /// Reads one member of the open chunk; what it leaves of the body is passed over.
    pub(super) fn member(&mut self, base: &str, header_at: u64, body: &mut Body<'_>) -> Flow {
        let part = Part::of(base);
        if !matches!(part, Part::Trailer(_)) {
            self.drop_pending();
        }
        match part {
            Part::Frames(compression, number) => {
                self.frames(FramesAt { compression, member: number, body_at: header_at + BLOCK_LEN }, body)
            }
            Part::PlainLines(number) => self.plain_lines(number, header_at, body),
            Part::Trailer(number) => self.trailer(number, header_at, body),
            Part::Index => match self.small(body, header_at, "the chunk's index")? {
                Some(index) => self.tell(Event::Index(&index)),
                None => Ok(()),
            },
            Part::Manifest => match self.small(body, header_at, "the chunk's manifest")? {
                Some(manifest) => {
                    self.check_format(&manifest)?;
                    self.manifest(&manifest)
                }
                None => Ok(()),
            },
            Part::Unknown => Ok(()),
        }
    }

    /// Reads frame after frame to the end of `body`.
    pub(super) fn frames(&mut self, place: FramesAt, body: &mut dyn Read) -> Flow {
        let mut window = std::mem::take(&mut self.window);
        window.clear();
        let result = self.frames_in(&mut window, place, body);
        self.window = window;
        result
    }

    fn frames_in(&mut self, window: &mut Vec<u8>, place: FramesAt, body: &mut dyn Read) -> Flow {
        let FramesAt { compression, member, body_at } = place;
        // `at` is where the window begins in the stream, `from` where the next frame should begin in the window.
        let (mut at, mut from, mut is_last) = (body_at, 0, false);
        loop {
            let found = frame::locate(compression, window, from).map_err(|error| self.later(&error))?;
            if let Some(Located { span, data, trailer }) = found {
                if span.start > from {
                    self.gap(at + from as u64..at + span.start as u64, "no intact frame here")?;
                }
                from = span.end;
                let place = |range: &Range<usize>| at + range.start as u64..at + range.end as u64;
                let frame = self.frame_ref(&place(&span), &place(&data), member, trailer);
                self.frame(compression, &frame, window.get(data).unwrap_or_default())?;
                continue;
            }
            if is_last || window.len() - from > MAX_FRAME {
                break;
            }
            window.drain(..from);
            (at, from) = (at + from as u64, 0);
            let more = window.len().max(WINDOW);
            let n = body.take(more as u64).read_to_end(window).map_err(|error| self.read_failed(error))?;
            is_last = n < more;
        }
        if from < window.len() {
            self.gap(at + from as u64..at + window.len() as u64, "no intact frame here")?;
        }
        Ok(())
    }

    /// Moves a frame's places from the stream to its chunk.
    fn frame_ref(&self, span: &Range<u64>, data: &Range<u64>, member: u32, trailer: Trailer) -> FrameRef {
        let base = self.chunk.as_ref().map_or(0, |chunk| chunk.base);
        let place = |range: &Range<u64>| range.start.saturating_sub(base)..range.end.saturating_sub(base);
        FrameRef { span: place(span), data: place(data), member, signal: Signal::Traces, trailer }
    }

    /// Keeps lines without compression until their trailer comes.
    fn plain_lines(&mut self, number: u32, header_at: u64, body: &mut Body<'_>) -> Flow {
        let size = body.left;
        let data = header_at + BLOCK_LEN..header_at + BLOCK_LEN + size;
        if size > MAX_RAW as u64 {
            return self.gap(header_at..data.end, format!("a member of {size} bytes: a frame has at most {MAX_RAW}"));
        }
        let mut lines = std::mem::take(&mut self.window);
        lines.clear();
        body.read_to_end(&mut lines).map_err(|error| self.read_failed(error))?;
        let span = header_at..data.end + ustar::padding(size) as u64;
        if let Some(chunk) = &mut self.chunk {
            chunk.pending = Some(PendingLines { number, span, data, lines });
        }
        Ok(())
    }

    /// Reads a trailer and hands out the lines in front of it.
    fn trailer(&mut self, number: u32, header_at: u64, body: &mut Body<'_>) -> Flow {
        let size = body.left;
        let end = header_at + BLOCK_LEN + size + ustar::padding(size) as u64;
        let mut payload = Vec::new();
        body.take(MAX_PAYLOAD as u64).read_to_end(&mut payload).map_err(|error| self.read_failed(error))?;
        let trailer = match Trailer::decode(&payload) {
            Err(newer @ TrailerError::Newer(_)) => return Err(ReadError::newer(&self.source, newer).into()),
            other => other.map_err(|error| chain(&error)),
        };
        let pending = self.chunk.as_mut().and_then(|chunk| chunk.pending.take());
        let Some(PendingLines { lines, span, data, number: expected }) = pending else {
            return self.gap(header_at..end, "a trailer without its lines");
        };
        let trailer = trailer.and_then(|trailer| {
            let is_intact = number == expected
                && usize::try_from(trailer.data_len).is_ok_and(|len| len == lines.len())
                && crc32fast::hash(&lines) == trailer.data_crc;
            is_intact.then_some(trailer).ok_or_else(|| "lines and trailer do not match".to_owned())
        });
        let result = match trailer {
            Ok(trailer) => {
                let frame = self.frame_ref(&(span.start..end), &data, number, trailer);
                self.frame(Compression::None, &frame, &lines)
            }
            Err(what) => self.gap(span.start..end, what),
        };
        self.window = lines;
        result
    }

    /// Reads a small member whole; `None` where it is too long, which is then noted.
    pub(super) fn small(&mut self, body: &mut Body<'_>, header_at: u64, what: &str) -> Flow<Option<Vec<u8>>> {
        let size = body.left;
        if size > MAX_TABLE {
            self.gap(header_at..header_at + BLOCK_LEN + size, format!("{what} claims {size} bytes"))?;
            return Ok(None);
        }
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).map_err(|error| self.read_failed(error))?;
        Ok((body.left == 0).then_some(bytes))
    }

    /// Refuses the manifest of a later format; one that cannot be read is the visitor's to judge.
    pub(super) fn check_format(&self, manifest: &[u8]) -> Flow {
        #[derive(serde::Deserialize)]
        struct Version {
            format: u32,
        }
        match serde_json::from_slice(manifest) {
            Ok(Version { format }) if format > FORMAT => {
                let what = format!(
                    "it has format version {format}, this program reads up to {FORMAT}: use a newer tracecapture"
                );
                Err(ReadError::Newer { name: self.source.clone(), what }.into())
            }
            _ => Ok(()),
        }
    }

    /// Turns the only error of finding frames into that of a reading.
    fn later(&self, error: &FrameError) -> Halt {
        let what = chain(error);
        ReadError::Newer { name: self.source.clone(), what }.into()
    }
}
