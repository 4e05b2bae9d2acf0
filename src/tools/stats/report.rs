//! The counts in the order and units in which they are told.

use serde::Serialize;

use super::activity::MIN_GAP;
use super::summary::{MAX_OPERATIONS, MAX_SERVICES, Summary, Tally};
use crate::clock::Timestamp;

/// What `stats` tells.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// Spans counted.
    pub(super) spans: u64,
    /// Earliest start; absent where no span has a time that can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<Timestamp>,
    /// Latest end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<Timestamp>,
    /// Most spans first.
    pub(super) services: Vec<ServiceRow>,
    /// Most spans first.
    pub(super) operations: Vec<OperationRow>,
    /// Oldest first.
    pub(super) gaps: Vec<GapRow>,
    /// The shortest stretch without spans that counts as a gap.
    pub(super) min_gap_seconds: u64,
    /// What was counted together because there is too much of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<String>,
}

/// A service.
#[derive(Debug, Serialize)]
pub(super) struct ServiceRow {
    /// `service.name`; empty where spans have none.
    pub(super) service: String,
    #[serde(flatten)]
    pub(super) figures: Figures,
}

/// An operation of a service.
#[derive(Debug, Serialize)]
pub(super) struct OperationRow {
    /// `service.name`; empty where spans have none.
    pub(super) service: String,
    /// The spans' name.
    pub(super) operation: String,
    #[serde(flatten)]
    pub(super) figures: Figures,
}

/// Counts and durations; a quantile is within 1 % of the truth.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    pub(super) spans: u64,
    pub(super) errors: u64,
    /// Errors per hundred spans.
    pub(super) error_percent: f64,
    /// Absent where no span has a duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p50_nanos: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p95_nanos: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p99_nanos: Option<u64>,
}

/// A stretch without spans.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GapRow {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) seconds: u64,
}

impl Figures {
    fn of(tally: &Tally) -> Self {
        let Tally { spans, errors, durations } = tally;
        // Hundredths of a per cent are all that is told, so they are counted as whole numbers first.
        let basis_points = errors.saturating_mul(10_000).checked_div(*spans).unwrap_or(0);
        Self {
            spans: *spans,
            errors: *errors,
            error_percent: f64::from(u32::try_from(basis_points).unwrap_or(u32::MAX)) / 100.0,
            p50_nanos: durations.percentile(50),
            p95_nanos: durations.percentile(95),
            p99_nanos: durations.percentile(99),
        }
    }
}

impl Report {
    /// Sorts what was counted.
    pub(super) fn of(summary: Summary) -> Self {
        let spans = summary.spans();
        let range = summary.activity.range();
        let notes = notes(&summary);
        let gaps = summary.activity.gaps().into_iter().map(|gap| GapRow {
            start: gap.start,
            end: gap.end,
            seconds: gap.end.saturating_since(gap.start).as_secs(),
        });
        let gaps = gaps.collect();
        let (mut services, mut operations) = (Vec::new(), Vec::new());
        for (service, tallies) in summary.services {
            let mut sum = summary.other_operations.get(&service).cloned().unwrap_or_default();
            for (operation, tally) in tallies {
                sum.merge(&tally);
                operations.push(OperationRow { service: service.clone(), operation, figures: Figures::of(&tally) });
            }
            services.push(ServiceRow { service, figures: Figures::of(&sum) });
        }
        let most_first = |figures: &Figures| std::cmp::Reverse(figures.spans);
        services.sort_by(|a, b| (most_first(&a.figures), &a.service).cmp(&(most_first(&b.figures), &b.service)));
        operations.sort_by(|a, b| {
            let key = |row: &OperationRow| (most_first(&row.figures), row.service.clone(), row.operation.clone());
            key(a).cmp(&key(b))
        });
        let (start, end) = range.unzip();
        Self { spans, start, end, services, operations, gaps, min_gap_seconds: MIN_GAP.as_secs(), notes }
    }
}

fn notes(summary: &Summary) -> Vec<String> {
    let mut notes = Vec::new();
    let beyond: u64 = summary.other_operations.values().map(|tally| tally.spans).sum();
    if beyond > 0 {
        notes.push(format!(
            "{beyond} spans have names beyond the first {MAX_OPERATIONS} operations and are counted in their services only"
        ));
    }
    let beyond = summary.other_services.spans;
    if beyond > 0 {
        notes.push(format!("{beyond} spans are of services beyond the first {MAX_SERVICES} and are not listed"));
    }
    let unbelieved = summary.n_unbelieved;
    if unbelieved > 0 {
        notes.push(format!(
            "{unbelieved} spans have times before 2000 or after 2099, as of a clock that is not set: the range and the gaps are without them"
        ));
    }
    if summary.activity.is_coarse {
        notes.push("there are more gaps than are kept apart: the shortest are left out".to_owned());
    }
    notes
}
