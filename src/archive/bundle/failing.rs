//! What could not be read of chunks while it was sent, so that the next snapshot does without them.
//!
//! A sealed chunk is frozen by its end alone: a bad block in its data shows only to who reads it.
//!
//! # Invariants
//! - A snapshot that was given out keeps its bytes; what is remembered can only make it fail.
//! - Nothing is held against a chunk for good: what failed is tried again each time it is asked for.

use std::io;
use std::ops::Range;

use super::chunk::Opened;
use super::known::Failing;
use super::{BundleError, Bundles};
use crate::archive::fs::{is_of_one_file, read_exact_at};
use crate::archive::name::{ChunkName, ChunkState};
use crate::archive::snapshot::FrozenChunk;

/// What is read at a time where it is tried again.
const PIECE: usize = 64 << 10;

impl Bundles {
    /// Reads a range of a chunk's file; a part that this file alone refuses is remembered.
    pub(super) fn read(
        &self,
        name: &ChunkName,
        opened: &Opened,
        at: u64,
        target: &mut [u8],
    ) -> Result<(), BundleError> {
        read_exact_at(opened.file.as_ref(), target, at).map_err(|source| {
            if is_of_one_file(&source) {
                let failing = Failing { id: opened.id, range: at..at + target.len() as u64 };
                self.known().failing.insert(name.clone(), failing);
            }
            BundleError::Read { chunk: name.clone(), source }
        })
    }

    /// Refuses a chunk of which bytes are taken that could not be read before, and still cannot.
    pub(super) fn check_failing(&self, chunk: &FrozenChunk, state: ChunkState) -> Result<(), BundleError> {
        let known = self.known().failing.get(&chunk.name).cloned();
        let Some(Failing { id, range }) = known.filter(|failing| chunk.takes(&failing.range)) else { return Ok(()) };
        let Some(opened) = self.open_chunk(&chunk.name, state)? else { return Ok(()) };
        // Another file, such as recovery's copy, has blocks of its own.
        if opened.id == id {
            let read = read_through(&opened, range);
            read.map_err(|source| BundleError::Read { chunk: chunk.name.clone(), source })?;
        }
        self.known().failing.remove(&chunk.name);
        Ok(())
    }
}

/// Reads a range for nothing but to see whether that can be done.
fn read_through(opened: &Opened, range: Range<u64>) -> io::Result<()> {
    let (mut at, mut piece) = (range.start, vec![0; PIECE]);
    while at < range.end {
        let left = usize::try_from(range.end - at).unwrap_or(PIECE).min(PIECE);
        read_exact_at(opened.file.as_ref(), piece.get_mut(..left).unwrap_or_default(), at)?;
        at += left as u64;
    }
    Ok(())
}
