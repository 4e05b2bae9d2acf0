//! `tracecapture stats`: services, operations, durations, time range and gaps of archives.
//!
//! Memory is bounded whatever the spans say: operations, services and gaps have a cap,
//! and what goes beyond it is counted together and told.

mod activity;
mod histogram;
mod report;
mod summary;
mod text;

use std::ops::ControlFlow;

use super::args::{StatsArgs, StatsFormat};
use super::exit::{ExitCode, Failure};
use super::output::{write_json, write_stdout};
use super::reading::{failure, read_all_watched, warn};
use crate::archive::read::{Event, Visitor};
use crate::otlp::view::for_each_span;
use report::Report;
use summary::Summary;

/// Summarises the paths on stdout.
///
/// Returns [`ExitCode::NotFound`] where there is no span, and [`ExitCode::Integrity`] where damaged bytes had to be left out.
///
/// # Errors
/// A [`Failure`] where a path cannot be read; the summary of the others is then written all the same.
pub fn run(args: &StatsArgs) -> Result<ExitCode, Failure> {
    let mut stats = Stats::default();
    let errors = read_all_watched("reading", &args.paths, &args.limits, &mut stats);
    let Stats { summary, n_faults } = stats;
    if n_faults > 0 {
        warn(&format!("{n_faults} damaged stretches or lines are left out; `tracecapture verify` tells where"));
    }
    let has_spans = summary.spans() > 0;
    if has_spans {
        let report = Report::of(summary);
        match args.output {
            StatsFormat::Json => write_json(&report)?,
            StatsFormat::Text => write_stdout(&text::plain(&report))?,
            StatsFormat::Markdown => write_stdout(&text::markdown(&report))?,
        }
    }
    match failure(errors) {
        Some(failure) if has_spans => Err(failure.with_code(ExitCode::Partial)),
        Some(failure) => Err(failure),
        None if n_faults > 0 => Ok(ExitCode::Integrity),
        None if has_spans => Ok(ExitCode::Done),
        None => Err(Failure::new(ExitCode::NotFound, "there are no spans")),
    }
}

#[derive(Default)]
struct Stats {
    summary: Summary,
    n_faults: u64,
}

impl Visitor for Stats {
    fn event(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Frame { lines: Some(lines), .. } | Event::Lines { lines, .. } => self.lines(lines),
            Event::Damage(_) | Event::End { complete: false } => self.n_faults += 1,
            Event::Begin { .. }
            | Event::Torn(_)
            | Event::End { complete: true }
            | Event::Frame { lines: None, .. }
            | Event::Index(_)
            | Event::Manifest(_)
            | Event::BundleManifest(_) => {}
        }
        ControlFlow::Continue(())
    }
}

impl Stats {
    fn lines(&mut self, lines: &[u8]) {
        for line in lines.split(|&b| b == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            if for_each_span(line, |span| self.summary.span(span)).is_err() {
                self.n_faults += 1;
            }
        }
    }
}
