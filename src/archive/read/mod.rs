//! Lines and frames out of whatever a person has: one reader for verify, cat, stats, replay and view.
//!
//! It reads a data directory or its chunks directory, a chunk in any state, a bundle, the
//! folder a bundle was extracted to, JSON lines, plain or compressed, and the messages behind
//! their lengths of the Collector's file exporter; all but directories also from a pipe, told
//! apart by content.
//!
//! What is read may be foreign and hostile. Nothing is ever extracted, names are never
//! used as paths, other members than regular files are passed over, and memory holds one
//! frame or one line at a time, each within [`Limits`].
//!
//! **What is vouched for.** A frame is handed out only if trailer, data and lines match
//! their checksums. Lines without frames (other programs' files) are handed out as they are.
//! Bytes that belong to no intact frame are [`Event::Damage`], unless they are the tail of a
//! chunk that was never sealed: that is how a chunk looks while it is written, and [`Event::Torn`].

mod body;
mod directory;
mod lines;
mod members;
mod messages;
mod meter;
mod session;
mod sniff;
mod tar;

use std::io::{self, Read};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::index::FrameRef;
use super::name::ChunkState;
use super::trailer::TrailerError;
use session::{Halt, Session};

/// Bounds on what a file may ask of its reader.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many members all archives of one call may have.
    pub max_entries: u64,
    /// The longest line of data without frames, in bytes.
    pub max_line_bytes: usize,
    /// How many times its size compressed data without frames may grow to, once more than 256 MiB came out.
    pub max_ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        // Uncompressed chunks have two members per commit, so a large bundle can have a million of them.
        // A line is at most a whole request, whose own limit is 64 MiB by default.
        // Spans compress 5 to 50 times; the same span over and over, a few hundred times.
        // Frames state how long their lines are, so no ratio is held against them.
        Self { max_entries: 10_000_000, max_line_bytes: 64 << 20, max_ratio: 1_000 }
    }
}

/// Where a chunk was found, and so what may be expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In a file whose name says its state.
    File(ChunkState),
    /// In a tar that is not named as a chunk, or in a pipe.
    Loose,
    /// In a bundle.
    Bundle,
    /// In a folder that a bundle or chunk was extracted to.
    Extracted,
    /// A single data member, outside its chunk.
    Member,
    /// No chunk of ours: other programs' files, without frames.
    Foreign,
}

/// What a reader comes by, in the order of the files and of their bytes.
#[derive(Debug)]
pub enum Event<'a> {
    /// The manifest of a bundle, ahead of its chunks.
    BundleManifest(&'a [u8]),
    /// A chunk or foreign file begins; each one ends with [`Event::End`].
    Begin {
        /// The chunk's stem; for foreign data, the file's name.
        name: &'a str,
        /// Where it was found.
        origin: Origin,
        /// The file or folder that holds it.
        file: &'a str,
    },
    /// An intact frame; its places count from the beginning of its chunk.
    Frame {
        /// Place and trailer.
        frame: &'a FrameRef,
        /// Its lines; `None` where [`Visitor::wants`] declined them.
        lines: Option<&'a [u8]>,
    },
    /// Whole lines of foreign data.
    Lines {
        /// The member or file that holds them.
        member: &'a str,
        /// One or many lines, each ended by `\n`.
        lines: &'a [u8],
    },
    /// Bytes that were vouched for and are not intact, or that nothing can be said about.
    Damage(&'a Damage),
    /// The unfinished end of a chunk that was never sealed, or of a file that was cut.
    Torn(&'a Damage),
    /// The body of the chunk's index.
    Index(&'a [u8]),
    /// The body of the chunk's manifest.
    Manifest(&'a [u8]),
    /// The chunk or foreign file ends.
    End {
        /// Whether all is there that its origin promises: `false` for a sealed chunk or a bundle that was cut.
        complete: bool,
    },
}

/// Bytes that belong to no intact frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where they are in the chunk.
    pub span: Range<u64>,
    /// What is wrong with them.
    pub what: String,
}

/// Takes what a reader comes by.
pub trait Visitor {
    /// Tells whether the lines of a frame are wanted; others are not decompressed.
    fn wants(&mut self, frame: &FrameRef) -> bool {
        let _ = frame;
        true
    }

    /// Takes one event; `Break` ends the reading.
    fn event(&mut self, event: Event<'_>) -> ControlFlow<()>;
}

/// Why a path could not be read; what was read before was handed out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such file. Another path may help.
    #[error("cannot find `{}`", .0.display())]
    Missing(PathBuf),
    /// The directory holds nothing that this program reads. Another path may help.
    #[error("`{}` holds no chunks, bundles or JSON lines", .0.display())]
    Nothing(PathBuf),
    /// The operating system refused. Whether a retry helps is in the source.
    #[error("cannot open `{}`", path.display())]
    Open {
        /// What was to be opened.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The disk or pipe failed. Whether a retry helps is in the source.
    #[error("cannot read `{name}`")]
    Read {
        /// What was read.
        name: String,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The content is none that this program reads.
    #[error(
        "`{0}` is neither a tar nor JSON lines, plain or compressed with zstd or gzip, nor what the Collector's file exporter writes"
    )]
    Unrecognised(String),
    /// A whole tar was compressed.
    #[error(
        "`{0}` is a compressed tar: decompress it first, as in `zstd -dc FILE | tracecapture cat -` or with `gzip -dc`"
    )]
    CompressedTar(String),
    /// The data was written by a later version. A newer program helps.
    #[error("cannot read `{name}`: {what}")]
    Newer {
        /// What was read.
        name: String,
        /// Which part is of which version.
        what: String,
    },
    /// The file asks for more than a limit allows. Raise the limit if the file can be trusted.
    #[error("`{name}` has {what}; {flag} raises the limit")]
    Limit {
        /// What was read.
        name: String,
        /// What goes beyond which limit.
        what: String,
        /// The flag that raises it.
        flag: &'static str,
    },
}

impl ReadError {
    fn newer(name: &str, error: TrailerError) -> Self {
        Self::Newer { name: name.to_owned(), what: error.to_string() }
    }
}

/// Reads what `path` leads to and hands it to `visitor`; `-` is stdin.
///
/// Returns `Break` where the visitor ended the reading.
///
/// # Errors
/// [`ReadError`]; damage is no error but an event.
pub fn read_path(path: &Path, limits: &Limits, visitor: &mut dyn Visitor) -> Result<ControlFlow<()>, ReadError> {
    if path == Path::new("-") {
        return read_stream("stdin", &mut io::stdin().lock(), limits, visitor);
    }
    finish(Session::new(limits, visitor).path(path))
}

/// Reads a stream of any kind, told by its content, and hands it to `visitor`.
///
/// Returns `Break` where the visitor ended the reading.
///
/// # Errors
/// As [`read_path`].
pub fn read_stream(
    name: &str,
    input: &mut dyn Read,
    limits: &Limits,
    visitor: &mut dyn Visitor,
) -> Result<ControlFlow<()>, ReadError> {
    finish(Session::new(limits, visitor).stream(name, input))
}

fn finish(result: Result<(), Halt>) -> Result<ControlFlow<()>, ReadError> {
    match result {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(Halt::Stopped) => Ok(ControlFlow::Break(())),
        Err(Halt::Failed(error)) => Err(error),
    }
}
