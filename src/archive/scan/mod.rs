//! Reads a chunk of unknown state: what can be vouched for, and what cannot. Never changes it.
//!
//! What is believed: a frame whose trailer and data match their checksums, wherever it
//! lies, and a tar header whose checksum holds. What is not: the size in the header of a
//! growing member, which a crash may leave ahead of its data or behind it. Bytes that
//! neither a frame nor a header accounts for are gaps; after one the walk goes on at the
//! next frame, or at the next header on the grid of 512 bytes, whichever comes first.
//!
//! Lines are JSON and hold no control character but line ends, so neither a tar header nor a frame's magic can stand in
//! lines that are stored as they are, whatever a client sent. Compressed lines and the filter of a trailer may be any
//! bytes. They are looked into only where the frame around them is damaged, and what is found there must have the
//! checksums of a frame or of a header: at worst lines that the client could have sent as well, or a gap more.

mod find;
mod sealed;
mod walk;
mod window;

use std::io;
use std::ops::Range;

use thiserror::Error;

use super::frame::Compression;
use super::fs::File;
use super::index::FrameRef;
use super::manifest::{FORMAT, Manifest};
use crate::ids::Signal;

pub use sealed::{compression, frames, manifest};
pub(super) use window::Window;

/// What a chunk's file holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scan {
    /// Every intact frame, in the order of the file.
    pub frames: Vec<FrameRef>,
    /// Bytes that nothing vouches for, in the order of the file; neighbours of one kind are joined.
    pub gaps: Vec<Gap>,
    /// The end of the last intact frame in the file; 0 where there is none.
    pub data_end: u64,
    /// The data members found, in the order of the file.
    pub members: Vec<MemberRef>,
    /// The manifest, where an intact one was found.
    pub manifest: Option<Manifest>,
    /// Whether an index was found that says the same as the frames.
    pub index_ok: bool,
    /// Whether manifest and end mark are there, they and the index, if any, agree with the frames, and nothing else is.
    pub complete: bool,
    /// Set where the chunk is of a later format: its manifest says so, or its frames do and none is of ours.
    ///
    /// The rest of this is then not to be used.
    pub newer: Option<Newer>,
}

/// Bytes that nothing vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Where they lie in the file.
    pub range: Range<u64>,
    /// Whether all of them are zero: never written, so nothing is lost with them.
    pub zeros: bool,
}

/// A data member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRef {
    /// Its name in the archive, chunk's stem included; without the stem where its header was lost.
    pub name: String,
    /// Its number, from 1.
    pub number: u32,
    /// What its lines are.
    pub signal: Signal,
    /// How its lines are compressed.
    pub compression: Compression,
    /// Where its header lies; where its first frame does, if the header was lost.
    pub header_at: u64,
    /// From the first byte of its body to the end of its last intact frame, whatever its header says.
    pub body: Range<u64>,
}

/// What is of a later format: refuse it, leave it alone, use a newer program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Newer {
    /// A frame's trailer.
    #[error("a frame has format version `{0}`, this program reads version `{FORMAT}`: use a newer tracecapture")]
    Frame(char),
    /// The manifest.
    #[error("the manifest has format version `{0}`, this program reads version `{FORMAT}`: use a newer tracecapture")]
    Manifest(u32),
}

/// Why a chunk could not be read.
#[derive(Debug, Error)]
pub enum ScanError {
    /// The file could not be read; another try may help.
    #[error("cannot read a chunk at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is of a later format; never worth retrying.
    #[error(transparent)]
    Newer(#[from] Newer),
}

impl ScanError {
    /// Returns the stable reason for metrics and conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Read { .. } => "ReadFailed",
            Self::Newer(_) => "NewerFormat",
        }
    }
}

impl Scan {
    /// Returns how the chunk's lines are compressed; `None` where no data member was found.
    pub fn compression(&self) -> Option<Compression> {
        self.members.first().map(|member| member.compression)
    }

    /// Returns how many bytes other than zeros nothing vouches for.
    pub fn damaged_bytes(&self) -> u64 {
        self.gaps.iter().filter(|gap| !gap.zeros).map(|gap| gap.range.end - gap.range.start).sum()
    }
}

/// Reads the first `len` bytes of a chunk and checks every frame.
///
/// Holds about 8 MiB of the file in memory; up to the longest frame (some 130 MiB) where one is damaged.
///
/// # Errors
/// [`ScanError::Read`] where the file cannot be read. A later format is told in [`Scan::newer`].
pub fn scan(file: &dyn File, len: u64) -> Result<Scan, ScanError> {
    walk::Walk::from_start(file, len).run()
}

/// Goes on where an earlier scan of the same growing file ended.
///
/// What is committed never changes, so the frames found before are not read again.
///
/// # Errors
/// As [`scan`].
pub fn scan_from(previous: Scan, file: &dyn File, len: u64) -> Result<Scan, ScanError> {
    walk::Walk::after(previous, file, len).run()
}

#[cfg(test)]
mod tests;
