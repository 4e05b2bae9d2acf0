//! What the conditions say where not everything is applied, or where changes of it may go unnoticed.

use std::sync::Arc;

use super::error::{Retry, VisitError, lacks_permission, told};
use super::status::ApplyFailure;
use crate::api::Reason;

/// What the conditions say of what could not be written.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// Of the claim that did not grow.
    pub(super) unresized: Option<String>,
    /// Of everything else.
    pub(super) applied: Option<ApplyFailure>,
}

impl Failures {
    /// Returns what is said of these failures, of kinds that cannot be watched, and of another installation.
    pub(super) fn of(unapplied: &[Arc<VisitError>], blind: &[String], contest: Option<String>) -> Self {
        let (unresized, others): (Vec<_>, Vec<_>) = unapplied.iter().partition(|error| is_refused_growth(error));
        let is_forbidden = others.iter().any(|error| error.status().is_some_and(lacks_permission));
        let applied = match contest {
            _ if is_forbidden => Some(ApplyFailure::new(Reason::Forbidden, texts(&others))),
            _ if !others.is_empty() => {
                let failure = ApplyFailure::new(Reason::ApplyFailed, texts(&others));
                Some(ApplyFailure { next: next_step(&others).to_owned(), taken: taken(&others), ..failure })
            }
            _ if !blind.is_empty() => Some(ApplyFailure::new(Reason::Forbidden, blind.join("; "))),
            Some(other) => {
                let message =
                    format!("the installation in namespace `{other}` writes the objects of this capture, too");
                Some(ApplyFailure::new(Reason::Contested, message))
            }
            None => None,
        };
        Self { applied, unresized: Some(texts(&unresized)).filter(|text| !text.is_empty()) }
    }
}

/// Tells whether the API server refuses for good what a claim is to have more.
fn is_refused_growth(error: &VisitError) -> bool {
    let is_permitted = !error.status().is_some_and(lacks_permission);
    matches!(error, VisitError::Grow { .. }) && is_permitted && error.retry() == Retry::AfterChange
}

/// Says what to do about objects that are not applied.
fn next_step(errors: &[&Arc<VisitError>]) -> &'static str {
    if errors.iter().any(|error| matches!(***error, VisitError::Taken(_))) {
        "Delete or rename the other object, or give the capture another name."
    } else {
        Reason::ApplyFailed.next_step()
    }
}

fn taken(errors: &[&Arc<VisitError>]) -> Vec<String> {
    let paths = errors.iter().filter_map(|error| match &***error {
        VisitError::Taken(path) => Some(path.clone()),
        _ => None,
    });
    paths.collect()
}

fn texts(errors: &[&Arc<VisitError>]) -> String {
    errors.iter().map(|error| told(&***error)).collect::<Vec<_>>().join("; ")
}
