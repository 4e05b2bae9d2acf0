//! What a scan finds in a chunk's file, and why it finds nothing.

use std::io;
use std::ops::Range;

use thiserror::Error;

use crate::archive::frame::Compression;
use crate::archive::index::FrameRef;
use crate::archive::manifest::{FORMAT, Manifest};
use crate::ids::Signal;

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
