//! What can go wrong with a growing chunk, and what its owner may do then.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::archive::frame::EncodeError;
use crate::archive::fs::is_full;
use crate::archive::ustar::HeaderError;

/// Why no chunk was begun.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The compressor's context could not be allocated.
    #[error("cannot make a compressor")]
    Compressor(#[source] io::Error),
    /// The file could not be created or looked at.
    ///
    /// `AlreadyExists` asks for another name; a full volume for a later try; what else is there for another volume.
    #[error("cannot create the chunk `{path}`")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the volume says.
        #[source]
        source: io::Error,
    },
}

impl CreateError {
    /// Returns the reason for metrics and conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Compressor(_) => "CompressorFailed",
            Self::Create { source, .. } if is_full(source) => "VolumeFull",
            Self::Create { .. } => "CreateFailed",
        }
    }
}

/// Why segments were not staged. Nothing of them is, and the writer goes on; the same segments fail again.
#[derive(Debug, Error)]
pub enum AppendError {
    /// A segment did not become a frame.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A member's header cannot be written.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The chunk has as many frames as their numbers can tell apart.
    #[error("cannot number another frame in this chunk: seal it")]
    TooManyFrames,
}

impl AppendError {
    /// Returns the reason for metrics and conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Encode(EncodeError::TooLong(_)) => "SegmentTooLong",
            Self::Encode(EncodeError::Compress(_)) => "CompressorFailed",
            Self::Header(_) => "MemberRefused",
            Self::TooManyFrames => "TooManyFrames",
        }
    }
}

/// Why the staged frames are not acknowledged.
#[derive(Debug, Error)]
pub enum CommitError {
    /// The volume, or a quota on it, is full. The chunk was cut back to what is committed.
    ///
    /// The writer may be used again: the frames are still staged, commit them once there is
    /// room, or discard them and ask their senders to come back.
    #[error("cannot commit to a full volume")]
    Full {
        /// What the volume says.
        #[source]
        source: io::Error,
    },
    /// The volume failed; what it holds of the staged frames is unknown.
    ///
    /// The writer is given up: it never writes or syncs again, recovery seals what was committed.
    /// Append the same segments to a new chunk.
    #[error("cannot commit to this chunk any more")]
    Poisoned {
        /// What the volume says.
        #[source]
        source: io::Error,
    },
    /// The chunk was taken by recovery, or removed.
    ///
    /// The writer is given up, as with `Poisoned`; append the same segments to a new chunk.
    #[error("cannot commit to a chunk that was taken by recovery")]
    Lost,
}

impl CommitError {
    /// Returns the reason for metrics and conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Full { .. } => "VolumeFull",
            Self::Poisoned { .. } => "ChunkPoisoned",
            Self::Lost => "ChunkLost",
        }
    }

    /// Tells whether the same writer may commit again.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

/// Why a chunk has not its final name.
#[derive(Debug, Error)]
pub enum SealError {
    /// The volume is full: once there is room, the writer, where it is given back, or recovery can seal the chunk.
    #[error("cannot seal a chunk on a full volume")]
    Full {
        /// What the volume says.
        #[source]
        source: io::Error,
    },
    /// The volume failed, now or at an earlier commit: recovery seals what was committed.
    #[error("cannot seal the chunk")]
    Poisoned {
        /// What the volume says.
        #[source]
        source: io::Error,
    },
    /// The chunk was taken by recovery, which seals it.
    #[error("cannot seal a chunk that was taken by recovery")]
    Lost,
    /// The chunk is complete and has its final name, but may lose the name in a crash; recovery then gives it back.
    #[error("cannot sync the directory of a sealed chunk")]
    Directory {
        /// What the volume says.
        #[source]
        source: io::Error,
    },
}

impl SealError {
    /// Returns the reason for metrics and conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Full { .. } => "VolumeFull",
            Self::Poisoned { .. } => "ChunkPoisoned",
            Self::Lost => "ChunkLost",
            Self::Directory { .. } => "DirectorySyncFailed",
        }
    }

    /// Sorts what the volume said.
    pub(super) fn from_volume(source: io::Error) -> Self {
        if is_full(&source) { Self::Full { source } } else { Self::Poisoned { source } }
    }
}

/// The error of a writer that failed before.
pub(super) fn given_up() -> io::Error {
    io::Error::other("the chunk was given up after an earlier error")
}
