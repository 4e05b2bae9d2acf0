//! `tracecapture verify`: checks every frame of archives against all that vouches for it.
//!
//! Checksums of trailers, data and lines, lengths and counts are checked by the reader;
//! here every line is read as OTLP JSON, its spans are held against the trailer, the
//! frames against the chunk's index and their sums against its manifest.

mod bundle;
mod chunk;
mod report;

use std::ops::ControlFlow;
use std::path::Path;

use super::args::{LimitArgs, TextOrJson, VerifyArgs};
use super::exit::{ExitCode, Failure};
use super::output::{write_json, write_stdout};
use super::reading::{failure, read_all, read_all_watched};
use crate::archive::read::{Event, Visitor};
use bundle::Promise;
use chunk::ChunkCheck;
use report::{ChunkReport, Report, Totals};

/// Damaged chunks that are told one by one, where the verdict goes to people.
const MAX_DETAILS: usize = 10;

/// Verifies the paths and writes what is found to stdout.
///
/// Returns [`ExitCode::Integrity`] where anything that was vouched for is damaged or missing;
/// the unfinished tail of a chunk that is being written is not.
///
/// # Errors
/// A [`Failure`] where a path cannot be read, after the others were verified.
pub fn run(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let mut verify = Verify::new(args.output);
    let errors = match args.output {
        // The line of each chunk shows the progress.
        TextOrJson::Text => read_all(&args.paths, &args.limits, &mut verify),
        TextOrJson::Json => read_all_watched("verifying", &args.paths, &args.limits, &mut verify),
    };
    let _ = verify.settle(Promise::default());
    // A reading that broke off leaves a chunk without its end, and without a verdict.
    let Verify { chunks, totals, is_bundle, failed, .. } = verify;
    if let Some(failure) = failed {
        return Err(failure);
    }
    match args.output {
        TextOrJson::Text => write_stdout(&format!("{totals}\n"))?,
        TextOrJson::Json => write_json(&Report { chunks: &chunks, totals: &totals })?,
    }
    let verdict = if totals.failed > 0 { ExitCode::Integrity } else { ExitCode::Done };
    match failure(errors) {
        Some(failure) if verdict == ExitCode::Done => Err(failure),
        Some(failure) => {
            failure.print("tracecapture");
            Ok(verdict)
        }
        None if totals.chunks == 0 && !is_bundle => {
            Err(Failure::new(ExitCode::NotFound, "nothing is found there")
                .with_hint("name a data directory or a bundle"))
        }
        None => Ok(verdict),
    }
}

/// What [`verify_file`] found.
pub(super) struct Verdict {
    /// Chunks in which something that was vouched for is damaged or missing.
    pub(super) n_failed: u64,
    /// Those of them of which the bundle itself says so: its bytes are as they were sent.
    pub(super) n_at_source: u64,
    /// What is wrong with the first of them, one line each.
    pub(super) details: Vec<String>,
    /// Whether it has a bundle's manifest.
    pub(super) is_bundle: bool,
    /// Whether there is nothing in it.
    pub(super) is_empty: bool,
    /// The sums, for people.
    pub(super) totals: String,
}

/// Verifies one file with a bar on the terminal, and writes nothing to stdout.
///
/// # Errors
/// A [`Failure`] where it cannot be read.
pub(super) fn verify_file(path: &Path, limits: &LimitArgs) -> Result<Verdict, Failure> {
    let mut verify = Verify::new(TextOrJson::Json);
    let errors = read_all_watched("verifying", &[path.to_owned()], limits, &mut verify);
    let _ = verify.settle(Promise::default());
    let Verify { chunks, totals, is_bundle, .. } = verify;
    if let Some(failure) = failure(errors) {
        return Err(failure);
    }
    let failed = chunks.iter().filter(|chunk| chunk.failed).take(MAX_DETAILS);
    let details = failed.map(ToString::to_string).collect();
    let (n_failed, n_at_source, is_empty) = (totals.failed, totals.at_source, totals.is_empty());
    Ok(Verdict { n_failed, n_at_source, details, is_bundle, is_empty, totals: totals.to_string() })
}

/// Sorts events by chunk and keeps the score.
struct Verify {
    output: TextOrJson,
    current: Option<ChunkCheck>,
    /// What the bundle that is read says of its chunks.
    promise: Promise,
    /// Filled for JSON only; text is written as the chunks end.
    chunks: Vec<ChunkReport>,
    totals: Totals,
    /// Whether a bundle was read: one without chunks is whole, too.
    is_bundle: bool,
    failed: Option<Failure>,
}

impl Visitor for Verify {
    fn event(&mut self, event: Event<'_>) -> ControlFlow<()> {
        if let Event::Begin { name, origin, .. } = event {
            self.current = Some(ChunkCheck::new(name, origin));
            return ControlFlow::Continue(());
        }
        if let Event::BundleManifest(manifest) = event {
            self.is_bundle = true;
            return self.begin_bundle(Promise::of(manifest));
        }
        let Some(check) = &mut self.current else { return ControlFlow::Continue(()) };
        match event {
            Event::Frame { frame, lines } => check.frame(frame, lines.unwrap_or_default()),
            Event::Lines { member, lines } => check.foreign(member, lines),
            Event::Damage(damage) => check.damage(damage),
            Event::Torn(damage) => check.torn(damage),
            Event::Index(index) => check.index(index),
            Event::Manifest(manifest) => check.manifest(manifest),
            Event::End { complete } => {
                if !complete {
                    check.cut_short();
                }
                return self.end();
            }
            Event::Begin { .. } | Event::BundleManifest(_) => {}
        }
        ControlFlow::Continue(())
    }
}

impl Verify {
    fn new(output: TextOrJson) -> Self {
        let (promise, totals) = (Promise::default(), Totals::default());
        Self { output, current: None, promise, chunks: Vec::new(), totals, is_bundle: false, failed: None }
    }

    fn end(&mut self) -> ControlFlow<()> {
        let Some(check) = self.current.take() else { return ControlFlow::Continue(()) };
        let report = check.finish(&mut self.promise);
        self.tell(report)
    }

    /// Takes up the promise of a bundle, and tells what it says of itself to be missing.
    fn begin_bundle(&mut self, mut promise: Promise) -> ControlFlow<()> {
        let unreadable = promise.take_unreadable();
        self.settle(promise)?;
        for report in unreadable {
            self.tell(report)?;
        }
        ControlFlow::Continue(())
    }

    /// Takes up the promise of the next bundle, and tells what the last one did not keep.
    fn settle(&mut self, next: Promise) -> ControlFlow<()> {
        match std::mem::replace(&mut self.promise, next).broken() {
            Some(report) => self.tell(report),
            None => ControlFlow::Continue(()),
        }
    }

    fn tell(&mut self, report: ChunkReport) -> ControlFlow<()> {
        self.totals.add(&report);
        match self.output {
            TextOrJson::Json => self.chunks.push(report),
            TextOrJson::Text => {
                if let Err(failure) = write_stdout(&format!("{report}\n")) {
                    self.failed = Some(failure);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }
}
