//! How far the chunk that this process writes is committed.

use std::sync::{Arc, Mutex, PoisonError};

use super::name::ChunkName;

/// The committed length of a growing chunk, from its writer to readers in the same process.
///
/// It ends with the last committed frame; padding behind that is not counted.
/// Readers of other processes' chunks trust what the frames' checksums vouch for instead.
#[derive(Debug, Clone, Default)]
pub struct Committed(Arc<Mutex<Option<(ChunkName, u64)>>>);

impl Committed {
    /// Makes a place where nothing is published yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Publishes that the chunk's first `len` bytes are durable.
    pub fn publish(&self, chunk: &ChunkName, len: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((chunk.clone(), len));
    }

    /// Forgets the chunk: it is sealed, or given up.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns the chunk that this process writes, if there is one.
    pub fn chunk(&self) -> Option<ChunkName> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(name, _)| name.clone())
    }

    /// Returns the committed length in bytes, or `None` where this process does not write the chunk.
    pub fn of(&self, chunk: &ChunkName) -> Option<u64> {
        let current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().filter(|(name, _)| name == chunk).map(|&(_, len)| len)
    }
}
