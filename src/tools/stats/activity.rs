//! When there were spans, and when not.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Timestamp;

/// A stretch without spans is a gap from this length on: exporters send every few seconds.
pub(super) const MIN_GAP: Duration = Duration::from_mins(1);

/// How many stretches of activity are kept apart.
const MAX_STRETCHES: usize = 4_096;

/// A stretch without spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// End of the last span before it.
    pub(super) start: Timestamp,
    /// Start of the first span behind it.
    pub(super) end: Timestamp,
}

/// The stretches of time in which there were spans, in any order of arrival.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// End by start; no two are closer than [`MIN_GAP`].
    stretches: BTreeMap<Timestamp, Timestamp>,
    /// Whether short gaps were given up to stay within the cap.
    pub(super) is_coarse: bool,
}

impl Activity {
    /// Notes a span.
    pub(super) fn note(&mut self, start: Timestamp, end: Timestamp) {
        let (mut start, mut end) = (start, end.max(start));
        // Everything that begins before our end plus a gap and ends after our start minus a gap becomes one stretch.
        let reach = Timestamp::from_unix_nanos(end.as_unix_nanos().saturating_add(nanos(MIN_GAP)));
        while let Some((&known_start, &known_end)) = self.stretches.range(..reach).next_back() {
            if start.saturating_since(known_end) >= MIN_GAP {
                break;
            }
            if known_start <= start && known_end >= end {
                return;
            }
            self.stretches.remove(&known_start);
            (start, end) = (start.min(known_start), end.max(known_end));
        }
        self.stretches.insert(start, end);
        if self.stretches.len() > MAX_STRETCHES {
            self.give_up_shortest_gap();
        }
    }

    /// Returns the earliest start and the latest end; `None` where there was no span.
    pub(super) fn range(&self) -> Option<(Timestamp, Timestamp)> {
        let (&start, _) = self.stretches.first_key_value()?;
        let (_, &end) = self.stretches.last_key_value()?;
        Some((start, end))
    }

    /// Returns the gaps, oldest first.
    pub(super) fn gaps(&self) -> Vec<Gap> {
        let ends = self.stretches.values();
        let starts = self.stretches.keys().skip(1);
        ends.zip(starts).map(|(&start, &end)| Gap { start, end }).collect()
    }

    fn give_up_shortest_gap(&mut self) {
        self.is_coarse = true;
        let shortest = self.gaps().into_iter().min_by_key(|gap| gap.end.saturating_since(gap.start));
        let Some(Gap { start, end }) = shortest else { return };
        let Some(last) = self.stretches.remove(&end) else { return };
        if let Some((_, known_end)) = self.stretches.range_mut(..=start).next_back() {
            *known_end = last;
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_nanos(seconds * 1_000_000_000)
    }

    fn check(spans: &[(u64, u64)], gaps: &[(u64, u64)]) {
        let mut activity = Activity::default();
        for &(start, end) in spans {
            activity.note(at(start), at(end));
        }
        let expected: Vec<Gap> = gaps.iter().map(|&(start, end)| Gap { start: at(start), end: at(end) }).collect();
        assert_eq!(activity.gaps(), expected, "{spans:?}");
    }

    #[test]
    fn spans_apart_leave_a_gap_in_any_order() {
        check(&[(0, 10), (100, 110)], &[(10, 100)]);
        check(&[(100, 110), (0, 10)], &[(10, 100)]);
        check(&[(0, 10), (69, 70)], &[]);
        check(&[(0, 10), (70, 71)], &[(10, 70)]);
    }

    #[test]
    fn a_late_span_closes_the_gap_it_bridges() {
        check(&[(0, 10), (100, 110), (300, 310), (20, 290)], &[]);
        check(&[(0, 10), (100, 110), (300, 310), (50, 60)], &[(110, 300)]);
        check(&[(0, 500), (100, 110)], &[]);
    }

    #[test]
    fn the_cap_keeps_the_longest_gaps() {
        let mut activity = Activity::default();
        for n in 0..10_000_u64 {
            activity.note(at(n * 100 + n * n / 100), at(n * 100 + n * n / 100));
        }
        assert!(activity.is_coarse && activity.gaps().len() < MAX_STRETCHES);
        assert_eq!(activity.range().unwrap().0, at(0));
    }
}
