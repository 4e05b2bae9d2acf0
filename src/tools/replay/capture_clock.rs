//! The time that passes in a capture, by the starts of its spans.

use std::time::Duration;

use crate::clock::Timestamp;

/// A longer pause is a capture that was stopped, or a clock that is wrong: it is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Goes forward with the starts of spans, in the order of the capture, from zero.
#[derive(Debug, Default)]
pub(super) struct CaptureClock {
    last: Option<Timestamp>,
    elapsed: Duration,
}

impl CaptureClock {
    /// Takes the start of the next span; returns how much time of the capture has passed.
    ///
    /// Spans arrive when they end, so starts go back a little all the time: the clock then stands.
    pub(super) fn advance(&mut self, start: Option<Timestamp>) -> Duration {
        let Some(start) = start else { return self.elapsed };
        let last = self.last.unwrap_or(start);
        let (later, earlier) = (start.saturating_since(last), last.saturating_since(start));
        if later > LONGEST_PAUSE || earlier > LONGEST_PAUSE {
            self.last = Some(start);
        } else {
            self.elapsed += later;
            self.last = Some(last.max(start));
        }
        self.elapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_forward_with_starts_and_passes_over_long_pauses() {
        let mut clock = CaptureClock::default();
        let mut check = |start: Option<u64>, elapsed: u64| {
            let start = start.map(|seconds| Timestamp::from_unix_nanos(seconds * 1_000_000_000));
            assert_eq!(clock.advance(start), Duration::from_secs(elapsed), "{start:?}");
        };
        check(Some(1_000_000), 0);
        check(Some(1_000_005), 5);
        check(Some(1_000_002), 5);
        check(None, 5);
        check(Some(1_000_006), 6);
        check(Some(9_000_000), 6);
        check(Some(9_000_001), 7);
        check(Some(1_000_007), 7);
        check(Some(1_000_010), 10);
    }
}
