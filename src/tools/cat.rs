//! `tracecapture cat`: the OTLP JSON lines of archives, or those spans that a filter keeps.
//!
//! Files and pipes get the very bytes; a terminal gets them escaped, since the lines may be anybody's.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::ControlFlow;

use super::args::{CatArgs, ScopeArgs};
use super::escape::escape_json_lines_for_terminal;
use super::exit::{ExitCode, Failure};
use super::output::{Form, OutputError};
use super::reading::{failure, read_all, warn};
use crate::archive::index::FrameRef;
use crate::archive::read::{Damage, Event, Visitor};
use crate::otlp::lines::LineFilter;

/// Bytes collected before stdout is written: whole frames pass by anyway.
const BUFFER: usize = 64 * 1024;

/// Writes the lines of the paths to stdout.
///
/// Returns [`ExitCode::Integrity`] where bytes that were vouched for could not be written because they are
/// damaged; all others were.
///
/// # Errors
/// A [`Failure`] where a path cannot be read, after the others were written, where nothing is left to be written,
/// or stdout cannot be written.
pub fn run(args: &CatArgs) -> Result<ExitCode, Failure> {
    let CatArgs { paths, scope: ScopeArgs { since, until, service, trace_id }, limits } = args;
    let filter = LineFilter { since: *since, until: *until, service: service.clone(), trace_id: *trace_id };
    let stdout = io::stdout().lock();
    let (form, is_filtered) = (Form::of(&stdout), !filter.is_empty());
    let mut cat = Cat::new(filter, form, BufWriter::with_capacity(BUFFER, stdout));
    let errors = read_all(paths, limits, &mut cat);
    cat.flush();
    let Cat { output, has_written, is_damaged, .. } = cat;
    match output {
        Output::Open(_) => {}
        // Whoever read has all they wanted, as `head` has.
        Output::ReaderGone => return Ok(ExitCode::Done),
        Output::Failed(error) => return Err(Failure::new(ExitCode::Failed, OutputError::from(error))),
    }
    match failure(errors) {
        Some(failure) if is_damaged => {
            failure.print("tracecapture");
            Ok(ExitCode::Integrity)
        }
        Some(failure) if has_written => Err(failure.with_code(ExitCode::Partial)),
        Some(failure) => Err(failure),
        None if is_damaged => Ok(ExitCode::Integrity),
        None if has_written => Ok(ExitCode::Done),
        None => Err(nothing(is_filtered)),
    }
}

/// Says that there is nothing to be written.
fn nothing(is_filtered: bool) -> Failure {
    if is_filtered {
        Failure::new(ExitCode::NotFound, "no span matches").with_hint("widen --since, --until, --service or --trace-id")
    } else {
        Failure::new(ExitCode::NotFound, "there are no spans")
    }
}

/// Where lines go.
enum Output<W> {
    Open(W),
    ReaderGone,
    Failed(io::Error),
}

struct Cat<W> {
    filter: LineFilter,
    form: Form,
    output: Output<W>,
    /// The lines of one frame that pass, reused.
    passed: Vec<u8>,
    chunk: String,
    has_written: bool,
    is_damaged: bool,
}

impl<W: Write> Cat<W> {
    fn new(filter: LineFilter, form: Form, output: W) -> Self {
        let output = Output::Open(output);
        Self { filter, form, output, passed: Vec::new(), chunk: String::new(), has_written: false, is_damaged: false }
    }

    /// Writes those of the lines that pass.
    fn lines(&mut self, lines: &[u8]) -> ControlFlow<()> {
        if self.filter.is_empty() {
            return self.write(lines);
        }
        let mut passed = std::mem::take(&mut self.passed);
        passed.clear();
        for line in lines.split_inclusive(|&b| b == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            if let Err(error) = self.filter.apply(line, &mut passed) {
                self.damaged(&format!("{error}: {}", String::from_utf8_lossy(line.get(..80).unwrap_or(line))));
            }
        }
        let flow = self.write(&passed);
        self.passed = passed;
        flow
    }

    fn write(&mut self, lines: &[u8]) -> ControlFlow<()> {
        if lines.is_empty() {
            return ControlFlow::Continue(());
        }
        self.has_written = true;
        match self.form {
            Form::Raw => self.attempt(|output| output.write_all(lines)),
            Form::Escaped => {
                let escaped = escape_json_lines_for_terminal(lines);
                self.attempt(|output| output.write_all(escaped.as_bytes()))
            }
        }
    }

    fn flush(&mut self) {
        let _ = self.attempt(W::flush);
    }

    fn attempt(&mut self, write: impl FnOnce(&mut W) -> io::Result<()>) -> ControlFlow<()> {
        let Output::Open(output) = &mut self.output else { return ControlFlow::Break(()) };
        match write(output) {
            Ok(()) => return ControlFlow::Continue(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.output = Output::ReaderGone,
            Err(error) => self.output = Output::Failed(error),
        }
        ControlFlow::Break(())
    }

    fn damaged(&mut self, what: &str) {
        self.is_damaged = true;
        warn(&format!("`{}`: {what}", self.chunk));
    }
}

impl<W: Write> Visitor for Cat<W> {
    fn wants(&mut self, frame: &FrameRef) -> bool {
        let LineFilter { since, until, service, trace_id } = &self.filter;
        let facts = &frame.trailer.facts;
        facts.may_overlap(*since, *until)
            && service.as_ref().is_none_or(|service| facts.may_have_service(service))
            && trace_id.is_none_or(|id| facts.trace_ids.may_contain(&id))
    }

    fn event(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Begin { name, .. } => name.clone_into(&mut self.chunk),
            Event::Frame { lines: Some(lines), .. } | Event::Lines { lines, .. } => return self.lines(lines),
            Event::Damage(Damage { span, what }) => {
                self.damaged(&format!("bytes {} to {} are left out: {what}", span.start, span.end));
            }
            Event::End { complete: false } => self.damaged("it is cut short, what follows is missing"),
            // The unfinished tail of a chunk that is being written was promised to nobody.
            Event::Torn(_)
            | Event::End { complete: true }
            | Event::Frame { lines: None, .. }
            | Event::Index(_)
            | Event::Manifest(_)
            | Event::BundleManifest(_) => {}
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: Form, filter: LineFilter, lines: &[u8]) -> Vec<u8> {
        let mut cat = Cat::new(filter, form, Vec::new());
        let flow = cat.event(Event::Lines { member: "x", lines });
        assert_eq!(flow, ControlFlow::Continue(()));
        match cat.output {
            Output::Open(bytes) => bytes,
            Output::ReaderGone | Output::Failed(_) => panic!("memory does not fail"),
        }
    }

    #[test]
    fn only_a_terminal_gets_lines_escaped() {
        let lines = "{\"a\":\"\u{1b}[2J\u{202e}\"}\n".as_bytes();
        assert_eq!(written(Form::Raw, LineFilter::default(), lines), lines);
        assert_eq!(written(Form::Escaped, LineFilter::default(), lines), b"{\"a\":\"\\u001b[2J\\u202e\"}\n");
    }
}
