//! What lies in a data directory: chunks, quarantined bytes, what is under way, what is not ours.
//!
//! Sealed chunks and quarantined bytes never change, so their sizes are asked for once
//! and remembered: a sweep over ten thousand chunks is one listing.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::fs::{Fs, Kind, Stat, is_of_one_file};
use super::layout;
use super::name::{ChunkName, ChunkState};

/// A chunk's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Its name.
    pub name: ChunkName,
    /// What its file name says about its state.
    pub state: ChunkState,
    /// Its length in bytes.
    pub len: u64,
    /// When it was last changed, by the clock of whoever serves the volume; compare it only with itself.
    ///
    /// For a sealed chunk, as it was when first seen.
    pub modified: Duration,
    /// Whether its file could not be looked up: then length and time are 0, and its name is all that is known.
    pub unreadable: bool,
}

/// A file of quarantined bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its name in the quarantine directory.
    pub file_name: String,
    /// The chunk they were found in.
    pub chunk: ChunkName,
    /// Where in it they began.
    pub offset: u64,
    /// How many.
    pub len: u64,
}

/// A file under way in the quarantine directory, or left there by a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Temporary {
    /// Its name in the quarantine directory.
    pub file_name: String,
    /// Its length in bytes.
    pub len: u64,
    /// As [`Chunk::modified`].
    pub modified: Duration,
}

/// A file that alone could not be looked up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// What the volume says.
    pub why: String,
}

/// What was found in a data directory at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// The chunks, oldest first; one that exists in two states stands there twice, sealed first.
    pub chunks: Vec<Chunk>,
    /// The quarantined bytes, oldest chunk first.
    pub quarantine: Vec<Quarantined>,
    /// Files under way or left over.
    pub temporaries: Vec<Temporary>,
    /// Paths of files that are none of ours, sorted; they are left alone and not counted.
    pub foreign: Vec<PathBuf>,
    /// Files of ours that alone could not be looked up, sorted; they stand among the others, too, with length 0.
    pub unreadable: Vec<Unreadable>,
    /// How many removed files an NFS client still holds open (`.nfsXXXX`).
    pub unlinked: u64,
    /// How many bytes those still take.
    pub unlinked_bytes: u64,
}

/// Why a data directory could not be read; another try may help.
#[derive(Debug, Error)]
#[error("cannot read `{path}`")]
pub struct CatalogError {
    /// The directory or file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Reads a data directory again and again.
#[derive(Debug)]
pub struct Catalog {
    data_dir: PathBuf,
    sealed: HashMap<ChunkName, Stat>,
    quarantine: HashMap<String, Stat>,
}

/// What a look at a file's name found.
enum Look {
    Found(Stat),
    /// It is gone by now, as a stale NFS handle says too.
    Gone,
    Unreadable,
}

impl Inventory {
    /// Returns the bytes of chunks, quarantine, temporaries and removed files still held open.
    pub fn total_bytes(&self) -> u64 {
        let chunks = self.chunks.iter().map(|chunk| chunk.len);
        let quarantine = self.quarantine.iter().map(|file| file.len);
        chunks.chain(quarantine).chain(self.temporaries.iter().map(|file| file.len)).sum::<u64>() + self.unlinked_bytes
    }

    /// Yields what may still grow: of each writer the newest chunk in progress.
    ///
    /// A writer has one at the most; the others were left by a failure or a crash.
    pub fn growing(&self) -> impl Iterator<Item = &Chunk> {
        let in_progress = self.chunks.iter().filter(|chunk| chunk.state == ChunkState::InProgress);
        let newest: BTreeMap<_, _> = in_progress.map(|chunk| (chunk.name.writer(), chunk)).collect();
        newest.into_values()
    }

    /// Yields the files of each chunk: one, or several where a crash or a copy left two states.
    pub fn by_name(&self) -> impl Iterator<Item = &[Chunk]> {
        self.chunks.chunk_by(|a, b| a.name == b.name)
    }
}

impl Catalog {
    /// Makes the catalog of a data directory; nothing is read yet.
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), sealed: HashMap::new(), quarantine: HashMap::new() }
    }

    /// Lists the directory and looks up the files whose size is not known for good.
    ///
    /// A file that vanishes meanwhile is left out; one that cannot be looked up, while others can, is noted.
    ///
    /// # Errors
    /// [`CatalogError`] where a directory cannot be listed, or the volume is away; another try may help.
    pub fn read(&mut self, fs: &dyn Fs) -> Result<Inventory, CatalogError> {
        let mut inventory = Inventory::default();
        self.read_chunks(fs, &mut inventory)?;
        self.read_quarantine(fs, &mut inventory)?;
        inventory.chunks.sort_unstable_by(|a, b| (&a.name, a.state).cmp(&(&b.name, b.state)));
        inventory.quarantine.sort_unstable_by(|a, b| (&a.chunk, a.offset).cmp(&(&b.chunk, b.offset)));
        inventory.foreign.sort_unstable();
        inventory.unreadable.sort_unstable();
        Ok(inventory)
    }

    /// Forgets the size of a sealed chunk: recovery has put another file in its place.
    pub fn forget(&mut self, chunk: &ChunkName) {
        self.sealed.remove(chunk);
    }

    fn read_chunks(&mut self, fs: &dyn Fs, inventory: &mut Inventory) -> Result<(), CatalogError> {
        let dir = layout::chunks_dir(&self.data_dir);
        let mut sealed = HashMap::with_capacity(self.sealed.len());
        for file_name in list(fs, &dir)? {
            let path = dir.join(&file_name);
            let Ok((name, state)) = ChunkName::parse_file_name(&file_name) else {
                if !layout::is_temporary(&file_name) {
                    foreign(fs, path, &file_name, inventory)?;
                }
                continue;
            };
            let known = self.sealed.get(&name).copied().filter(|_| state == ChunkState::Sealed);
            let look = known.map_or_else(|| look_up(fs, &path, inventory), |stat| Ok(Look::Found(stat)))?;
            let (len, modified, unreadable) = match look {
                Look::Gone => continue,
                Look::Found(stat) if stat.kind != Kind::File => {
                    inventory.foreign.push(path);
                    continue;
                }
                Look::Found(stat) => {
                    if state == ChunkState::Sealed {
                        sealed.insert(name.clone(), stat);
                    }
                    (stat.len, stat.modified, false)
                }
                Look::Unreadable => (0, Duration::ZERO, true),
            };
            inventory.chunks.push(Chunk { name, state, len, modified, unreadable });
        }
        self.sealed = sealed;
        Ok(())
    }

    fn read_quarantine(&mut self, fs: &dyn Fs, inventory: &mut Inventory) -> Result<(), CatalogError> {
        let dir = layout::quarantine_dir(&self.data_dir);
        let mut sizes = HashMap::with_capacity(self.quarantine.len());
        for file_name in list(fs, &dir)? {
            let path = dir.join(&file_name);
            if let Some((chunk, offset)) = layout::parse_quarantine_name(&file_name) {
                let known = self.quarantine.get(&file_name).copied();
                let len = match known.map_or_else(|| look_up(fs, &path, inventory), |stat| Ok(Look::Found(stat)))? {
                    Look::Gone => continue,
                    Look::Found(stat) => {
                        sizes.insert(file_name.clone(), stat);
                        stat.len
                    }
                    Look::Unreadable => 0,
                };
                inventory.quarantine.push(Quarantined { file_name, chunk, offset, len });
            } else if layout::is_temporary(&file_name) {
                let (len, modified) = match look_up(fs, &path, inventory)? {
                    Look::Gone => continue,
                    Look::Found(stat) => (stat.len, stat.modified),
                    Look::Unreadable => (0, Duration::ZERO),
                };
                inventory.temporaries.push(Temporary { file_name, len, modified });
            } else {
                foreign(fs, path, &file_name, inventory)?;
            }
        }
        self.quarantine = sizes;
        Ok(())
    }
}

/// Counts a removed file that is still held open, or notes a file that is none of ours.
fn foreign(fs: &dyn Fs, path: PathBuf, file_name: &str, inventory: &mut Inventory) -> Result<(), CatalogError> {
    if file_name.starts_with(".nfs") {
        inventory.unlinked += 1;
        if let Look::Found(stat) = look_up(fs, &path, inventory)? {
            inventory.unlinked_bytes += stat.len;
        }
    } else {
        inventory.foreign.push(path);
    }
    Ok(())
}

/// Lists a directory's names; what is not UTF-8 is shown with replacement characters, which no name of ours has.
fn list(fs: &dyn Fs, dir: &Path) -> Result<Vec<String>, CatalogError> {
    let names = fs.list(dir).map_err(|source| CatalogError { path: dir.to_owned(), source })?;
    Ok(names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect())
}

/// Looks a file up and notes it where that fails for this file alone: one bad inode must not stop
/// retention and recovery of all the others.
fn look_up(fs: &dyn Fs, path: &Path, inventory: &mut Inventory) -> Result<Look, CatalogError> {
    match fs.stat(path) {
        Ok(stat) => Ok(Look::Found(stat)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle) => {
            Ok(Look::Gone)
        }
        Err(error) if is_of_one_file(&error) => {
            inventory.unreadable.push(Unreadable { path: path.to_owned(), why: error.to_string() });
            Ok(Look::Unreadable)
        }
        Err(source) => Err(CatalogError { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests;
