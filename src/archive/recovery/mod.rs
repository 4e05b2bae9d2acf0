//! Recovery: makes a sealed chunk out of what a writer left behind.
//!
//! [`plan`] decides, [`recover`] claims, reads, decides and carries out, [`OrphanWatch`]
//! tells which chunks nobody writes to any more. The states a crash can leave are
//! numbered in the module documentation of `archive`; the tests here go by them.
//!
//! # Guarantees
//! - No byte is lost that a frame vouches for, and none that is not zero: what nothing
//!   vouches for goes to the quarantine before the file that held it is removed.
//! - The orphan itself is never written to: somebody may still hold it open.
//! - A crash at any step leaves a state that the next recovery understands, and doing it
//!   twice, or in two places at once, ends with the same frames.
//!
//! # Caveats
//! A copy needs as much free space as the chunk has. On a full volume only what needs
//! none goes on (renaming a complete chunk, removing an empty or a redundant one); the
//! rest stays claimed and waits for retention, which must run first there.

mod carry_out;
mod copy;
mod quarantine;
mod temporary;
mod watch;

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::path::Path;

use thiserror::Error;

pub use carry_out::recover;
pub use temporary::remove_temporaries;
pub use watch::{Due, OrphanWatch};

use super::fs::{Fs, is_full};
use super::index::FrameRef;
use super::manifest::Damage;
use super::name::ChunkName;
use super::scan::{Newer, Scan, ScanError};
use super::trailer::Trailer;
use crate::clock::Timestamp;

/// Where recovery works, and what it may not ask for itself.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// The volume.
    pub fs: &'a dyn Fs,
    /// The data directory, prepared.
    pub data_dir: &'a Path,
    /// Drawn at random, so that two recoveries of one chunk write to two temporary files.
    pub nonce: u32,
    /// The time that goes into the manifest.
    pub now: Timestamp,
}

/// What is to be done with a claimed orphan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// Seal a copy of its intact frames, then remove it.
    Seal,
    /// It is complete: seal a copy all the same, or, on a full volume, give it its final name.
    ///
    /// Its writer may have ended between the last write and a sync, or after a sync that failed:
    /// then what was read is in the page cache alone, and a later sync that succeeds proves nothing.
    Rename,
    /// No frame is in it: remove it.
    Discard,
    /// A sealed chunk of the same name exists, too: add these frames of the orphan to it
    /// (by their place in its scan), then remove the orphan.
    Merge {
        /// What the sealed chunk lacks; mostly nothing.
        missing: Vec<usize>,
    },
    /// It is of a later format: not ours to touch.
    Leave(Newer),
}

/// What recovery did.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The chunk is sealed now.
    Sealed(Recovered),
    /// Nothing but bytes without a frame was in it; it is gone.
    Discarded(Recovered),
    /// A sealed chunk already held all of its frames; the orphan is gone.
    Redundant(Recovered),
    /// It is of a later format and was left as it is.
    Newer(Newer),
    /// Its writer or another recovery was faster.
    Gone,
}

/// What was found in an orphan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The chunk.
    pub chunk: ChunkName,
    /// Length of the sealed chunk in bytes; 0 where there is none.
    pub len: u64,
    /// Number of intact frames found in the orphan.
    pub frames: u64,
    /// Number of items (spans) in them.
    pub items: u64,
    /// Bytes put into the quarantine.
    pub quarantined_bytes: u64,
    /// What was left out, zeros included.
    pub damage: Vec<Damage>,
}

/// Why a chunk was not recovered. It stays claimed, and whole, until retention's limits; other chunks can go on.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The orphan could not be given its claimed name; another try may help.
    #[error("cannot claim the chunk {chunk}")]
    Claim {
        /// The chunk.
        chunk: ChunkName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It could not be read; another try may help, but rarely soon.
    #[error("cannot read the orphaned chunk {chunk}")]
    Read {
        /// The chunk.
        chunk: ChunkName,
        /// Why.
        #[source]
        source: ScanError,
    },
    /// Copy or quarantined bytes could not be written; once there is room another try helps.
    #[error("cannot copy what is intact of the chunk {chunk}")]
    Copy {
        /// The chunk.
        chunk: ChunkName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The sealed chunk could not be given its name, or the orphan not be removed; another try may help.
    #[error("cannot put the recovered chunk {chunk} in its place")]
    Place {
        /// The chunk.
        chunk: ChunkName,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl RecoveryError {
    /// Returns the stable reason for metrics and conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Claim { .. } => "ClaimFailed",
            Self::Read { .. } => "ReadFailed",
            Self::Copy { source, .. } if is_full(source) => "VolumeFull",
            Self::Copy { .. } => "CopyFailed",
            Self::Place { .. } => "PlaceFailed",
        }
    }

    /// Tells whether retention has to make room first.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Copy { source, .. } | Self::Place { source, .. } if is_full(source))
    }
}

/// Decides what to do with a claimed orphan; `sealed` is the chunk that already has the final name, if any.
pub fn plan(chunk: &ChunkName, orphan: &Scan, sealed: Option<&Scan>) -> Repair {
    let newer = orphan.newer.or_else(|| sealed.and_then(|sealed| sealed.newer));
    if let Some(newer) = newer {
        return Repair::Leave(newer);
    }
    if orphan.frames.is_empty() {
        return Repair::Discard;
    }
    if let Some(sealed) = sealed {
        let identity = |frame: &FrameRef| {
            let Trailer { sequence, data_len, data_crc, raw_len, .. } = frame.trailer;
            (sequence, data_len, data_crc, raw_len)
        };
        let held: HashSet<_> = sealed.frames.iter().map(identity).collect();
        let frames = orphan.frames.iter().enumerate();
        let missing = frames.filter(|(_, frame)| !held.contains(&identity(frame))).map(|(n, _)| n).collect();
        return Repair::Merge { missing };
    }
    let named_alike = orphan.manifest.as_ref().is_some_and(|manifest| manifest.chunk == chunk.to_string());
    if orphan.complete && named_alike { Repair::Rename } else { Repair::Seal }
}
