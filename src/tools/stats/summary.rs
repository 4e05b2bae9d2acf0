//! What is counted, span by span.

use std::collections::HashMap;
use std::ops::Range;

use super::activity::Activity;
use super::histogram::Histogram;
use crate::clock::Timestamp;
use crate::otlp::view::SpanView;

/// How many operations are counted apart: a name with an id in it would else take all memory.
pub(super) const MAX_OPERATIONS: usize = 10_000;

/// How many services are counted apart.
pub(super) const MAX_SERVICES: usize = 1_000;

/// The longest name that is kept, in bytes.
const MAX_NAME: usize = 256;

/// Where clocks that are set stand: 2000-01-01 to 2100-01-01. One that was never set counts from 1970 or 1980,
/// and a single span of it would make a range of decades and one gap of everything.
const BELIEVED: Range<Timestamp> =
    Timestamp::from_unix_nanos(946_684_800 * NANOS)..Timestamp::from_unix_nanos(4_102_444_800 * NANOS);

const NANOS: u64 = 1_000_000_000;

/// Source: OpenTelemetry `trace.proto`, `Status.StatusCode`.
const STATUS_ERROR: i32 = 2;

/// Counts of a service or an operation.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    pub(super) spans: u64,
    pub(super) errors: u64,
    /// Durations in nanoseconds of the spans that end after they start.
    pub(super) durations: Histogram,
}

impl Tally {
    fn count(&mut self, span: &SpanView<'_>) {
        self.spans += 1;
        self.errors += u64::from(span.status_code == STATUS_ERROR);
        let duration = span.end.as_unix_nanos().checked_sub(span.start.as_unix_nanos());
        // A clock that is set in the middle of a span makes a duration of decades.
        let is_of_one_clock = BELIEVED.contains(&span.start) == BELIEVED.contains(&span.end);
        if let Some(duration) = duration.filter(|_| has_time(span) && is_of_one_clock) {
            self.durations.record(duration);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        let Self { spans, errors, durations } = other;
        self.spans += spans;
        self.errors += errors;
        self.durations.merge(durations);
    }
}

/// All that is counted.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// By service, then operation.
    pub(super) services: HashMap<String, HashMap<String, Tally>>,
    /// Spans of operations beyond the cap, by service.
    pub(super) other_operations: HashMap<String, Tally>,
    /// Spans of services beyond the cap.
    pub(super) other_services: Tally,
    pub(super) activity: Activity,
    /// Spans whose times no clock that is set would give; they are not in `activity`.
    pub(super) n_unbelieved: u64,
    n_operations: usize,
    n_spans: u64,
}

impl Summary {
    /// Counts a span.
    pub(super) fn span(&mut self, span: &SpanView<'_>) {
        self.n_spans += 1;
        let (is_start_believed, is_end_believed) = (BELIEVED.contains(&span.start), BELIEVED.contains(&span.end));
        // A span without an end, or that ends before it starts, began all the same.
        if is_start_believed && (is_end_believed || span.end < span.start) {
            self.activity.note(span.start, span.end);
        } else if has_time(span) {
            self.n_unbelieved += 1;
        }
        self.tally(shortened(span.service), shortened(&span.name)).count(span);
    }

    /// Returns how many spans there are.
    pub(super) fn spans(&self) -> u64 {
        self.n_spans
    }

    /// Finds where a span is counted; names are copied only when they are new.
    fn tally(&mut self, service: &str, operation: &str) -> &mut Tally {
        if !self.services.contains_key(service) {
            if self.services.len() >= MAX_SERVICES {
                return &mut self.other_services;
            }
            self.services.insert(service.to_owned(), HashMap::new());
        }
        let operations = self.services.entry(service.to_owned()).or_default();
        if !operations.contains_key(operation) {
            if self.n_operations >= MAX_OPERATIONS {
                return self.other_operations.entry(service.to_owned()).or_default();
            }
            self.n_operations += 1;
        }
        operations.entry(operation.to_owned()).or_default()
    }
}

/// Tells whether a span says when it began: without that it says nothing about activity and durations.
fn has_time(span: &SpanView<'_>) -> bool {
    span.start.as_unix_nanos() > 0
}

/// Returns a name's beginning, cut between characters.
fn shortened(name: &str) -> &str {
    name.get(..name.floor_char_boundary(MAX_NAME)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn span<'a>(service: &'a str, name: &'a str, start: u64, end: u64) -> SpanView<'a> {
        SpanView {
            service,
            name: Cow::Borrowed(name),
            kind: 1,
            trace_id: None,
            span_id: Cow::Borrowed("01"),
            parent_span_id: Cow::Borrowed(""),
            start: Timestamp::from_unix_nanos(start),
            end: Timestamp::from_unix_nanos(end),
            status_code: 2,
        }
    }

    #[test]
    fn names_beyond_the_caps_are_counted_together() {
        let mut summary = Summary::default();
        for n in 0..MAX_OPERATIONS + 7 {
            summary.span(&span("shop", &format!("GET /{n}"), 1, 2));
        }
        assert_eq!(summary.other_operations["shop"].spans, 7);
        for n in 0..MAX_SERVICES + 3 {
            summary.span(&span(&format!("service-{n}"), "a", 1, 2));
        }
        assert_eq!((summary.other_services.spans, summary.services.len()), (4, MAX_SERVICES));
        assert_eq!(summary.spans(), (MAX_OPERATIONS + 7 + MAX_SERVICES + 3) as u64);
    }

    #[test]
    fn a_span_that_ends_before_it_starts_has_no_duration() {
        let mut summary = Summary::default();
        summary.span(&span("shop", "a", 20, 10));
        summary.span(&span("shop", "a", 0, 10));
        let tally = &summary.services["shop"]["a"];
        assert_eq!((tally.spans, tally.errors, tally.durations.percentile(50)), (2, 2, None));
    }

    #[test]
    fn clocks_that_are_not_set_make_no_range() {
        const GOOD: u64 = 1_795_255_200 * NANOS;
        let check = |start, end, range: Option<(u64, u64)>, duration: bool| {
            let mut summary = Summary::default();
            summary.span(&span("shop", "a", start, end));
            let expected = range.map(|(a, b)| (Timestamp::from_unix_nanos(a), Timestamp::from_unix_nanos(b)));
            assert_eq!(summary.activity.range(), expected, "{start} to {end}");
            assert_eq!(summary.n_unbelieved, u64::from(range.is_none() && start > 0), "{start} to {end}");
            let durations = &summary.services["shop"]["a"].durations;
            assert_eq!(durations.percentile(50).is_some(), duration, "{start} to {end}");
        };
        check(GOOD, GOOD + 5, Some((GOOD, GOOD + 5)), true);
        check(GOOD, 0, Some((GOOD, GOOD)), false);
        check(0, GOOD, None, false);
        check(7, 12, None, true);
        check(7, GOOD, None, false);
        check(GOOD, u64::MAX, None, false);
        check(u64::MAX - 5, u64::MAX, None, true);
    }

    #[test]
    fn a_name_is_cut_between_characters() {
        assert_eq!(shortened(&"ö".repeat(200)).len(), 256);
        assert_eq!(shortened(&format!("a{}", "ö".repeat(200))).len(), 255);
    }
}
