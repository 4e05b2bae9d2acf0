//! Figures that stand still: how a status stays the same while nothing worth telling happens.

use std::time::Duration;

use crate::api::TraceCaptureStatus;
use crate::clock::Timestamp;

/// How often a status is published of which only figures or wordings changed.
const PAUSE: Duration = Duration::from_mins(1);

/// A figure keeps its previous value while the new one is within one part in this many.
const STEADY_PARTS: i64 = 100;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Returns the previous figure while the actual one is within 1 % of it, and otherwise the actual one.
pub(super) fn steady(previous: Option<i64>, actual: u64) -> i64 {
    let actual = whole(actual);
    let is_near = |previous: i64| previous.abs_diff(actual) <= (previous / STEADY_PARTS).unsigned_abs();
    previous.filter(|&previous| is_near(previous)).unwrap_or(actual)
}

/// Returns a count in the type of the status.
pub(super) fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Writes an instant to the minute.
pub(super) fn to_minute(instant: Timestamp) -> String {
    truncated(instant, 60).to_string()
}

/// Writes an instant to the second.
pub(super) fn to_second(instant: Timestamp) -> String {
    truncated(instant, 1).to_string()
}

/// Tells whether a status is to be written in place of the previous one.
///
/// What people and scripts react to is written at once; figures and the wording of messages at most
/// once a minute. When the last one was written is what it says in `lastUpdateTime`.
pub fn worth_publishing(previous: Option<&TraceCaptureStatus>, next: &TraceCaptureStatus, now: Timestamp) -> bool {
    let Some(previous) = previous else { return true };
    if without_times(previous) == without_times(next) {
        return false;
    }
    if without_figures(previous) != without_figures(next) {
        return true;
    }
    let written: Option<Timestamp> = previous.last_update_time.as_deref().and_then(|time| time.parse().ok());
    // A clock that went back must not keep the figures still until it is there again.
    written.is_none_or(|written| written > now || now.saturating_since(written) >= PAUSE)
}

/// Returns the status without when it was written.
pub(super) fn without_times(status: &TraceCaptureStatus) -> TraceCaptureStatus {
    TraceCaptureStatus { last_update_time: None, ..status.clone() }
}

/// Returns the status without figures, wordings and times.
fn without_figures(status: &TraceCaptureStatus) -> TraceCaptureStatus {
    let mut status = status.clone();
    for condition in &mut status.conditions {
        condition.message.clear();
    }
    let (url, link) = status.bundle.take().map(|bundle| (bundle.url, bundle.link)).unwrap_or_default();
    TraceCaptureStatus {
        last_update_time: None,
        storage: None,
        received: None,
        last_span_time: None,
        bundle: Some(crate::api::BundleStatus { url, link, ..Default::default() }),
        ..status
    }
}

fn truncated(instant: Timestamp, seconds: u64) -> Timestamp {
    let nanos = instant.as_unix_nanos();
    Timestamp::from_unix_nanos(nanos - nanos % (seconds * NANOS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_moves_only_by_more_than_a_hundredth() {
        for (previous, actual, shown) in [
            (None, 7, 7),
            (Some(1000), 1010, 1000),
            (Some(1000), 1011, 1011),
            (Some(1000), 990, 1000),
            (Some(1000), 989, 989),
            (Some(99), 100, 100),
            (Some(1000), 0, 0),
            (Some(0), 1, 1),
            (Some(i64::MAX), u64::MAX, i64::MAX),
            (Some(-5), 3, 3),
        ] {
            assert_eq!(steady(previous, actual), shown, "{previous:?} {actual}");
        }
    }

    #[test]
    fn instants_are_cut_to_the_minute() {
        let instant: Timestamp = "2026-11-21T10:30:59.999Z".parse().unwrap();
        assert_eq!(to_minute(instant), "2026-11-21T10:30:00Z");
        assert_eq!(to_second(instant), "2026-11-21T10:30:59Z");
    }
}
