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

mod chunk;
mod digest;
mod scope;
mod token;

use super::name::ChunkName;
use crate::ids::CaptureId;

pub use chunk::{Counts, FrozenChunk};
pub(super) use chunk::{Piece, Taken};
pub(super) use digest::DIGEST_LEN;
pub(super) use scope::scope_mark;
pub use scope::{Filter, Scope};
pub use token::{InvalidToken, MAX_TOKEN_LEN, Token};
pub(super) use token::{Run, writer_hash};

use digest::head;

/// A frozen set of chunks, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub(super) scope: Scope,
    pub(super) chunks: Vec<FrozenChunk>,
    pub(super) digest: [u8; DIGEST_LEN],
    pub(super) token: Option<Token>,
}

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
