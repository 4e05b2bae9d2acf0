//! What a reader comes by, and who takes it.

use std::ops::{ControlFlow, Range};

use crate::archive::index::FrameRef;
use crate::archive::name::ChunkState;

/// Where a chunk was found, and so what may be expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In a file whose name says its state.
    File(ChunkState),
    /// In a tar that is not named as a chunk, or in a pipe.
    Loose,
    /// In a bundle.
    Bundle,
    /// In a folder that a bundle or chunk was extracted to.
    Extracted,
    /// A single data member, outside its chunk.
    Member,
    /// No chunk of ours: other programs' files, without frames.
    Foreign,
}

/// What a reader comes by, in the order of the files and of their bytes.
#[derive(Debug)]
pub enum Event<'a> {
    /// The manifest of a bundle, ahead of its chunks.
    BundleManifest(&'a [u8]),
    /// A chunk or foreign file begins; each one ends with [`Event::End`].
    Begin {
        /// The chunk's stem; for foreign data, the file's name.
        name: &'a str,
        /// Where it was found.
        origin: Origin,
        /// The file or folder that holds it.
        file: &'a str,
    },
    /// An intact frame; its places count from the beginning of its chunk.
    Frame {
        /// Place and trailer.
        frame: &'a FrameRef,
        /// Its lines; `None` where [`Visitor::wants`] declined them.
        lines: Option<&'a [u8]>,
    },
    /// Whole lines of foreign data.
    Lines {
        /// The member or file that holds them.
        member: &'a str,
        /// One or many lines, each ended by `\n`.
        lines: &'a [u8],
    },
    /// Bytes that were vouched for and are not intact, or that nothing can be said about.
    Damage(&'a Damage),
    /// The unfinished end of a chunk that was never sealed, or of a file that was cut.
    Torn(&'a Damage),
    /// The body of the chunk's index.
    Index(&'a [u8]),
    /// The body of the chunk's manifest.
    Manifest(&'a [u8]),
    /// The chunk or foreign file ends.
    End {
        /// Whether all is there that its origin promises: `false` for a sealed chunk or a bundle that was cut.
        complete: bool,
    },
}

/// Bytes that belong to no intact frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where they are in the chunk.
    pub span: Range<u64>,
    /// What is wrong with them.
    pub what: String,
}

/// Takes what a reader comes by.
pub trait Visitor {
    /// Tells whether the lines of a frame are wanted; others are not decompressed.
    fn wants(&mut self, frame: &FrameRef) -> bool {
        let _ = frame;
        true
    }

    /// Takes one event; `Break` ends the reading.
    fn event(&mut self, event: Event<'_>) -> ControlFlow<()>;
}
