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
mod error;
mod event;
mod limits;
mod lines;
mod members;
mod messages;
mod meter;
mod session;
mod sniff;
mod tar;

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;

pub use error::ReadError;
pub use event::{Damage, Event, Origin, Visitor};
pub use limits::Limits;

use session::{Halt, Session};

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
