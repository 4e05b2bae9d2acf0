//! Writes a sealed chunk out of intact frames, wherever they lie.
//!
//! Members are numbered anew and their headers computed, so nothing of what a crash did
//! to headers, padding or order is carried over. Frames keep their numbers: a hole in
//! them tells what is missing.

use std::io;
use std::ops::Range;

use crate::archive::frame::Compression;
use crate::archive::fs::File;
use crate::archive::index::FrameRef;
use crate::archive::manifest::{Damage, Manifest, SealedBy};
use crate::archive::name::{ChunkName, data_member, frame_member};
use crate::archive::scan::{Scan, ScanError, Window};
use crate::archive::ustar::{self, BLOCK_LEN};
use crate::archive::writer;
use crate::clock::Timestamp;

/// What is read and written at a time.
const PIECE: usize = 1 << 20;

/// Frames of one file.
pub(super) struct Source<'a> {
    window: Window<'a>,
    compression: Compression,
    frames: Vec<&'a FrameRef>,
}

impl<'a> Source<'a> {
    /// Takes some frames of a scanned file.
    pub(super) fn of(file: &'a dyn File, scan: &Scan, frames: impl Iterator<Item = &'a FrameRef>) -> Self {
        let frames: Vec<_> = frames.collect();
        let len = frames.iter().map(|frame| frame.span.end).max().unwrap_or(0);
        Self { window: Window::new(file, len), compression: scan.compression().unwrap_or_default(), frames }
    }
}

/// Writes the chunk and returns its length; the caller syncs.
///
/// # Errors
/// Where a source cannot be read any more as it was scanned, or the target not be written.
pub(super) fn write_chunk(
    target: &dyn File,
    chunk: &ChunkName,
    sources: Vec<Source<'_>>,
    now: Timestamp,
    damage: Vec<Damage>,
) -> io::Result<u64> {
    let mut copy = Copy { chunk, sink: Sink::new(target), n_members: 0, frames: Vec::new() };
    for mut source in sources {
        let frames = std::mem::take(&mut source.frames);
        for member in frames.chunk_by(|a, b| a.member == b.member && a.signal == b.signal) {
            match source.compression {
                Compression::None => member.iter().try_for_each(|frame| copy.plain(&mut source.window, frame))?,
                Compression::Zstd | Compression::Gzip => copy.member(&mut source, member)?,
            }
        }
    }
    let Copy { mut sink, frames, .. } = copy;
    let manifest = Manifest::of(chunk, &frames, sink.position(), now, SealedBy::Recovery, damage);
    sink.put(&writer::tail(chunk, &frames, &manifest).map_err(io::Error::other)?)?;
    sink.flush()?;
    Ok(sink.position())
}

struct Copy<'a> {
    chunk: &'a ChunkName,
    sink: Sink<'a>,
    n_members: u32,
    frames: Vec<FrameRef>,
}

impl Copy<'_> {
    /// Writes one member of compressed frames.
    fn member(&mut self, source: &mut Source<'_>, frames: &[&FrameRef]) -> io::Result<()> {
        let Some(first) = frames.first() else { return Ok(()) };
        self.n_members += 1;
        let size = frames.iter().map(|frame| frame.span.end - frame.span.start).sum();
        self.header(&data_member(first.signal, self.n_members, source.compression.ending()), size)?;
        for frame in frames {
            let start = self.sink.position();
            let FrameRef { span, data, .. } = *frame;
            self.range(&mut source.window, span.start..data.start)?;
            self.data(&mut source.window, frame)?;
            self.range(&mut source.window, data.end..span.end)?;
            let place = |at: u64| start + (at - span.start);
            self.push(frame, start..place(span.end), place(data.start)..place(data.end));
        }
        self.sink.pad()
    }

    /// Writes two entries, of lines and of their trailer.
    fn plain(&mut self, window: &mut Window<'_>, frame: &FrameRef) -> io::Result<()> {
        self.n_members += 1;
        let start = self.sink.position();
        let data = start + BLOCK_LEN..start + BLOCK_LEN + (frame.data.end - frame.data.start);
        self.header(&data_member(frame.signal, self.n_members, ""), data.end - data.start)?;
        self.data(window, frame)?;
        self.sink.pad()?;
        let mut payload = Vec::new();
        frame.trailer.encode(&mut payload);
        self.header(&frame_member(frame.signal, self.n_members), payload.len() as u64)?;
        self.sink.put(&payload)?;
        self.sink.pad()?;
        self.push(frame, start..self.sink.position(), data);
        Ok(())
    }

    fn push(&mut self, frame: &FrameRef, span: Range<u64>, data: Range<u64>) {
        let FrameRef { signal, trailer, .. } = frame;
        self.frames.push(FrameRef { span, data, member: self.n_members, signal: *signal, trailer: trailer.clone() });
    }

    fn header(&mut self, member: &str, size: u64) -> io::Result<()> {
        let header = ustar::header(&self.chunk.member(member), size, self.chunk.started_secs());
        self.sink.put(&header.map_err(io::Error::other)?)
    }

    /// Copies a frame's data; it must still be what was scanned, since the original is removed next.
    fn data(&mut self, window: &mut Window<'_>, frame: &FrameRef) -> io::Result<()> {
        if self.range(window, frame.data.clone())? == frame.trailer.data_crc {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "a frame changed between two reads"))
        }
    }

    /// Copies a range and returns its CRC-32.
    fn range(&mut self, window: &mut Window<'_>, range: Range<u64>) -> io::Result<u32> {
        let mut hasher = crc32fast::Hasher::new();
        pieces(window, range, |piece| {
            hasher.update(piece);
            self.sink.put(piece)
        })?;
        Ok(hasher.finalize())
    }
}

/// Hands a range of a file on in pieces.
///
/// # Errors
/// Those of `take`, and of reading; a file that ends before the range does is one.
pub(super) fn pieces(
    window: &mut Window<'_>,
    range: Range<u64>,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let left = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(PIECE);
        let bytes = window.fill(at, left).map_err(unscanned)?;
        let piece = bytes.get(..left.min(bytes.len())).unwrap_or_default();
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        take(piece)?;
        at += piece.len() as u64;
    }
    Ok(())
}

/// Returns the cause of a failed read.
fn unscanned(error: ScanError) -> io::Error {
    match error {
        ScanError::Read { source, .. } => source,
        ScanError::Newer(newer) => io::Error::other(newer),
    }
}

/// Gathers writes to the end of a file.
pub(super) struct Sink<'a> {
    file: &'a dyn File,
    at: u64,
    buffer: Vec<u8>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(file: &'a dyn File) -> Self {
        Self { file, at: 0, buffer: Vec::new() }
    }

    fn position(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    fn pad(&mut self) -> io::Result<()> {
        let padding = ustar::padding(self.position());
        let zeros = [0; ustar::BLOCK];
        self.put(zeros.get(..padding).unwrap_or_default())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.at)?;
        self.at = self.position();
        self.buffer.clear();
        Ok(())
    }
}
