//! The doing: claim, read, decide, quarantine, copy, put in place, remove. In this order.

use std::io;
use std::path::{Path, PathBuf};

use super::copy::{Source, write_chunk};
use super::quarantine::quarantine;
use super::temporary::{self, rename};
use super::{Outcome, Recovered, RecoveryError, Repair, Site, plan};
use crate::archive::fs::{File, FileId, Fs, is_of_one_file};
use crate::archive::layout;
use crate::archive::manifest::Damage;
use crate::archive::name::{ChunkName, ChunkState};
use crate::archive::scan::{Scan, ScanError, scan};

/// What a look at a path found.
#[derive(PartialEq, Eq)]
enum Look {
    Found(FileId),
    Unreadable,
    Gone,
}

/// A file that was opened and scanned.
struct Read {
    file: Box<dyn File>,
    len: u64,
    scan: Scan,
}

/// Recovers one orphan: the claimed file of that name, else the one in progress, which is claimed first.
///
/// Where both exist the claimed one is done and the other left for the next call.
/// The caller has made sure that nobody writes to the chunk (see [`super::OrphanWatch`]);
/// a writer that wakes up all the same can neither corrupt the result nor acknowledge.
///
/// # Errors
/// [`RecoveryError`]; the orphan is whole and stays claimed, so that calling again is all there is to do.
pub fn recover(site: Site<'_>, chunk: &ChunkName) -> Result<Outcome, RecoveryError> {
    let claimed = claim(site, chunk).map_err(|source| RecoveryError::Claim { chunk: chunk.clone(), source })?;
    let Some(path) = claimed else { return Ok(Outcome::Gone) };
    let unread = |source| RecoveryError::Read { chunk: chunk.clone(), source };
    let Some(orphan) = read(site.fs, &path).map_err(unread)? else { return Ok(Outcome::Gone) };
    let sealed_path = layout::chunk_path(site.data_dir, chunk, ChunkState::Sealed);
    let sealed = read(site.fs, &sealed_path).map_err(unread)?;
    let repair = plan(chunk, &orphan.scan, sealed.as_ref().map(|sealed| &sealed.scan));
    Claimed { site, chunk, path, orphan, sealed_path, sealed }.carry_out(&repair)
}

/// Takes the orphan from its writer and returns its path; `None` where there is none.
fn claim(site: Site<'_>, chunk: &ChunkName) -> io::Result<Option<PathBuf>> {
    let Site { fs, data_dir, .. } = site;
    let from = layout::chunk_path(data_dir, chunk, ChunkState::InProgress);
    let to = layout::chunk_path(data_dir, chunk, ChunkState::Recovering);
    // A rename replaces its target: a chunk claimed before must be done first.
    if look(fs, &to)? == Look::Gone {
        let renamed = match look(fs, &from)? {
            Look::Gone => return Ok(None),
            Look::Found(id) => rename(fs, &from, &to, id),
            // A writer that lives after all finds its path gone; and once claimed, it can be evicted in its turn.
            Look::Unreadable => fs.rename(&from, &to),
        };
        match renamed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        }
    }
    // Before the read: a crash must not give a file its writer's name back that was read already.
    fs.sync_dir(&layout::chunks_dir(data_dir))?;
    Ok(Some(to))
}

/// Looks a path up; what is wrong with this file alone is no error.
fn look(fs: &dyn Fs, path: &Path) -> io::Result<Look> {
    match fs.stat(path) {
        Err(error) if is_of_one_file(&error) => Ok(Look::Unreadable),
        other => Ok(if_there(other)?.map_or(Look::Gone, |stat| Look::Found(stat.id))),
    }
}

/// Opens and scans a file; `None` where there is none.
fn read(fs: &dyn Fs, path: &Path) -> Result<Option<Read>, ScanError> {
    let unread = |source| ScanError::Read { offset: 0, source };
    let Some(file) = if_there(fs.open(path)).map_err(unread)? else { return Ok(None) };
    let len = file.stat().map_err(unread)?.len;
    let scan = scan(&*file, len)?;
    Ok(Some(Read { file, len, scan }))
}

/// Turns "not found" into `None`.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A claimed orphan, and the sealed chunk of its name if there is one.
struct Claimed<'a> {
    site: Site<'a>,
    chunk: &'a ChunkName,
    path: PathBuf,
    orphan: Read,
    sealed_path: PathBuf,
    sealed: Option<Read>,
}

impl Claimed<'_> {
    fn carry_out(&self, repair: &Repair) -> Result<Outcome, RecoveryError> {
        match repair {
            Repair::Leave(newer) => Ok(Outcome::Newer(*newer)),
            Repair::Rename => match self.replace_by_copy() {
                // No room for a copy: the file itself, if at least it syncs now.
                Err(error) if error.is_full() && self.orphan.file.sync_data().is_ok() => self.rename_orphan(),
                copied => copied,
            },
            Repair::Discard => {
                let damage = self.quarantine()?;
                self.remove_orphan()?;
                Ok(Outcome::Discarded(self.recovered(0, damage)))
            }
            Repair::Merge { missing } if missing.is_empty() => {
                let damage = self.quarantine()?;
                self.remove_orphan()?;
                Ok(Outcome::Redundant(self.recovered(self.sealed.as_ref().map_or(0, |sealed| sealed.len), damage)))
            }
            Repair::Merge { missing } => {
                let chosen = |n: &usize| self.orphan.scan.frames.get(*n);
                let orphan = Source::of(&*self.orphan.file, &self.orphan.scan, missing.iter().filter_map(chosen));
                let sealed = self.sealed.as_ref();
                let sealed = sealed.map(|read| Source::of(&*read.file, &read.scan, read.scan.frames.iter()));
                self.replace(sealed.into_iter().chain([orphan]).collect())
            }
            Repair::Seal => self.replace_by_copy(),
        }
    }

    /// Seals a copy of all its frames.
    fn replace_by_copy(&self) -> Result<Outcome, RecoveryError> {
        let Read { file, scan, .. } = &self.orphan;
        self.replace(vec![Source::of(&**file, scan, scan.frames.iter())])
    }

    /// Gives a complete and synced orphan its final name.
    fn rename_orphan(&self) -> Result<Outcome, RecoveryError> {
        let id = self.orphan.file.stat().map_err(|source| self.misplaced(source))?.id;
        rename(self.site.fs, &self.path, &self.sealed_path, id).map_err(|source| self.misplaced(source))?;
        self.sync_chunks()?;
        Ok(Outcome::Sealed(self.recovered(self.orphan.len, Vec::new())))
    }

    /// Seals a copy of these frames, puts it in place and removes the orphan.
    fn replace(&self, sources: Vec<Source<'_>>) -> Result<Outcome, RecoveryError> {
        let damage = self.quarantine()?;
        let (temporary, id, len) = self.copy(sources, &damage).map_err(|source| self.uncopied(source))?;
        let fs = self.site.fs;
        if let Err(source) = rename(fs, &temporary, &self.sealed_path, id) {
            // What is left of the copy is removed by its own rule later, if not now.
            let _ = layout::remove_if_there(fs, &temporary);
            return Err(self.misplaced(source));
        }
        // The name of the copy must be durable before the only other file with these frames goes.
        self.sync_chunks()?;
        self.remove_orphan()?;
        Ok(Outcome::Sealed(self.recovered(len, damage)))
    }

    /// Writes and syncs a sealed copy under a temporary name.
    fn copy(&self, sources: Vec<Source<'_>>, damage: &[Damage]) -> io::Result<(PathBuf, FileId, u64)> {
        let (path, file) = temporary::create(self.site, self.chunk)?;
        let written = write_chunk(&*file, self.chunk, sources, self.site.now, damage.to_vec())
            .and_then(|len| file.sync_data().map(|()| len))
            .and_then(|len| Ok((file.stat()?.id, len)));
        match written {
            Ok((id, len)) => Ok((path, id, len)),
            Err(error) => {
                drop(file);
                let _ = layout::remove_if_there(self.site.fs, &path);
                Err(error)
            }
        }
    }

    /// Puts what nothing vouches for into the quarantine, of both files where there are two.
    fn quarantine(&self) -> Result<Vec<Damage>, RecoveryError> {
        let mut damage = Vec::new();
        let both = [Some(&self.orphan), self.sealed.as_ref()];
        for Read { file, scan, .. } in both.into_iter().flatten() {
            let kept =
                quarantine(self.site, self.chunk, &**file, &scan.gaps).map_err(|source| self.uncopied(source))?;
            damage.extend(kept);
            // What an earlier recovery left out stays on record.
            damage.extend(scan.manifest.iter().flat_map(|manifest| manifest.damage.clone()));
        }
        damage.sort_unstable_by(|a, b| (a.offset, a.len, &a.quarantined).cmp(&(b.offset, b.len, &b.quarantined)));
        damage.dedup();
        Ok(damage)
    }

    fn remove_orphan(&self) -> Result<(), RecoveryError> {
        let removed = layout::remove_if_there(self.site.fs, &self.path);
        removed.map_err(|source| self.misplaced(source))?;
        self.sync_chunks()
    }

    fn sync_chunks(&self) -> Result<(), RecoveryError> {
        let dir = layout::chunks_dir(self.site.data_dir);
        self.site.fs.sync_dir(&dir).map_err(|source| self.misplaced(source))
    }

    fn recovered(&self, len: u64, damage: Vec<Damage>) -> Recovered {
        let frames = &self.orphan.scan.frames;
        let quarantined = damage.iter().filter(|damage| damage.quarantined.is_some());
        Recovered {
            chunk: self.chunk.clone(),
            len,
            frames: frames.len() as u64,
            items: frames.iter().map(|frame| u64::from(frame.trailer.facts.items)).sum(),
            quarantined_bytes: quarantined.map(|damage| damage.len).sum(),
            damage,
        }
    }

    fn uncopied(&self, source: io::Error) -> RecoveryError {
        RecoveryError::Copy { chunk: self.chunk.clone(), source }
    }

    fn misplaced(&self, source: io::Error) -> RecoveryError {
        RecoveryError::Place { chunk: self.chunk.clone(), source }
    }
}
