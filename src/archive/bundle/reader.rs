//! Reads a bundle from any offset, in constant memory.

use std::sync::Arc;

use super::chunk::Opened;
use super::layout::Segment;
use super::{Bundle, BundleError, Bundles};
use crate::archive::fs::{FileId, read_exact_at};
use crate::archive::name::ChunkState;
use crate::archive::snapshot::{FrozenChunk, Taken};
use crate::archive::ustar::END;

/// Reads one bundle; holds at most one file open.
pub struct BundleReader {
    bundles: Arc<Bundles>,
    bundle: Arc<Bundle>,
    open: Option<(usize, Opened)>,
    /// The file in which the frames of a chunk were last seen to be the frozen ones.
    verified: Option<(usize, FileId)>,
}

impl BundleReader {
    /// Makes a reader; nothing is opened yet.
    pub fn new(bundles: Arc<Bundles>, bundle: Arc<Bundle>) -> Self {
        Self { bundles, bundle, open: None, verified: None }
    }

    /// Fills `buffer` with the bytes at `offset`; returns fewer only at the end of the bundle.
    ///
    /// # Errors
    /// [`BundleError`] where a chunk vanished or cannot be read; never other bytes, never zeros in place of data.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, BundleError> {
        let bundle = Arc::clone(&self.bundle);
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let Some((segment, within)) = bundle.layout.find(offset + filled as u64) else { break };
            let left = usize::try_from(segment.len() - within).unwrap_or(usize::MAX);
            let n = left.min(rest.len());
            let target = rest.get_mut(..n).unwrap_or_default();
            match segment {
                Segment::Zeros(_) => target.fill(0),
                Segment::Bytes(bytes) => {
                    let from = usize::try_from(within).unwrap_or(usize::MAX);
                    target.copy_from_slice(bytes.get(from..from.saturating_add(n)).unwrap_or_default());
                }
                Segment::File { chunk, range } => self.read_chunk(&bundle, *chunk, range.start + within, target)?,
            }
            filled += n;
        }
        Ok(filled)
    }

    /// Reads from a chunk's file; where that fails once, opens it anew: a network volume may have let go of it.
    fn read_chunk(&mut self, bundle: &Bundle, place: usize, at: u64, target: &mut [u8]) -> Result<(), BundleError> {
        // Places in a layout are those of its own snapshot.
        let chunk = bundle.snapshot.chunks.get(place).ok_or(BundleError::Changed)?;
        if let Some((open, opened)) = &self.open
            && *open == place
            && read_exact_at(opened.file.as_ref(), target, at).is_ok()
        {
            return Ok(());
        }
        self.open = None;
        let opened = self.open_verified(place, chunk)?;
        self.bundles.read(&chunk.name, &opened, at, target)?;
        self.open = Some((place, opened));
        Ok(())
    }

    /// Opens a chunk and makes sure that it holds what was frozen.
    fn open_verified(&mut self, place: usize, chunk: &FrozenChunk) -> Result<Opened, BundleError> {
        let vanished = || BundleError::Gone { missing: 1, total: self.bundle.snapshot.chunks.len() as u64 };
        let first = if chunk.grown_to.is_some() { ChunkState::InProgress } else { ChunkState::Sealed };
        let opened = self.bundles.open_chunk(&chunk.name, first);
        // What is remembered of it must not promise the next snapshot a file that is not to be had.
        let opened = opened.inspect_err(|_| self.bundles.known().forget(&chunk.name))?.ok_or_else(vanished)?;
        match &chunk.taken {
            Taken::Whole { content_len } if opened.len != content_len + END.len() as u64 => {
                self.bundles.known().forget(&chunk.name);
                Err(BundleError::Changed)
            }
            // A sealed file is never changed; one that grew may have been replaced by recovery's copy.
            Taken::Frames { pieces, .. } if chunk.grown_to.is_some() && self.verified != Some((place, opened.id)) => {
                let held = self.bundles.pieces(&chunk.name, &opened)?;
                // Both are in the order of the file, so one pass tells whether all frozen ones are still there.
                let mut held = held.iter();
                if !pieces.iter().all(|frozen| held.any(|piece| piece == frozen)) {
                    return Err(BundleError::Changed);
                }
                self.verified = Some((place, opened.id));
                Ok(opened)
            }
            _ => Ok(opened),
        }
    }
}
