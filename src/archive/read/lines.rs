//! Reads data outside tars: single members with frames, and other programs' JSON lines.

use std::io::Read;

use super::error::ReadError;
use super::event::Origin;
use super::members::FramesAt;
use super::messages::begins_with_message;
use super::meter::{Meter, Metered};
use super::session::{Ending, Flow, Session};
use super::sniff::{Content, begins_with_header, is_tar, sniff};
use super::tar::Until;
use crate::archive::frame::{self, Compression, MAX_RAW};
use crate::archive::ustar::BLOCK;
use crate::telemetry::chain;

/// Bytes decompressed at a time, and the first stretch in which a frame is looked for.
const STEP: usize = 256 * 1024;

impl Session<'_> {
    /// Reads a stream of any kind to its end.
    pub(super) fn stream(&mut self, name: &str, input: &mut dyn Read) -> Flow {
        name.clone_into(&mut self.source);
        self.member_origin = Origin::Loose;
        let mut head = [0; BLOCK];
        let n = self.fill(input, &mut head)?;
        let head = head.get(..n).unwrap_or_default();
        let content = sniff(head).ok_or_else(|| ReadError::Unrecognised(name.to_owned()))?;
        let mut input = head.chain(input);
        match content {
            Content::Empty => self.begin(name, Origin::Foreign, 0)?,
            Content::Tar => return self.tar(&mut input, Until::EndMark),
            Content::Lines(Compression::None) => self.foreign(name, Compression::None, &mut input)?,
            Content::Lines(compression) => self.compressed(name, compression, &mut input)?,
        }
        self.end(Ending::Marked)
    }

    /// Reads a compressed stream: frame by frame where it has frames.
    fn compressed(&mut self, name: &str, compression: Compression, input: &mut dyn Read) -> Flow {
        let mut head = Vec::new();
        let has_frames = loop {
            let more = head.len().max(STEP);
            let n = input.take(more as u64).read_to_end(&mut head).map_err(|error| self.read_failed(error))?;
            match frame::locate(compression, &head, 0) {
                Ok(Some(first)) => break first.span.start == 0 || !begins_a_tar(compression, &head),
                Ok(None) if n == more && may_begin_a_frame(compression, &head) => {}
                Ok(None) => break false,
                Err(error) => {
                    return Err(ReadError::Newer { name: name.to_owned(), what: chain(&error) }.into());
                }
            }
        };
        let mut input = head.as_slice().chain(input);
        if has_frames {
            self.begin(name, Origin::Member, 0)?;
            self.frames(FramesAt { compression, member: 1, body_at: 0 }, &mut input)
        } else {
            self.foreign(name, compression, &mut input)
        }
    }

    fn foreign(&mut self, name: &str, compression: Compression, input: &mut dyn Read) -> Flow {
        self.begin(name, Origin::Foreign, 0)?;
        self.lines_of(name, compression, input)
    }

    /// Hands out the lines of a stream without frames.
    pub(super) fn lines_of(&mut self, member: &str, compression: Compression, input: &mut dyn Read) -> Flow {
        let meter = Meter::default();
        let mut metered = Metered { input, meter: &meter };
        match compression {
            Compression::None => self.split(member, &mut metered, &meter),
            Compression::Gzip => self.split(member, &mut flate2::read::MultiGzDecoder::new(metered), &meter),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(metered).map_err(|error| self.read_failed(error))?;
                self.split(member, &mut decoder, &meter)
            }
        }
    }

    /// Cuts decompressed text into runs of whole lines.
    fn split(&mut self, member: &str, text: &mut dyn Read, meter: &Meter) -> Flow {
        let mut buffer = std::mem::take(&mut self.window);
        buffer.clear();
        let result = self.split_in(&mut buffer, member, text, meter);
        self.window = buffer;
        result
    }

    fn split_in(&mut self, buffer: &mut Vec<u8>, member: &str, text: &mut dyn Read, meter: &Meter) -> Flow {
        let (mut is_first, mut spent) = (true, 0);
        loop {
            let old = buffer.len();
            let read = text.take(STEP as u64).read_to_end(buffer);
            self.spend(meter.consumed() - spent, (buffer.len() - old) as u64)?;
            spent = meter.consumed();
            // Zeros are an empty tar only where nothing else follows; without end they are a bomb, which a limit ends.
            let is_all = matches!(read, Ok(n) if n < STEP);
            let is_empty_tar = is_all && is_tar(buffer) && buffer.iter().all(|&b| b == 0);
            if std::mem::take(&mut is_first) {
                if begins_with_header(buffer) || is_empty_tar {
                    return Err(ReadError::CompressedTar(self.source.clone()).into());
                }
                if begins_with_message(buffer) {
                    return self.messages(member, &mut std::mem::take(buffer).as_slice().chain(text), meter);
                }
            }
            if let Some(last) = memchr::memrchr(b'\n', buffer.get(old..).unwrap_or_default()) {
                let end = old + last + 1;
                self.foreign_lines(member, buffer.get(..end).unwrap_or_default())?;
                buffer.drain(..end);
            }
            if buffer.len() > self.limits.max_line_bytes {
                let what = format!("a line of more than {} bytes", self.limits.max_line_bytes);
                return Err(self.limit(what, "--max-line-bytes"));
            }
            match read {
                Ok(n) if n == STEP => {}
                Ok(_) => return self.last_line(buffer, member),
                Err(error) if meter.has_failed() => return Err(self.read_failed(error)),
                Err(error) => {
                    let at = meter.consumed();
                    return self.gap(at..at, format!("cannot decompress `{member}`: {}", chain(&error)));
                }
            }
        }
    }

    /// Hands out a last line that has no end.
    fn last_line(&mut self, line: &mut Vec<u8>, member: &str) -> Flow {
        if line.is_empty() {
            return Ok(());
        }
        line.push(b'\n');
        self.foreign_lines(member, line)
    }
}

/// Tells whether `head` decompresses to a tar: a compressed chunk may hold its frames in plain sight.
fn begins_a_tar(compression: Compression, head: &[u8]) -> bool {
    let mut block = Vec::new();
    let result = match compression {
        Compression::Gzip => flate2::read::MultiGzDecoder::new(head).take(BLOCK as u64).read_to_end(&mut block),
        Compression::Zstd => zstd::stream::read::Decoder::with_buffer(head)
            .and_then(|decoder| decoder.take(BLOCK as u64).read_to_end(&mut block)),
        Compression::None => Ok(0),
    };
    result.is_ok() && begins_with_header(&block)
}

/// Tells whether a frame of ours may begin here whose end is not read yet.
fn may_begin_a_frame(compression: Compression, head: &[u8]) -> bool {
    match compression {
        // The extra field's flag, and the name of its only subfield.
        Compression::Gzip => head.len() <= MAX_RAW && head.get(3) == Some(&4) && head.get(12..14) == Some(b"TC"),
        Compression::Zstd => {
            let length = zstd::zstd_safe::get_frame_content_size(head).ok().flatten();
            length.is_some_and(|length| length <= MAX_RAW as u64)
                && zstd::zstd_safe::find_frame_compressed_size(head).is_err()
                && head.len() <= MAX_RAW
        }
        Compression::None => false,
    }
}
