//! `tracecapture recover`: by hand what a collector does at its start and the keeper later.

use std::fmt::Write as _;
use std::path::Path;

use thiserror::Error;

use super::args::RecoverArgs;
use super::escape::escape_for_terminal;
use super::exit::{ExitCode, Failure};
use super::output::write_stdout;
use super::reading::warn;
use crate::archive::catalog::{Catalog, CatalogError, Inventory};
use crate::archive::fs::{Fs, Lock, LockError, RealFs};
use crate::archive::layout;
use crate::archive::name::{ChunkName, ChunkState};
use crate::archive::recovery::{self, Outcome, Repair, Site};
use crate::archive::scan::{self, ScanError};
use crate::clock::{Clock, SystemClock};
use crate::telemetry::chain;
use crate::units::ByteSize;

/// Why nothing could be recovered.
#[derive(Debug, Error)]
enum RecoverError {
    /// The directory could not be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A chunk could not be read.
    #[error("cannot read the chunk {chunk}")]
    Scan {
        /// The chunk.
        chunk: ChunkName,
        /// Why.
        #[source]
        source: ScanError,
    },
    /// Some chunks could not be recovered; each was told.
    #[error("cannot recover {failed} of {of} chunks")]
    Some {
        /// How many.
        failed: usize,
        /// Of how many.
        of: usize,
    },
}

impl From<RecoverError> for Failure {
    fn from(error: RecoverError) -> Self {
        let (code, hint) = match &error {
            RecoverError::Catalog(_) => (ExitCode::NotFound, "name the data directory, the one that holds `chunks`"),
            RecoverError::Scan { .. } => (ExitCode::Failed, "mend the volume and try again"),
            RecoverError::Some { failed, of } => {
                let code = if failed < of { ExitCode::Partial } else { ExitCode::Failed };
                (code, "mend what is named and try again; nothing was lost")
            }
        };
        Self::new(code, error).with_hint(hint)
    }
}

/// Recovers every chunk whose writer is gone, or prints what would be done.
///
/// # Errors
/// A [`Failure`] where the directory could not be read, or a chunk not be recovered.
pub fn run(args: &RecoverArgs) -> Result<ExitCode, Failure> {
    let inventory = Catalog::new(&args.dir).read(&RealFs).map_err(RecoverError::from)?;
    let orphans: Vec<ChunkName> = orphans(&inventory, args);
    if orphans.is_empty() {
        write_stdout("nothing to recover\n")?;
        return Ok(ExitCode::Done);
    }
    let (mut report, mut failed) = (String::new(), 0);
    for chunk in &orphans {
        let line = match writer_lives(&args.dir, chunk, args.dry_run) {
            Some(owner) => format!("left alone, its writer lives: {owner}"),
            None if args.dry_run => planned(&args.dir, chunk)?,
            None => recover(&args.dir, chunk).unwrap_or_else(|text| {
                failed += 1;
                text
            }),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(report, "{chunk}  {}", escape_for_terminal(&line));
    }
    write_stdout(&report)?;
    if failed > 0 { Err(RecoverError::Some { failed, of: orphans.len() }.into()) } else { Ok(ExitCode::Done) }
}

/// Returns the chunks that are not sealed, or stand there twice, of the writer that was asked for.
fn orphans(inventory: &Inventory, args: &RecoverArgs) -> Vec<ChunkName> {
    let unsealed = inventory.chunks.iter().filter(|chunk| chunk.state != ChunkState::Sealed);
    let wanted = unsealed.filter(|chunk| args.writer_id.as_ref().is_none_or(|writer| writer == chunk.name.writer()));
    let mut names: Vec<_> = wanted.map(|chunk| chunk.name.clone()).collect();
    names.dedup();
    names
}

/// Returns who holds the lock of a chunk's writer on this machine, if somebody does.
///
/// A lock that cannot be looked at is no obstacle: a writer that lives all the same finds its
/// chunk taken and goes on in a new one.
fn writer_lives(dir: &Path, chunk: &ChunkName, dry_run: bool) -> Option<String> {
    let path = layout::lock_path(dir, chunk.writer());
    if dry_run && RealFs.stat(&path).is_err() {
        return None;
    }
    match Lock::acquire(&path) {
        Err(LockError::Held { owner, .. }) => Some(owner),
        Err(error) => {
            warn(&format!("cannot tell whether the writer of {chunk} lives: {}", chain(&error)));
            None
        }
        Ok(_) => None,
    }
}

/// Says what recovery would do, and changes nothing.
fn planned(dir: &Path, chunk: &ChunkName) -> Result<String, RecoverError> {
    let read = |state| {
        let failed = |source| RecoverError::Scan { chunk: chunk.clone(), source };
        let unread = |source| failed(ScanError::Read { offset: 0, source });
        match RealFs.open(&layout::chunk_path(dir, chunk, state)) {
            Ok(file) => {
                let len = file.stat().map_err(unread)?.len;
                scan::scan(&*file, len).map(Some).map_err(failed)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unread(error)),
        }
    };
    let orphan = match read(ChunkState::Recovering)? {
        Some(scan) => Some(scan),
        None => read(ChunkState::InProgress)?,
    };
    let Some(orphan) = orphan else { return Ok("gone meanwhile".to_owned()) };
    let items: u64 = orphan.frames.iter().map(|frame| u64::from(frame.trailer.facts.items)).sum();
    let sealed = read(ChunkState::Sealed)?;
    Ok(match recovery::plan(chunk, &orphan, sealed.as_ref()) {
        Repair::Seal => format!("would be sealed with {items} spans in {} frames", orphan.frames.len()),
        Repair::Rename => format!("is complete and would get its final name, with {items} spans"),
        Repair::Discard => "holds no frame and would be removed".to_owned(),
        Repair::Merge { missing } if missing.is_empty() => "is held by a sealed chunk and would be removed".to_owned(),
        Repair::Merge { missing } => format!("would give {} frames to the sealed chunk", missing.len()),
        Repair::Leave(newer) => format!("would be left alone: {newer}"),
    })
}

/// Recovers one chunk and says what became of it.
fn recover(dir: &Path, chunk: &ChunkName) -> Result<String, String> {
    let site = Site { fs: &RealFs, data_dir: dir, nonce: std::process::id(), now: SystemClock::new().now() };
    let outcome = recovery::recover(site, chunk).map_err(|error| chain(&error))?;
    Ok(match outcome {
        Outcome::Sealed(found) => {
            let quarantined = match found.quarantined_bytes {
                0 => String::new(),
                bytes => format!(", {} quarantined", ByteSize(bytes)),
            };
            format!("sealed with {} spans in {} frames{quarantined}", found.items, found.frames)
        }
        Outcome::Discarded(_) => "held no frame and was removed".to_owned(),
        Outcome::Redundant(_) => "was held by a sealed chunk and removed".to_owned(),
        Outcome::Newer(newer) => format!("left alone: {newer}"),
        Outcome::Gone => "gone meanwhile".to_owned(),
    })
}
