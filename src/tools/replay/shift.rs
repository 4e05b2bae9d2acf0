//! `--shift-time now`: finds where a capture begins.

use std::ops::{ControlFlow, Range};
use std::path::PathBuf;

use crate::archive::index::FrameRef;
use crate::archive::read::{Event, Visitor};
use crate::clock::Timestamp;
use crate::otlp::export::{LineSpans, Shift};
use crate::tools::args::LimitArgs;
use crate::tools::exit::{ExitCode, Failure};
use crate::tools::reading::read_all_watched;

/// Where clocks that are set stand: 2000-01-01 to 2100-01-01. One that was never set would move all others by decades.
const BELIEVED: Range<Timestamp> =
    Timestamp::from_unix_nanos(946_684_800_000_000_000)..Timestamp::from_unix_nanos(4_102_444_800_000_000_000);

/// Returns the shift that lets the earliest span of all paths start at `now`.
///
/// Of our chunks only the trailers are looked at, of other files every line.
/// What cannot be read is left to the replay itself to tell.
///
/// # Errors
/// A [`Failure`] where no span has a time that a clock may have shown.
pub(super) fn to_now(paths: &[PathBuf], limits: &LimitArgs, now: Timestamp) -> Result<Shift, Failure> {
    let mut earliest = Earliest::default();
    let _ = read_all_watched("looking for the earliest span", paths, limits, &mut earliest);
    let Some(start) = earliest.start else {
        return Err(Failure::new(ExitCode::NotFound, "there is no span with a time to be moved"));
    };
    Ok(Shift(i128::from(now.as_unix_nanos()) - i128::from(start.as_unix_nanos())))
}

#[derive(Default)]
struct Earliest {
    start: Option<Timestamp>,
}

impl Earliest {
    fn see(&mut self, start: Option<Timestamp>) {
        let Some(start) = start.filter(|start| BELIEVED.contains(start)) else { return };
        self.start = Some(self.start.map_or(start, |known| known.min(start)));
    }
}

impl Visitor for Earliest {
    /// The trailer tells the earliest start, but for a frame with a span whose clock was not set.
    fn wants(&mut self, frame: &FrameRef) -> bool {
        frame.trailer.facts.times.is_some_and(|(start, _)| !BELIEVED.contains(&start))
    }

    fn event(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Frame { lines: Some(lines), .. } | Event::Lines { lines, .. } => {
                for line in lines.split(|&b| b == b'\n') {
                    if let Ok(spans) = LineSpans::read(line, Shift::default()) {
                        (0..spans.len()).for_each(|span| self.see(spans.start(span)));
                    }
                }
            }
            Event::Frame { frame, lines: None } => self.see(frame.trailer.facts.times.map(|(start, _)| start)),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
