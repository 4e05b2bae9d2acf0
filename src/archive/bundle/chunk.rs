//! A chunk's file in whatever state, and its frames; what is known of a growing one is not read again.

use std::io;
use std::time::Duration;

use super::known::Growing;
use super::{BundleError, Bundles};
use crate::archive::frame::Compression;
use crate::archive::fs::{File, FileId, read_exact_at};
use crate::archive::index::FrameRef;
use crate::archive::name::{ChunkName, ChunkState};
use crate::archive::scan::{self, ScanError};
use crate::archive::snapshot::{Counts, Piece};
use crate::archive::ustar::{BLOCK_LEN, END};

/// The most growing chunks whose frames are remembered; a capture has one per writer.
const MAX_GROWING: usize = 16;

/// A chunk's open file.
pub(super) struct Opened {
    pub(super) state: ChunkState,
    pub(super) file: Box<dyn File>,
    pub(super) id: FileId,
    pub(super) len: u64,
    modified: Duration,
}

/// Frames and how they are compressed.
pub(super) struct Frames {
    pub(super) compression: Compression,
    pub(super) frames: Vec<FrameRef>,
}

impl Bundles {
    /// Returns the frames of a chunk in whatever state; `None` where it has none.
    pub(super) fn frames(
        &self,
        name: &ChunkName,
        opened: &Opened,
        committed: Option<u64>,
    ) -> Result<Option<Frames>, ScanError> {
        match opened.state {
            ChunkState::Sealed => sealed_frames(opened),
            ChunkState::InProgress | ChunkState::Recovering => self.growing_frames(name, opened, committed),
        }
    }

    /// Returns the frames of a chunk that somebody may still append to, up to what is committed.
    fn growing_frames(
        &self,
        name: &ChunkName,
        opened: &Opened,
        committed: Option<u64>,
    ) -> Result<Option<Frames>, ScanError> {
        let Opened { file, id, modified, .. } = opened;
        let len = committed.unwrap_or(opened.len).min(opened.len);
        let mut known = self.known();
        let before = known.growing.remove(name).filter(|growing| growing.id == *id && growing.len <= len);
        let scan = match before {
            Some(growing) if growing.len == len && (committed.is_some() || growing.modified == *modified) => {
                growing.scan
            }
            // Without a committed length the file's end may have been cut back and written anew.
            Some(growing) if committed.is_some() => scan::scan_from(growing.scan, file.as_ref(), len)?,
            _ => scan::scan(file.as_ref(), len)?,
        };
        if let Some(newer) = scan.newer {
            return Err(newer.into());
        }
        let found = scan.compression().map(|compression| Frames { compression, frames: scan.frames.clone() });
        if known.growing.len() >= MAX_GROWING {
            known.growing.pop_first();
        }
        known.growing.insert(name.clone(), Growing { id: *id, len, modified: *modified, scan });
        Ok(found)
    }

    /// Opens a chunk under the name it has by now; `None` where it has none left.
    pub(super) fn open_chunk(&self, name: &ChunkName, state: ChunkState) -> Result<Option<Opened>, BundleError> {
        // In the order of a chunk's life: a rename between two attempts is still met by the later one.
        let states = [ChunkState::InProgress, ChunkState::Recovering, ChunkState::Sealed];
        let fail = |source| BundleError::Read { chunk: name.clone(), source };
        for state in states.into_iter().filter(|candidate| rank(*candidate) >= rank(state)) {
            let file = match self.fs.open(&self.chunks_dir.join(name.file_name(state))) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(fail(error)),
            };
            let stat = file.stat().map_err(fail)?;
            return Ok(Some(Opened { state, file, id: stat.id, len: stat.len, modified: stat.modified }));
        }
        Ok(None)
    }

    /// Reads the frames of a chunk again, for a reader that found another file under its name.
    pub(super) fn pieces(&self, name: &ChunkName, opened: &Opened) -> Result<Vec<Piece>, BundleError> {
        let fail = |source| BundleError::Scan { chunk: name.clone(), source };
        let frames = self.frames(name, opened, self.committed.of(name)).map_err(fail)?;
        Ok(frames.map(|found| found.frames.iter().map(piece).collect()).unwrap_or_default())
    }
}

/// Returns the length of a sealed chunk's entries and what they hold; `None` where its end is not as a writer leaves it.
pub(super) fn describe_sealed(opened: &Opened) -> Result<Option<(u64, Counts)>, ScanError> {
    let Opened { file, len, .. } = opened;
    let Some(content_len) = len.checked_sub(END.len() as u64).filter(|len| len % BLOCK_LEN == 0) else {
        return Ok(None);
    };
    let mut end = [1; END.len()];
    let read = read_exact_at(file.as_ref(), &mut end, content_len);
    read.map_err(|source| ScanError::Read { offset: content_len, source })?;
    let Some(manifest) = scan::manifest(file.as_ref(), *len)?.filter(|_| end == END) else { return Ok(None) };
    let times = manifest.times.map(|range| (range.start, range.end));
    Ok(Some((content_len, Counts { frames: manifest.frames, lines: manifest.lines, items: manifest.items, times })))
}

fn sealed_frames(opened: &Opened) -> Result<Option<Frames>, ScanError> {
    let Opened { file, len, .. } = opened;
    let Some(compression) = scan::compression(file.as_ref(), *len)? else { return Ok(None) };
    Ok(Some(Frames { compression, frames: scan::frames(file.as_ref(), *len)? }))
}

pub(super) fn piece(frame: &FrameRef) -> Piece {
    // A frame is at most a few hundred megabytes long.
    let narrow = |length: u64| u32::try_from(length).unwrap_or(u32::MAX);
    Piece {
        start: frame.span.start,
        len: narrow(frame.span.end - frame.span.start),
        data_at: narrow(frame.data.start - frame.span.start),
        data_len: frame.trailer.data_len,
        data_crc: frame.trailer.data_crc,
        raw_len: frame.trailer.raw_len,
        member: frame.member,
    }
}

/// Orders states as a chunk goes through them.
pub(super) fn rank(state: ChunkState) -> u8 {
    match state {
        ChunkState::InProgress => 0,
        ChunkState::Recovering => 1,
        ChunkState::Sealed => 2,
    }
}
