//! What a snapshot takes of one chunk.

use std::ops::Range;

use ring::digest::Context;

use super::digest::hash_text;
use crate::archive::frame::Compression;
use crate::archive::name::ChunkName;
use crate::archive::trailer::{Facts, union};
use crate::clock::Timestamp;

/// A frame of a frozen chunk: its place, and enough to check and decode it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::archive) struct Piece {
    /// Where the frame begins in the chunk's file.
    pub(in crate::archive) start: u64,
    /// Its length, trailer included.
    pub(in crate::archive) len: u32,
    /// Where its data begins, from `start`.
    pub(in crate::archive) data_at: u32,
    /// Length of the data.
    pub(in crate::archive) data_len: u32,
    /// CRC-32 of the data.
    pub(in crate::archive) data_crc: u32,
    /// Length of the lines.
    pub(in crate::archive) raw_len: u32,
    /// The number of its member.
    pub(in crate::archive) member: u32,
}

/// What is taken of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::archive) enum Taken {
    /// Every entry of the sealed file: its first `content_len` bytes.
    Whole {
        /// The file without its end mark, in bytes.
        content_len: u64,
    },
    /// These frames.
    Frames {
        /// How the data is compressed.
        compression: Compression,
        /// The frames, in the order of the file.
        pieces: Vec<Piece>,
    },
    /// Nothing: its file could not be read. It was frozen at a length of 0, by which its token tells.
    Unreadable,
}

/// Counts of what is taken of a chunk, or of all chunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames.
    pub frames: u64,
    /// Lines.
    pub lines: u64,
    /// Items (spans).
    pub items: u64,
    /// Earliest start and latest end of the spans; `None` where none has a time.
    pub times: Option<(Timestamp, Timestamp)>,
}

impl Counts {
    /// Adds up the frames that these facts are about.
    pub fn of<'a>(facts: impl Iterator<Item = &'a Facts>) -> Self {
        facts.fold(Self::default(), |sum, facts| {
            let (lines, items) = (u64::from(facts.lines), u64::from(facts.items));
            sum.and(&Self { frames: 1, lines, items, times: facts.times })
        })
    }

    /// Returns the sum of both.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        Self {
            frames: self.frames + other.frames,
            lines: self.lines + other.lines,
            items: self.items + other.items,
            times: union(self.times, other.times),
        }
    }
}

/// A chunk of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenChunk {
    pub(in crate::archive) name: ChunkName,
    /// The length at which a growing chunk was frozen, 0 for one that could not be read; `None` for a sealed one.
    pub(in crate::archive) grown_to: Option<u64>,
    pub(in crate::archive) taken: Taken,
    pub(in crate::archive) counts: Counts,
}

impl FrozenChunk {
    /// Stands in a snapshot for a chunk that cannot be read.
    pub(in crate::archive) fn unreadable(name: &ChunkName) -> Self {
        let (taken, counts) = (Taken::Unreadable, Counts::default());
        Self { name: name.clone(), grown_to: Some(0), taken, counts }
    }

    pub(in crate::archive) fn is_readable(&self) -> bool {
        self.taken != Taken::Unreadable
    }

    /// Tells whether bytes of this range of its file are taken.
    pub(in crate::archive) fn takes(&self, range: &Range<u64>) -> bool {
        match &self.taken {
            Taken::Whole { content_len } => range.start < *content_len,
            Taken::Frames { pieces, .. } => {
                pieces.iter().any(|piece| piece.start < range.end && range.start < piece.start + u64::from(piece.len))
            }
            Taken::Unreadable => false,
        }
    }

    /// Feeds what decides the bytes that are taken.
    pub(super) fn hash_into(&self, context: &mut Context) {
        let Self { name, grown_to, taken, counts: _ } = self;
        hash_text(context, &name.to_string());
        context.update(&[u8::from(grown_to.is_some())]);
        context.update(&grown_to.unwrap_or(0).to_le_bytes());
        match taken {
            Taken::Whole { content_len } => context.update(&content_len.to_le_bytes()),
            Taken::Frames { compression, pieces } => {
                hash_text(context, compression.ending());
                for Piece { start, len, data_crc, member, .. } in pieces {
                    context.update(&start.to_le_bytes());
                    for word in [len, data_crc, member] {
                        context.update(&word.to_le_bytes());
                    }
                }
            }
            Taken::Unreadable => hash_text(context, "unreadable"),
        }
    }
}
