//! What a visit is sent out with, and what it comes back with.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::Span;

use super::child::{ChildName, Seen};
use super::error::VisitError;
use super::ledger::Ledger;
use super::status::Readiness;
use crate::ids::CaptureId;

/// What one visit is sent out with.
#[derive(Debug)]
pub(super) struct Errand {
    /// The capture.
    pub(super) id: CaptureId,
    /// What was made of it, as the watches show it.
    pub(super) children: BTreeMap<ChildName, Seen>,
    /// What was applied last.
    pub(super) ledger: Ledger,
    /// Who had its claim and directory first.
    pub(super) sharers: Vec<CaptureId>,
    /// What the operator may not watch; empty where all is well.
    pub(super) blind: Vec<String>,
}

/// What a visit comes back with.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The capture.
    pub(super) id: CaptureId,
    /// What its log lines are found by.
    pub(super) span: Span,
    /// What has been applied; complete up to the point where the visit failed.
    pub(super) ledger: Ledger,
    /// Whether the capture takes the spans that it is to take; `None` where the visit did not get to see that.
    pub(super) readiness: Option<Readiness>,
    /// How long it took.
    pub(super) took: Duration,
    /// How it ended.
    pub(super) ended: Result<Ended, VisitError>,
}

/// How a visit ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Everything is as it is to be.
    Done(Next),
    /// The capture was looked at and its status is published, but not everything is applied.
    Unapplied(Next),
    /// The object is gone.
    Gone,
}

/// When a capture is visited next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// When it always is.
    AsAlways,
    /// After this wait, if that is sooner.
    Within(Duration),
}

impl Next {
    /// Returns the sooner one.
    pub(super) fn or(self, wait: Option<Duration>) -> Self {
        match (self, wait) {
            (Self::Within(this), Some(wait)) => Self::Within(this.min(wait)),
            (Self::AsAlways, Some(wait)) => Self::Within(wait),
            (this, None) => this,
        }
    }
}
