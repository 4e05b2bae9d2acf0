//! Finds what a path leads to: a file, a data directory, or the folder of a bundle.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::body::Body;
use super::error::ReadError;
use super::event::{Event, Origin};
use super::session::{Ending, Flow, Session};
use super::tar::Until;
use crate::archive::frame::Compression;
use crate::archive::fs::{File, Fs, Kind, RealFs, named};
use crate::archive::index::MAX_TABLE;
use crate::archive::name::{CHUNKS_DIR, ChunkName, ChunkState, INDEX_MEMBER, MANIFEST_MEMBER};
use crate::archive::ustar::{self, BLOCK_LEN};

/// Bytes asked of the disk at a time.
const BUFFER: usize = 256 * 1024;

/// The end of the names that Teleport gives its files of spans, which are JSON lines.
const TELEPORT: &str = ".trace";

/// What is worth reading in a directory.
#[derive(Default)]
struct Listing {
    /// Oldest first. Where a chunk has several files, the sealed one: it holds all that is valid in the others.
    chunks: BTreeMap<ChunkName, Found>,
    /// Files that are not named as chunks, by name.
    others: Vec<String>,
    has_bundle_manifest: bool,
    has_chunks_dir: bool,
}

enum Found {
    File(ChunkState),
    Folder,
}

impl Session<'_> {
    /// Reads what `path` leads to.
    pub(super) fn path(&mut self, path: &Path) -> Flow {
        match named::is_directory(path) {
            Ok(true) => self.directory(path),
            Ok(false) => {
                let input = named::open(path).map_err(|error| cannot_open(path, error))?;
                self.file(path, input)
            }
            Err(error) => Err(cannot_open(path, error).into()),
        }
    }

    /// Reads a file; its name decides only whether it is a chunk, and in which state.
    fn file(&mut self, path: &Path, input: impl Read) -> Flow {
        let mut input = BufReader::with_capacity(BUFFER, input);
        let name = path.display().to_string();
        let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Ok((chunk, state)) = ChunkName::parse_file_name(file_name) else {
            return self.stream(&name, &mut input);
        };
        self.source = name;
        self.member_origin = Origin::Loose;
        self.begin(&chunk.to_string(), Origin::File(state), 0)?;
        self.tar(&mut input, Until::EndOfFile)
    }

    fn directory(&mut self, dir: &Path) -> Flow {
        if let Some(stem) = dir.file_name().and_then(|name| name.to_str()?.parse().ok()) {
            return self.folder(&stem, dir);
        }
        let Listing { chunks, others, has_bundle_manifest, has_chunks_dir } = list(dir)?;
        if has_chunks_dir {
            return self.directory(&dir.join(CHUNKS_DIR));
        }
        if has_bundle_manifest {
            self.folder_manifest(&dir.join(MANIFEST_MEMBER))?;
        } else if chunks.is_empty() && others.is_empty() {
            return Err(ReadError::Nothing(dir.to_path_buf()).into());
        }
        for (chunk, found) in &chunks {
            match found {
                Found::Folder => self.folder(chunk, &dir.join(chunk.to_string()))?,
                Found::File(state) => self.listed(dir, chunk, *state)?,
            }
        }
        for name in others {
            let path = dir.join(name);
            let input = open_listed(&path)?;
            self.file(&path, input)?;
        }
        Ok(())
    }

    /// Reads a chunk that was listed a moment ago.
    fn listed(&mut self, dir: &Path, chunk: &ChunkName, state: ChunkState) -> Flow {
        // By now it may have been sealed, or retention may have removed it: neither is an error.
        for state in [state, ChunkState::Sealed] {
            let path = dir.join(chunk.file_name(state));
            match RealFs.open(&path) {
                Ok(file) => return self.file(&path, Listed::of(file, &path)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(cannot_open(&path, error).into()),
            }
        }
        Ok(())
    }

    /// Reads the members of an extracted chunk, as if they were still in their tar.
    fn folder(&mut self, stem: &ChunkName, dir: &Path) -> Flow {
        self.source = dir.display().to_string();
        let mut members: Vec<String> =
            names(dir)?.into_iter().filter(|name| is_member(name) && is_file(&dir.join(name))).collect();
        members.sort_by_key(|name| member_order(name));
        self.begin(&stem.to_string(), Origin::Extracted, 0)?;
        let mut at = 0;
        for member in members {
            self.count_entry()?;
            let path = dir.join(&member);
            let mut input = open_listed(&path)?;
            let size = input.left();
            self.member(&member, at, &mut Body::new(&mut input, size))?;
            at += BLOCK_LEN + size + ustar::padding(size) as u64;
        }
        self.end(Ending::Marked)
    }

    fn folder_manifest(&mut self, path: &Path) -> Flow {
        self.source = path.display().to_string();
        let mut manifest = Vec::new();
        let input = open_listed(path)?;
        input.take(MAX_TABLE).read_to_end(&mut manifest).map_err(|error| self.read_failed(error))?;
        self.check_format(&manifest)?;
        self.tell(Event::BundleManifest(&manifest))
    }
}

/// A regular file of a directory, read up to the length that it had when it was opened.
struct Listed {
    file: Box<dyn File>,
    at: u64,
    end: u64,
}

impl Listed {
    fn of(file: Box<dyn File>, path: &Path) -> Result<Self, ReadError> {
        let end = file.stat().map_err(|error| cannot_open(path, error))?.len;
        Ok(Self { file, at: 0, end })
    }

    fn left(&self) -> u64 {
        self.end - self.at
    }
}

impl Read for Listed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left()).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

fn open_listed(path: &Path) -> Result<Listed, ReadError> {
    let file = RealFs.open(path).map_err(|error| cannot_open(path, error))?;
    Listed::of(file, path)
}

/// Sorts out what a directory holds; links and anything else that is no regular file are left alone.
fn list(dir: &Path) -> Result<Listing, ReadError> {
    let mut listing = Listing::default();
    for name in names(dir)? {
        if let Ok((chunk, state)) = ChunkName::parse_file_name(&name) {
            let is_better = |known: &Found| matches!(known, Found::File(known) if state < *known);
            if is_file(&dir.join(&name)) && listing.chunks.get(&chunk).is_none_or(is_better) {
                listing.chunks.insert(chunk, Found::File(state));
            }
        } else if let Ok(chunk) = name.parse::<ChunkName>() {
            if is_dir(&dir.join(&name)) {
                listing.chunks.entry(chunk).or_insert(Found::Folder);
            }
        } else if name == CHUNKS_DIR {
            listing.has_chunks_dir = is_dir(&dir.join(&name));
        } else if name == MANIFEST_MEMBER {
            listing.has_bundle_manifest = is_file(&dir.join(&name));
        } else if (name.ends_with(ChunkState::Sealed.suffix())
            || name.ends_with(TELEPORT)
            || Compression::of_name(&name).is_some())
            && is_file(&dir.join(&name))
        {
            listing.others.push(name);
        }
    }
    Ok(listing)
}

/// Lists the names that are text, in order; ours all are.
fn names(dir: &Path) -> Result<Vec<String>, ReadError> {
    let listed = RealFs.list(dir).map_err(|error| cannot_open(dir, error))?;
    let mut names: Vec<String> = listed.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort_unstable();
    Ok(names)
}

fn is_file(path: &Path) -> bool {
    RealFs.stat(path).is_ok_and(|stat| stat.kind == Kind::File)
}

fn is_dir(path: &Path) -> bool {
    RealFs.stat(path).is_ok_and(|stat| stat.kind == Kind::Directory)
}

fn is_member(name: &str) -> bool {
    Compression::of_name(name).is_some()
        || name == INDEX_MEMBER
        || name == MANIFEST_MEMBER
        || name.strip_suffix(".frame").is_some()
}

/// Orders members as their chunk does: data by number, a trailer behind its lines, index, manifest.
fn member_order(name: &str) -> (u8, String, bool) {
    let rank = match name {
        INDEX_MEMBER => 1,
        MANIFEST_MEMBER => 2,
        _ => 0,
    };
    let stem = name.split('.').next().unwrap_or_default();
    (rank, stem.to_owned(), name.strip_suffix(".frame").is_some())
}

fn cannot_open(path: &Path, source: io::Error) -> ReadError {
    let path = PathBuf::from(path);
    if source.kind() == io::ErrorKind::NotFound { ReadError::Missing(path) } else { ReadError::Open { path, source } }
}
