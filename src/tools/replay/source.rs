//! Reads the archives, on a thread of its own, and hands batches over.

use std::ops::ControlFlow;
use std::path::PathBuf;

use tokio::sync::mpsc::Sender;

use super::args::ReplayArgs;
use super::batch::{Batch, BatchLimits, Batcher};
use super::position::{Cursor, Done};
use crate::archive::index::FrameRef;
use crate::archive::read::{Damage, Event, ReadError, Visitor};
use crate::otlp::export::{LineSpans, Shift};
use crate::telemetry::chain;
use crate::tools::args::LimitArgs;
use crate::tools::reading::{read_all_watched, warn};

/// Lines that are no spans, of which more are only counted: a wrong file has nothing else.
const TOLD_FAULTS: u64 = 10;

/// What there is to say about a reading.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Why paths could not be read.
    pub(super) errors: Vec<ReadError>,
    /// Damaged stretches and unreadable lines, which were left out.
    pub(super) n_faults: u64,
}

/// What is to be read, and where it goes.
pub(super) struct Source {
    paths: Vec<PathBuf>,
    limits: LimitArgs,
    batcher: Batcher,
    cursor: Cursor,
    shift: Shift,
    sender: Sender<Batch>,
    file: String,
    n_faults: u64,
    is_stopped: bool,
    /// Whether a path that cannot be read ends the reading, so that the next replay goes on in order.
    keeps_place: bool,
}

impl Source {
    /// Makes a source that moves times by `shift` and leaves out what is `done`.
    pub(super) fn new(
        args: &ReplayArgs,
        limits: BatchLimits,
        (shift, done): (Shift, Done),
        sender: Sender<Batch>,
    ) -> Self {
        Self {
            paths: args.paths.clone(),
            limits: args.limits.clone(),
            batcher: Batcher::new(limits),
            cursor: Cursor::new(done),
            shift,
            sender,
            file: String::new(),
            n_faults: 0,
            is_stopped: false,
            keeps_place: args.checkpoint.is_some(),
        }
    }

    /// Reads everything; blocks while batches wait, and ends early where nobody takes them any more.
    pub(super) fn read(mut self) -> Read {
        let mut errors = Vec::new();
        let (paths, limits) = (std::mem::take(&mut self.paths), self.limits.clone());
        for (index, path) in paths.iter().enumerate() {
            self.cursor.archive(index);
            let failed = read_all_watched("replaying", std::slice::from_ref(path), &limits, &mut self);
            let is_read = failed.is_empty();
            errors.extend(failed);
            // A path that an earlier replay has sent holds nothing up: it may well be gone by now.
            if self.is_stopped || (self.keeps_place && !is_read && !self.cursor.is_behind()) {
                break;
            }
            if let Some(gone) = self.cursor.gone().filter(|_| is_read) {
                warn(&format!("the chunk `{gone}` of the checkpoint is gone, what was not sent of it is lost"));
            }
        }
        if let Some(batch) = self.batcher.finish() {
            // Nobody takes it: then it is not missed either.
            let _ = self.sender.blocking_send(batch);
        }
        if self.n_faults > TOLD_FAULTS {
            warn(&format!("{} faults in all; `tracecapture verify` tells those of our own archives", self.n_faults));
        }
        Read { errors, n_faults: self.n_faults }
    }

    fn lines(&mut self, lines: &[u8]) -> ControlFlow<()> {
        for line in lines.split_inclusive(|&b| b == b'\n') {
            let Some(from) = self.cursor.line() else { continue };
            if line.trim_ascii().is_empty() {
                continue;
            }
            match LineSpans::read(line, self.shift) {
                Ok(spans) => self.spans(&spans, from)?,
                Err(error) => {
                    let number = self.cursor.here().place.line;
                    let place = match self.cursor.here().place.frame {
                        0 => format!("line {number}"),
                        frame => format!("frame {frame}, line {number}"),
                    };
                    self.fault(&format!("{place} is left out: {}", chain(&error)));
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn spans(&mut self, spans: &LineSpans, from: usize) -> ControlFlow<()> {
        let Self { batcher, cursor, sender, is_stopped, .. } = self;
        batcher.push(spans, (from, cursor.here()), &mut |batch| {
            if sender.blocking_send(batch).is_ok() {
                return ControlFlow::Continue(());
            }
            *is_stopped = true;
            ControlFlow::Break(())
        })
    }

    fn fault(&mut self, what: &str) {
        self.n_faults += 1;
        if self.n_faults <= TOLD_FAULTS {
            warn(&format!("`{}`: {what}", self.file));
        }
    }
}

impl Visitor for Source {
    fn wants(&mut self, _frame: &FrameRef) -> bool {
        self.cursor.wants_next_frame()
    }

    fn event(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Begin { name, origin, file } => {
                name.clone_into(&mut self.file);
                self.cursor.begin(name, origin, file);
            }
            Event::Frame { lines, .. } => {
                self.cursor.frame();
                return lines.map_or(ControlFlow::Continue(()), |lines| self.lines(lines));
            }
            Event::Lines { lines, .. } => return self.lines(lines),
            Event::Damage(Damage { span, what }) => {
                self.fault(&format!("bytes {} to {} are left out: {what}", span.start, span.end));
            }
            Event::End { complete } => {
                if !complete {
                    self.fault("it is cut short, what follows is missing");
                } else if self.cursor.is_short() {
                    self.fault("it holds less than was sent of it: if it was replaced, what it holds now is not sent");
                }
            }
            // The unfinished tail of a chunk that is being written was promised to nobody.
            Event::Torn(_) | Event::Index(_) | Event::Manifest(_) | Event::BundleManifest(_) => {}
        }
        ControlFlow::Continue(())
    }
}
