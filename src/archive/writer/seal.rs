//! The end of a chunk: index, manifest, end mark, final name.

use std::io;

use thiserror::Error;

use super::ChunkWriter;
use super::error::{SealError, given_up};
use crate::archive::fs::is_full;
use crate::archive::index::{self, FrameRef};
use crate::archive::manifest::{Manifest, SealedBy};
use crate::archive::name::{ChunkName, ChunkState, INDEX_MEMBER, MANIFEST_MEMBER};
use crate::archive::ustar::{self, END, HeaderError};
use crate::clock::Timestamp;

/// A chunk that has its final name and never changes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedChunk {
    /// Its name.
    pub name: ChunkName,
    /// The length of its file in bytes.
    pub len: u64,
    /// What it holds.
    pub manifest: Manifest,
}

/// A chunk that was not sealed. What was committed is safe in every case.
#[derive(Debug, Error)]
#[error("the chunk is not sealed")]
pub struct Unsealed {
    /// Why.
    #[source]
    pub error: SealError,
    /// Its writer, as if no seal had been tried; `None` where the chunk is left to recovery.
    pub writer: Option<Box<ChunkWriter>>,
}

/// What stands behind a chunk's data: index, manifest, end mark.
pub(in crate::archive) fn tail(
    name: &ChunkName,
    frames: &[FrameRef],
    manifest: &Manifest,
) -> Result<Vec<u8>, HeaderError> {
    let mut tail = Vec::new();
    append_member(&mut tail, name, INDEX_MEMBER, &index::encode(frames))?;
    tail.append(&mut tail_without_index(name, manifest)?);
    Ok(tail)
}

/// The same without an index: a chunk that is scanned when it is read, but fits a volume that is nearly full.
fn tail_without_index(name: &ChunkName, manifest: &Manifest) -> Result<Vec<u8>, HeaderError> {
    let mut tail = Vec::new();
    append_member(&mut tail, name, MANIFEST_MEMBER, &manifest.to_json())?;
    tail.extend_from_slice(&END);
    Ok(tail)
}

fn append_member(out: &mut Vec<u8>, name: &ChunkName, member: &str, body: &[u8]) -> Result<(), HeaderError> {
    out.extend_from_slice(&ustar::header(&name.member(member), body.len() as u64, name.started_secs())?);
    out.extend_from_slice(body);
    out.resize(out.len() + ustar::padding(body.len() as u64), 0);
    Ok(())
}

impl ChunkWriter {
    /// Completes the chunk and gives it its final name; `None` where nothing was committed: then the file is removed.
    ///
    /// Frames that are staged but not committed are left out. On a volume too full for the
    /// index, the chunk is sealed without one: readers scan it instead.
    ///
    /// # Errors
    /// [`Unsealed`]; nothing that was committed is lost. A full volume gives the writer back, which may commit and
    /// seal again; in every other case recovery completes the chunk.
    ///
    /// # Guarantees
    /// A chunk with a final name is complete and synced before it gets the name.
    pub fn seal(mut self, now: Timestamp) -> Result<Option<SealedChunk>, Unsealed> {
        match self.try_seal(now) {
            Err(error @ SealError::Full { .. }) if !self.given_up => {
                Err(Unsealed { error, writer: Some(Box::new(self)) })
            }
            sealed => {
                self.forget();
                sealed.map_err(|error| Unsealed { error, writer: None })
            }
        }
    }

    /// Lets go of a chunk that failed: removes its file where nothing was committed to it, else leaves it to recovery.
    ///
    /// # Errors
    /// [`SealError::Poisoned`] where the file could not be removed: recovery does it. Not to be retried.
    ///
    /// # Guarantees
    /// Nothing that was acknowledged is removed: a receipt is made once frames count as committed, and nobody
    /// else writes to this file.
    pub fn abandon(self) -> Result<(), SealError> {
        self.forget();
        if self.layout.frames().is_empty() { self.remove_empty() } else { Ok(()) }
    }

    fn try_seal(&mut self, now: Timestamp) -> Result<Option<SealedChunk>, SealError> {
        if self.given_up {
            return Err(SealError::Poisoned { source: given_up() });
        }
        self.discard_staged();
        if self.layout.frames().is_empty() {
            return self.remove_empty().map(|()| None);
        }
        let data_bytes = self.layout.committed_len();
        let manifest =
            Manifest::of(self.layout.name(), self.layout.frames(), data_bytes, now, SealedBy::Writer, Vec::new());
        // Sync the file before the rename: a crash between the two must never leave a
        // sealed name on a chunk whose tail is still in the page cache.
        let synced = self.write_tail(&manifest).and_then(|len| {
            self.file.sync_data().map_err(SealError::from_volume)?;
            Ok(len)
        });
        let len = match synced {
            Ok(tail_len) => data_bytes + tail_len,
            Err(error) => {
                // A failed sync may leave a tail in the page cache that the disk has not.
                // Recovery would take the chunk for complete and rename it as it is.
                let cut = self.file.set_len(data_bytes);
                // As after a commit on a full volume, all that comes behind the border is written again before a sync.
                self.given_up = cut.is_err() || !matches!(error, SealError::Full { .. });
                return Err(error);
            }
        };
        // The answer to a rename may be lost: whatever it says, nothing is written any more.
        self.given_up = true;
        self.rename()?;
        self.fs.sync_dir(&self.chunks_dir).map_err(|source| SealError::Directory { source })?;
        Ok(Some(SealedChunk { name: self.layout.name().clone(), len, manifest }))
    }

    /// Writes the tail and returns its length.
    fn write_tail(&self, manifest: &Manifest) -> Result<u64, SealError> {
        let refused = |error: HeaderError| SealError::Poisoned { source: io::Error::other(error) };
        let (name, border) = (self.layout.name(), self.layout.committed_len());
        let whole = tail(name, self.layout.frames(), manifest).map_err(refused)?;
        match self.file.write_all_at(&whole, border) {
            Ok(()) => return Ok(whole.len() as u64),
            Err(source) if is_full(&source) => {}
            Err(source) => return Err(SealError::Poisoned { source }),
        }
        let short = tail_without_index(name, manifest).map_err(refused)?;
        self.file
            .set_len(border)
            .and_then(|()| self.file.write_all_at(&short, border))
            .map_err(SealError::from_volume)?;
        Ok(short.len() as u64)
    }

    fn rename(&self) -> Result<(), SealError> {
        if !self.is_ours().map_err(|source| SealError::Poisoned { source })? {
            return Err(SealError::Lost);
        }
        let sealed = self.chunks_dir.join(self.layout.name().file_name(ChunkState::Sealed));
        let Err(source) = self.fs.rename(&self.path, &sealed) else { return Ok(()) };
        // A network filesystem whose reply was lost asks again, and is told that the old name is gone.
        if self.fs.stat(&sealed).is_ok_and(|stat| stat.id == self.id) {
            return Ok(());
        }
        if source.kind() == io::ErrorKind::NotFound {
            return Err(SealError::Lost);
        }
        Err(SealError::from_volume(source))
    }

    /// Removes a chunk that nothing was committed to.
    fn remove_empty(&self) -> Result<(), SealError> {
        match self.is_ours() {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(source) => return Err(SealError::Poisoned { source }),
        }
        match self.fs.remove(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(SealError::Poisoned { source }),
            _ => Ok(()),
        }
    }
}
