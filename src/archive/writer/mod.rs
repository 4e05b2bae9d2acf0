//! One growing chunk: append, commit, seal. When to do which is decided by its owner.
//!
//! A writer owns its file alone: created exclusively, written at explicit offsets,
//! never opened again. [`ChunkWriter::append`] stages frames in memory,
//! [`ChunkWriter::commit`] makes all of them durable at once, and
//! [`ChunkWriter::seal`] completes the archive.
//!
//! # Guarantees
//! - A [`Durable`] is made only after the frames were synced, the file's directory
//!   entry was synced, and the path was seen to be still this file.
//! - Bytes below the committed length never change, except for the header of the
//!   member that grows and the padding behind it.
//! - At every committed length the file's prefix is an archive that tar tools read.
//! - A file whose write or sync failed is never written or synced again, at most cut. A full volume
//!   is no such failure: every byte behind the committed border is written again before
//!   the next sync, so pages that the kernel dropped cannot be taken for synced ones.
//!
//! Buffers and compressor are kept for a chunk's whole life, and made anew for the
//! next: that costs a fraction of a millisecond for tens of megabytes.

mod error;
mod layout;
mod seal;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

pub use error::{AppendError, CommitError, CreateError, SealError};
use layout::Layout;
pub(in crate::archive) use seal::tail;
pub use seal::{SealedChunk, Unsealed};

use super::Durable;
use super::committed::Committed;
use super::frame::{Compression, Encoder};
use super::fs::{File, FileId, Fs, is_full};
use super::index;
use super::name::{ChunkName, ChunkState};
use super::trailer::Facts;
use super::ustar;
use crate::ids::Signal;
use crate::otlp::Segment;

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The disk: what was acknowledged survives a loss of power.
    #[default]
    Sync,
    /// The operating system: what was acknowledged survives the end of the process, not that of the machine.
    Write,
}

/// How a chunk is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterOptions {
    /// How lines are compressed.
    pub compression: Compression,
    /// What a commit waits for.
    pub durability: Durability,
    /// A member whose body has this many bytes is closed; so it holds at most this plus a frame.
    pub member_bytes: u64,
    /// Lines of one frame in bytes, uncompressed; a segment is never split.
    pub frame_bytes: usize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            durability: Durability::default(),
            // A tool that extracts one member to look into it is given a handy file.
            member_bytes: 4 << 20,
            // Larger frames compress no better, and a reader has to decompress a whole one.
            frame_bytes: 1 << 20,
        }
    }
}

/// Writes one chunk.
pub struct ChunkWriter {
    fs: Arc<dyn Fs>,
    file: Box<dyn File>,
    id: FileId,
    chunks_dir: PathBuf,
    path: PathBuf,
    options: WriterOptions,
    encoder: Encoder,
    layout: Layout,
    committed: Committed,
    items: u64,
    /// What the committed frames will take in the index.
    index_len: u64,
    /// Whether a crash can no longer take the file's name.
    entry_synced: bool,
    /// Set by an error that leaves the file's content unknown, or its name to somebody else.
    given_up: bool,
    /// Lines of several segments that become one frame.
    joined: Vec<u8>,
}

impl fmt::Debug for ChunkWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ChunkWriter {
    /// Begins a chunk: an empty `.tar.inprogress` in an existing directory.
    ///
    /// # Errors
    /// [`CreateError`]; a try with another name may succeed.
    pub fn create(
        fs: Arc<dyn Fs>,
        chunks_dir: &Path,
        name: ChunkName,
        options: WriterOptions,
        committed: Committed,
    ) -> Result<Self, CreateError> {
        let encoder = Encoder::new(options.compression).map_err(CreateError::Compressor)?;
        let path = chunks_dir.join(name.file_name(ChunkState::InProgress));
        // Before there is a file: a chunk of this process that is not published is taken for one that was given up.
        committed.publish(&name, 0);
        let created = fs.create_new(&path).and_then(|file| Ok((file.stat()?.id, file)));
        let (id, file) = created.map_err(|source| {
            committed.clear();
            CreateError::Create { path: path.clone(), source }
        })?;
        let layout = Layout::new(name, options.compression, options.member_bytes);
        Ok(Self {
            fs,
            file,
            id,
            chunks_dir: chunks_dir.to_owned(),
            path,
            options,
            encoder,
            layout,
            committed,
            items: 0,
            index_len: 0,
            entry_synced: false,
            given_up: false,
            joined: Vec::new(),
        })
    }

    /// Stages segments as frames of about `frame_bytes` each; no I/O.
    ///
    /// The caller keeps the segments until [`Self::commit`] returns: they may have to go to another chunk.
    ///
    /// # Errors
    /// [`AppendError`]; nothing of these segments is then staged.
    pub fn append(&mut self, signal: Signal, segments: &[&Segment]) -> Result<(), AppendError> {
        let before = self.layout.cursor();
        let staged = self.stage(signal, segments);
        if staged.is_err() {
            self.layout.roll_back(before);
        }
        staged
    }

    fn stage(&mut self, signal: Signal, mut segments: &[&Segment]) -> Result<(), AppendError> {
        while !segments.is_empty() {
            let (group, rest) = segments.split_at(group_len(segments, self.options.frame_bytes));
            segments = rest;
            let lines = match group {
                [one] => one.lines.as_slice(),
                several => {
                    self.joined.clear();
                    for segment in several {
                        self.joined.extend_from_slice(&segment.lines);
                    }
                    self.joined.as_slice()
                }
            };
            if !lines.is_empty() {
                self.layout.append(&mut self.encoder, signal, lines, Facts::of(group))?;
            }
        }
        Ok(())
    }

    /// Makes every staged frame durable.
    ///
    /// # Errors
    /// [`CommitError`] says for each case whether the writer may be used again.
    ///
    /// # Guarantees
    /// After an error nothing may be acknowledged; frames of the failed commit may still
    /// be found by recovery, so a line that is appended again may end up in two chunks.
    pub fn commit(&mut self) -> Result<Durable, CommitError> {
        if self.given_up {
            return Err(CommitError::Poisoned { source: error::given_up() });
        }
        if !self.layout.has_staged() {
            return Ok(Durable::after_sync());
        }
        if let Err(source) = self.write_staged() {
            return Err(self.write_failed(source));
        }
        if let Err(source) = self.sync_entry() {
            return Err(self.poison(source));
        }
        // Recovery renames a chunk before it reads it. So either it reads what was just
        // synced, or the name is gone by now.
        match self.is_ours() {
            Ok(true) => {}
            Ok(false) => {
                self.give_up();
                return Err(CommitError::Lost);
            }
            Err(source) => return Err(self.poison(source)),
        }
        let known = self.layout.frames().len();
        self.layout.commit();
        let new = self.layout.frames().get(known..).unwrap_or_default();
        self.items += new.iter().map(|frame| u64::from(frame.trailer.facts.items)).sum::<u64>();
        self.index_len += new.iter().map(index::entry_len).sum::<u64>();
        // Without the padding: the next commit writes there, and a short frame may fit before it is synced.
        self.committed.publish(self.layout.name(), self.layout.offset());
        Ok(Durable::after_sync())
    }

    /// Writes frames and padding, then the header of the member that grew, then syncs once.
    fn write_staged(&mut self) -> io::Result<()> {
        let header = self.layout.finish().map_err(io::Error::other)?;
        self.file.write_all_at(self.layout.staged(), self.layout.offset())?;
        if let Some(header) = header {
            self.file.write_all_at(&header.block, header.offset)?;
        }
        match self.options.durability {
            Durability::Sync => self.file.sync_data(),
            Durability::Write => Ok(()),
        }
    }

    /// Sees to it that a crash cannot take the file's name, before the first acknowledgement.
    fn sync_entry(&mut self) -> io::Result<()> {
        if !self.entry_synced && self.options.durability == Durability::Sync {
            self.fs.sync_dir(&self.chunks_dir)?;
            self.entry_synced = true;
        }
        Ok(())
    }

    fn write_failed(&mut self, source: io::Error) -> CommitError {
        if !is_full(&source) {
            return self.poison(source);
        }
        match self.cut_back() {
            Ok(()) => CommitError::Full { source },
            Err(source) => self.poison(source),
        }
    }

    /// Cuts the file to its committed length and gives it back padding and header.
    fn cut_back(&self) -> io::Result<()> {
        let header = self.layout.committed_header().map_err(io::Error::other)?;
        let (end, border) = (self.layout.offset(), self.layout.committed_len());
        self.file.set_len(border)?;
        let zeros = [0; ustar::BLOCK];
        self.file.write_all_at(zeros.get(..ustar::padding(end)).unwrap_or_default(), end)?;
        match header {
            Some(header) => self.file.write_all_at(&header.block, header.offset),
            None => Ok(()),
        }
    }

    fn poison(&mut self, source: io::Error) -> CommitError {
        self.give_up();
        CommitError::Poisoned { source }
    }

    fn give_up(&mut self) {
        self.given_up = true;
        self.forget();
    }

    /// Takes back what was published about this chunk, unless the next one is published already.
    fn forget(&self) {
        if self.committed.of(self.layout.name()).is_some() {
            self.committed.clear();
        }
    }

    /// Tells whether the path still leads to this file.
    fn is_ours(&self) -> io::Result<bool> {
        match self.fs.stat(&self.path) {
            Ok(stat) => Ok(stat.id == self.id),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Forgets what was appended since the last commit.
    pub fn discard_staged(&mut self) {
        self.layout.discard_staged();
    }

    /// Shows the other writers and recovery that somebody still writes here; due every minute, also when idle.
    ///
    /// # Errors
    /// What the volume says; the writer goes on.
    pub fn touch(&mut self) -> io::Result<()> {
        self.file.touch()
    }

    /// Returns the chunk's name.
    pub fn name(&self) -> &ChunkName {
        self.layout.name()
    }

    /// Returns the length of the committed part of the file in bytes, a multiple of 512.
    pub fn committed_len(&self) -> u64 {
        self.layout.committed_len()
    }

    /// Returns about how long the file will be once it is sealed, in bytes: many small commits make a long index.
    pub fn sealed_len(&self) -> u64 {
        self.committed_len() + self.index_len
    }

    /// Returns by how many bytes the next commit would lengthen the file.
    pub fn staged_len(&self) -> u64 {
        self.layout.staged_len()
    }

    /// Returns how many items (spans) are committed.
    pub fn items(&self) -> u64 {
        self.items
    }
}

/// Returns how many of the first segments become one frame: at least one, then as many as fit.
fn group_len(segments: &[&Segment], frame_bytes: usize) -> usize {
    let mut bytes = 0_usize;
    let fitting = segments.iter().take_while(|segment| {
        bytes = bytes.saturating_add(segment.lines.len());
        bytes <= frame_bytes
    });
    fitting.count().max(1)
}
