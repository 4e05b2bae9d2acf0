//! The bytes of a download: a snapshot laid out as one tar archive, read from any offset.
//!
//! The layout of a bundle is `manifest.json`, then every chunk's entries, then one end mark. Of a sealed chunk
//! all entries are taken as they lie, index and manifest included; of a growing one its data members up to the frozen
//! length; with a filter the members that the chosen frames make. All of it is byte ranges of existing files
//! and computed headers, so the length is exact, nothing is copied, and memory does not grow with the capture.
//! A header of a growing or filtered member is computed from its name and length, never copied: the one in the file
//! may already be ahead.
//!
//! With a trace id the lines themselves are chosen; what remains is compressed anew, once, and kept in a bounded cache.
//!
//! # Invariants
//! - A snapshot's bytes are the same whenever, wherever and in whatever ranges they are read, or the read fails.
//! - Names of files come from the directory, never from a client.

mod cache;
mod chunk;
mod compose;
mod failing;
#[cfg(test)]
mod failing_test;
#[cfg(test)]
pub(crate) mod fixture;
mod freeze;
mod known;
mod layout;
mod lines;
mod manifest;
#[cfg(test)]
mod odd_fs;
#[cfg(test)]
mod odd_test;
mod pins;
mod reader;
#[cfg(test)]
mod tests;
mod trace;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use super::committed::Committed;
use super::frame::FrameError;
use super::fs::{Fs, is_of_one_file};
use super::layout::chunks_dir;
use super::name::ChunkName;
use super::scan::ScanError;
use super::snapshot::{FrozenChunk, Scope, Snapshot};
use super::ustar::HeaderError;
use crate::ids::CaptureId;
use crate::units::ByteSize;

pub use freeze::ListedChunk;
pub use lines::MAX_LINES;
pub use pins::{Pin, Pins};
pub use reader::BundleReader;

use cache::Cache;
use known::Known;
use layout::Layout;

/// Why a snapshot or its bytes cannot be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The directory cannot be listed; another try may help.
    #[error("cannot list the chunks")]
    List(#[source] io::Error),
    /// A chunk's file cannot be opened or read; another try may help.
    #[error("cannot read chunk {chunk}")]
    Read {
        /// Which.
        chunk: ChunkName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A chunk's frames cannot be read.
    #[error("cannot read the frames of chunk {chunk}")]
    Scan {
        /// Which.
        chunk: ChunkName,
        /// Why, and whether another try may help.
        #[source]
        source: ScanError,
    },
    /// Retention, or somebody who cleared the capture, was faster; never worth retrying.
    #[error(
        "{missing} of the {total} chunks of this snapshot are no longer stored: retention removed them, or the capture was cleared"
    )]
    Gone {
        /// How many chunks are missing.
        missing: u64,
        /// Of how many.
        total: u64,
    },
    /// A chunk no longer holds the bytes that were frozen; never worth retrying.
    #[error(
        "the chunks of this snapshot no longer hold the same bytes: recovery found damage in one of them, or left it out"
    )]
    Changed,
    /// A token was given with a capture, chunk or filter that it was not made for; never worth retrying.
    #[error(
        "the snapshot belongs to another capture, chunk or filter: repeat the request's other parameters as they were"
    )]
    OtherScope,
    /// There is no such chunk.
    #[error("no such chunk")]
    NoSuchChunk,
    /// The lines of a trace take more than is held in memory.
    #[error("cannot select a trace of more than {limit} bytes of lines: narrow it with `since` and `until`")]
    TraceTooLarge {
        /// The limit.
        limit: ByteSize,
    },
    /// A frame does not hold the lines that its trailer states.
    #[error("cannot decode a frame of chunk {chunk}")]
    Frame {
        /// Of which chunk.
        chunk: ChunkName,
        /// Why.
        #[source]
        source: FrameError,
    },
    /// A line is not one of the OTLP file format.
    #[error("cannot read a line of chunk {chunk}: {reason}")]
    Line {
        /// Of which chunk.
        chunk: ChunkName,
        /// What is wrong with it.
        reason: String,
    },
    /// What was selected cannot be compressed.
    #[error("cannot compress the selected lines")]
    Compress(#[source] io::Error),
    /// An entry cannot be written as ustar says.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

impl BundleError {
    /// Tells whether one chunk's file is at fault, so that the others are worth a try now.
    fn is_of_one_file(&self) -> bool {
        match self {
            Self::Read { source, .. } | Self::Scan { source: ScanError::Read { source, .. }, .. } => {
                is_of_one_file(source)
            }
            _ => false,
        }
    }

    /// Returns the stable reason for metrics and problems.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::List(_) | Self::Read { .. } | Self::Scan { .. } => "ReadFailed",
            Self::Gone { .. } => "SnapshotGone",
            Self::Changed => "SnapshotChanged",
            Self::OtherScope => "OtherScope",
            Self::NoSuchChunk => "NoSuchChunk",
            Self::TraceTooLarge { .. } => "TraceTooLarge",
            Self::Frame { .. } | Self::Line { .. } => "DataDamaged",
            Self::Compress(_) | Self::Header(_) => "EncodeFailed",
        }
    }
}

/// Makes bundles of one capture's data directory. All calls block.
pub struct Bundles {
    fs: Arc<dyn Fs>,
    chunks_dir: PathBuf,
    capture: CaptureId,
    committed: Committed,
    known: Mutex<Known>,
    traces: Mutex<Cache>,
}

/// A snapshot with the place of each of its bytes.
#[derive(Debug)]
pub struct Bundle {
    snapshot: Snapshot,
    manifest: Vec<u8>,
    layout: Layout,
}

impl Bundles {
    /// Serves the chunks of `data_dir`; `committed` is where this process' writer publishes.
    pub fn new(fs: Arc<dyn Fs>, data_dir: &Path, capture: CaptureId, committed: Committed) -> Self {
        let chunks_dir = chunks_dir(data_dir);
        Self { fs, chunks_dir, capture, committed, known: Mutex::default(), traces: Mutex::default() }
    }

    /// Returns the capture.
    pub fn capture(&self) -> &CaptureId {
        &self.capture
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lays a snapshot out.
    ///
    /// # Errors
    /// [`BundleError`]; with a trace id the selected frames are read here.
    pub fn lay_out(&self, snapshot: Snapshot) -> Result<Bundle, BundleError> {
        let body = match &snapshot.scope {
            Scope::Bundle(filter) if filter.trace_id.is_some() => self.trace_body(&snapshot, filter)?,
            _ => compose::chunks(&snapshot)?,
        };
        let manifest = manifest::of(&self.capture, &snapshot, &body);
        let mut layout = Layout::default();
        if matches!(snapshot.scope, Scope::Bundle(_)) {
            let modified = snapshot.chunks.last().map_or(0, |chunk| chunk.name.started_secs());
            compose::entry(super::name::MANIFEST_MEMBER, modified, manifest.clone().into(), &mut layout)?;
        }
        layout.append(body.layout);
        layout.push_zeros(super::ustar::END.len() as u64);
        Ok(Bundle { snapshot, manifest, layout })
    }
}

impl Bundle {
    /// Returns the snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Returns the exact length in bytes.
    pub fn content_len(&self) -> u64 {
        self.layout.content_len()
    }

    /// Returns the manifest: what the bundle holds, as JSON.
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// Tells whether nothing was there to be taken.
    pub fn is_empty(&self) -> bool {
        !self.snapshot.chunks.iter().any(FrozenChunk::is_readable)
    }
}
