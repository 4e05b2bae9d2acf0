//! A frozen set of chunks: which bytes of which chunks a download consists of.
//!
//! A snapshot is made of the directory as it lies there, and again, later and by any
//! process, of the [`Token`] that was given out with it. Both give the same bytes or the
//! second fails: the token carries a digest of everything that decides them.
//!
//! # Invariants
//! - A sealed chunk is never changed, so its name and length stand for its bytes.
//! - Of a growing chunk only whole committed frames are taken. Their places and checksums go
//!   into the digest, so a chunk that was sealed or recovered meanwhile gives the same bytes or none.

mod token;

use std::ops::Range;

use ring::digest::{Context, SHA256};

use super::frame::Compression;
use super::name::ChunkName;
use super::trailer::{Facts, union};
use crate::clock::Timestamp;
use crate::ids::{CaptureId, TraceId};

pub use token::{InvalidToken, MAX_TOKEN_LEN, Token};
pub(super) use token::{Run, writer_hash};

/// Which spans of a capture are asked for; the default asks for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Spans that end at this instant or later.
    pub since: Option<Timestamp>,
    /// Spans that start before this instant.
    pub until: Option<Timestamp>,
    /// Spans of this `service.name`.
    pub service: Option<String>,
    /// Spans of this trace.
    pub trace_id: Option<TraceId>,
}

impl Filter {
    /// Tells whether nothing is left out.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Tells whether a frame may hold what is asked for; `false` is certain.
    pub fn takes(&self, facts: &Facts) -> bool {
        facts.may_overlap(self.since, self.until)
            && self.service.as_ref().is_none_or(|service| facts.may_have_service(service))
            && self.trace_id.as_ref().is_none_or(|id| facts.trace_ids.may_contain(id))
    }

    fn hash_into(&self, context: &mut Context) {
        let Self { since, until, service, trace_id } = self;
        for instant in [since, until] {
            let nanos = instant.map(Timestamp::as_unix_nanos);
            hash_text(context, &nanos.map(|n| n.to_string()).unwrap_or_default());
        }
        context.update(&[u8::from(service.is_some())]);
        hash_text(context, service.as_deref().unwrap_or_default());
        hash_text(context, &trace_id.map(|id| id.to_string()).unwrap_or_default());
    }
}

/// What a download is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The capture's chunks, in one archive that begins with a manifest.
    Bundle(Filter),
    /// One chunk, as an archive of its own.
    Chunk(ChunkName),
}

impl Scope {
    /// Returns which spans are asked for.
    pub fn filter(&self) -> Filter {
        match self {
            Self::Bundle(filter) => filter.clone(),
            Self::Chunk(_) => Filter::default(),
        }
    }

    /// Digests capture and scope; a token is good for these alone.
    fn context(&self, capture: &CaptureId) -> Context {
        let mut context = Context::new(&SHA256);
        hash_text(&mut context, "tracecapture snapshot 1");
        hash_text(&mut context, &capture.to_string());
        match self {
            Self::Bundle(filter) => {
                context.update(b"b");
                filter.hash_into(&mut context);
                if filter.trace_id.is_some() {
                    // Rewritten lines are compressed anew; another release of the compressor may give other bytes.
                    context.update(&zstd::zstd_safe::version_number().to_le_bytes());
                }
            }
            Self::Chunk(name) => {
                context.update(b"c");
                hash_text(&mut context, &name.to_string());
            }
        }
        context
    }
}

/// A frame of a frozen chunk: its place, and enough to check and decode it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where the frame begins in the chunk's file.
    pub(super) start: u64,
    /// Its length, trailer included.
    pub(super) len: u32,
    /// Where its data begins, from `start`.
    pub(super) data_at: u32,
    /// Length of the data.
    pub(super) data_len: u32,
    /// CRC-32 of the data.
    pub(super) data_crc: u32,
    /// Length of the lines.
    pub(super) raw_len: u32,
    /// The number of its member.
    pub(super) member: u32,
}

/// What is taken of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taken {
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
    pub(super) name: ChunkName,
    /// The length at which a growing chunk was frozen, 0 for one that could not be read; `None` for a sealed one.
    pub(super) grown_to: Option<u64>,
    pub(super) taken: Taken,
    pub(super) counts: Counts,
}

impl FrozenChunk {
    /// Stands in a snapshot for a chunk that cannot be read.
    pub(super) fn unreadable(name: &ChunkName) -> Self {
        let (taken, counts) = (Taken::Unreadable, Counts::default());
        Self { name: name.clone(), grown_to: Some(0), taken, counts }
    }

    pub(super) fn is_readable(&self) -> bool {
        self.taken != Taken::Unreadable
    }

    /// Tells whether bytes of this range of its file are taken.
    pub(super) fn takes(&self, range: &Range<u64>) -> bool {
        match &self.taken {
            Taken::Whole { content_len } => range.start < *content_len,
            Taken::Frames { pieces, .. } => {
                pieces.iter().any(|piece| piece.start < range.end && range.start < piece.start + u64::from(piece.len))
            }
            Taken::Unreadable => false,
        }
    }

    fn hash_into(&self, context: &mut Context) {
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

/// A frozen set of chunks, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub(super) scope: Scope,
    pub(super) chunks: Vec<FrozenChunk>,
    pub(super) digest: [u8; DIGEST_LEN],
    pub(super) token: Option<Token>,
}

/// How much of the SHA-256 digest tells snapshots apart: 128 bits.
pub(super) const DIGEST_LEN: usize = 16;

impl Snapshot {
    /// Freezes these chunks, which are sorted by name.
    pub(super) fn new(capture: &CaptureId, scope: Scope, chunks: Vec<FrozenChunk>) -> Self {
        let mut context = scope.context(capture);
        for chunk in &chunks {
            chunk.hash_into(&mut context);
        }
        let digest = head(&context.finish());
        let token = Token::of(scope_mark(&scope, capture), digest, &chunks);
        Self { scope, chunks, digest, token }
    }

    /// Returns what the snapshot is found again with; `None` where its chunks do not fit into [`MAX_TOKEN_LEN`].
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Returns the chunks' names, oldest first.
    pub fn chunk_names(&self) -> impl Iterator<Item = &ChunkName> {
        self.chunks.iter().map(|chunk| &chunk.name)
    }

    /// Returns the start of the digest as hexadecimal text, for file names.
    pub fn short_digest(&self) -> String {
        let bytes = self.digest.first_chunk::<8>().copied().unwrap_or_default();
        format!("{:012x}", u64::from_be_bytes(bytes) >> 16)
    }
}

/// Marks a token with the capture and scope it was made for, so that a wrong use of it gets an answer of its own.
pub(super) fn scope_mark(scope: &Scope, capture: &CaptureId) -> [u8; 4] {
    head(&scope.context(capture).finish())
}

/// Feeds a text with its length, so that two lists of texts never digest alike.
fn hash_text(context: &mut Context, text: &str) {
    context.update(&(text.len() as u64).to_le_bytes());
    context.update(text.as_bytes());
}

/// Returns the first bytes of a digest; `N` is at most its 32.
fn head<const N: usize>(digest: &ring::digest::Digest) -> [u8; N] {
    digest.as_ref().first_chunk::<N>().copied().unwrap_or([0; N])
}
