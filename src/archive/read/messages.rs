//! Reads what the Collector's file exporter writes with `compression: zstd` or `format: proto`: messages behind their lengths.
//!
//! Each message stands behind its length in four bytes, big-endian, and is OTLP JSON or protobuf, as it is or as a
//! zstd frame of its own. They are handed out as lines, protobuf in our canonical form.
//!
//! Source: opentelemetry-collector-contrib v0.162.0, `exporter/fileexporter/file_writer.go`, `exportMessageAsBuffer`.

use std::io::Read;

use super::meter::Meter;
use super::session::{Flow, Session};
use crate::ids::Signal;
use crate::otlp::{Encoding, Limits as LineLimits, Transcoder};
use crate::telemetry::chain;

/// Bytes of a length.
const LENGTH: usize = 4;

const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The tag of the only field of `TracesData`.
const RESOURCE_SPANS: u8 = 0x0a;

/// Longer first messages are not looked for: what begins with a larger byte may be a text or a tar.
const MAX_FIRST: u32 = 0x0fff_ffff;

/// Tells whether `head` begins with a message behind its length.
pub(super) fn begins_with_message(head: &[u8]) -> bool {
    let Some((length, message)) = head.split_first_chunk::<LENGTH>() else { return false };
    let is_length = (1..=MAX_FIRST).contains(&u32::from_be_bytes(*length));
    is_length && (message.starts_with(&ZSTD) || matches!(message, [RESOURCE_SPANS | b'{', ..]))
}

impl Session<'_> {
    /// Hands out message after message as lines.
    pub(super) fn messages(&mut self, member: &str, input: &mut dyn Read, meter: &Meter) -> Flow {
        let (mut at, mut message) = (0, Vec::new());
        let mut transcoder = Transcoder::new(LineLimits::default());
        loop {
            let mut length = [0; LENGTH];
            let n = self.part(input, meter, &mut length)?;
            if n == 0 {
                return Ok(());
            }
            let len = if n == LENGTH { u64::from(u32::from_be_bytes(length)) } else { u64::MAX };
            if n == LENGTH && len > self.limits.max_line_bytes as u64 {
                let what = format!("a message of more than {} bytes", self.limits.max_line_bytes);
                return Err(self.limit(what, "--max-line-bytes"));
            }
            message.resize(if n == LENGTH { usize::try_from(len).unwrap_or_default() } else { 0 }, 0);
            let is_whole = self.part(input, meter, &mut message)? == message.len() && n == LENGTH;
            let end = at + (LENGTH + message.len()) as u64;
            if !is_whole {
                return self.gap(at..end, format!("`{member}` ends within a message"));
            }
            if let Err(what) = self.message(member, &message, &mut transcoder)? {
                self.gap(at..end, what)?;
            }
            at = end;
        }
    }

    /// Fills the buffer as far as there is data; what cannot be decompressed ends it.
    fn part(&self, input: &mut dyn Read, meter: &Meter, buffer: &mut [u8]) -> Flow<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match input.read(rest) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if meter.has_failed() => return Err(self.read_failed(error)),
                Err(_) => break,
            }
        }
        Ok(filled)
    }

    /// Hands out one message; says what is wrong with one that cannot be read.
    fn message(&mut self, member: &str, message: &[u8], transcoder: &mut Transcoder) -> Flow<Result<(), String>> {
        let mut inflated = Vec::new();
        if message.starts_with(&ZSTD) {
            let most = self.limits.max_line_bytes as u64 + 1;
            let decoder = zstd::stream::read::Decoder::with_buffer(message);
            let read = decoder.and_then(|decoder| decoder.take(most).read_to_end(&mut inflated));
            self.spend(message.len() as u64, inflated.len() as u64)?;
            if let Err(error) = read {
                return Ok(Err(format!("cannot decompress a message: {}", chain(&error))));
            }
            if inflated.len() as u64 == most {
                let what = format!("a message of more than {} bytes", self.limits.max_line_bytes);
                return Err(self.limit(what, "--max-line-bytes"));
            }
        } else {
            inflated.extend_from_slice(message);
        }
        match inflated.first() {
            None => Ok(Ok(())),
            Some(b'{') => {
                // A line end in JSON is white space, here it would be the end of a line.
                inflated.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
                inflated.push(b'\n');
                self.foreign_lines(member, &inflated).map(Ok)
            }
            Some(_) => self.protobuf(member, &inflated, transcoder),
        }
    }

    fn protobuf(&mut self, member: &str, body: &[u8], transcoder: &mut Transcoder) -> Flow<Result<(), String>> {
        let mut segments = Vec::new();
        let report = match transcoder.transcode(Signal::Traces, Encoding::Protobuf, body, &mut segments) {
            Ok(report) => report,
            Err(error) => return Ok(Err(format!("a message is no OTLP protobuf of spans: {}", chain(&error)))),
        };
        for segment in &segments {
            self.foreign_lines(member, &segment.lines)?;
        }
        if report.rejected > 0 {
            return Ok(Err(format!("{} spans without valid ids are left out of a message", report.rejected)));
        }
        Ok(Ok(()))
    }
}
