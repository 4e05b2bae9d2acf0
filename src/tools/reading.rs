//! What the commands that read archives share: several paths, one verdict.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;

use super::args::LimitArgs;
use super::escape::escape_for_terminal;
use super::exit::{ExitCode, Failure};
use super::progress;
use crate::archive::catalog::Catalog;
use crate::archive::fs::{Fs, Kind, RealFs};
use crate::archive::index::FrameRef;
use crate::archive::read::{Event, Limits, ReadError, Visitor, read_path};
use crate::units::ByteSize;

impl LimitArgs {
    fn limits(&self) -> Limits {
        let max_line_bytes = usize::try_from(self.max_line_bytes.0).unwrap_or(usize::MAX);
        Limits { max_entries: self.max_entries, max_line_bytes, max_ratio: self.max_ratio }
    }
}

/// Reads one path after the other, also behind one that could not be read; returns why some could not.
pub fn read_all(paths: &[PathBuf], limits: &LimitArgs, visitor: &mut dyn Visitor) -> Vec<ReadError> {
    let limits = limits.limits();
    let mut errors = Vec::new();
    for path in paths {
        match read_path(path, &limits, visitor) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => break,
            Err(error) => errors.push(error),
        }
    }
    errors
}

/// As [`read_all`], with a bar on the terminal, for commands that print nothing meanwhile.
pub fn read_all_watched(
    what: &'static str,
    paths: &[PathBuf],
    limits: &LimitArgs,
    visitor: &mut dyn Visitor,
) -> Vec<ReadError> {
    let bar = progress::bytes(what, ByteSize(paths.iter().map(|path| size_of(path)).sum()));
    let errors = read_all(paths, limits, &mut Watched { visitor, bar: &bar });
    bar.finish_and_clear();
    errors
}

/// Returns about how many bytes are to be read; 0 where nobody knows, as of a pipe.
fn size_of(path: &Path) -> u64 {
    match RealFs.stat(path) {
        Ok(stat) if stat.kind == Kind::File => stat.len,
        Ok(stat) if stat.kind == Kind::Directory => {
            Catalog::new(path).read(&RealFs).map_or(0, |inventory| inventory.total_bytes())
        }
        _ => 0,
    }
}

/// Counts what another visitor is shown.
struct Watched<'a> {
    visitor: &'a mut dyn Visitor,
    bar: &'a ProgressBar,
}

impl Visitor for Watched<'_> {
    fn wants(&mut self, frame: &FrameRef) -> bool {
        self.visitor.wants(frame)
    }

    fn event(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match &event {
            Event::Frame { frame, .. } => self.bar.inc(frame.span.end - frame.span.start),
            Event::Lines { lines, .. } => self.bar.inc(lines.len() as u64),
            _ => {}
        }
        self.visitor.event(event)
    }
}

/// Turns the errors into one failure; `None` where there are none.
pub fn failure(errors: Vec<ReadError>) -> Option<Failure> {
    let mut errors = errors.into_iter();
    let first = errors.next()?;
    let code = match first {
        ReadError::Missing(_) | ReadError::Nothing(_) => ExitCode::NotFound,
        _ => ExitCode::Failed,
    };
    Some(Failure::new(code, first).with_details(errors.map(|error| error.to_string())))
}

/// Writes a warning to stderr; names in it may come from anywhere.
pub fn warn(text: &str) {
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "warning: {}", escape_for_terminal(text));
}
