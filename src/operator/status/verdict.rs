//! What is said of one condition.

use super::message;
use super::visit::ApplyFailure;
use crate::api::Reason;

/// Status, reason and message of one condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether it holds.
    pub(super) holds: Holds,
    /// Why.
    pub(super) reason: Reason,
    /// What, why and what next; one line within bounds.
    pub(super) message: String,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    No,
    Unknown,
}

impl Holds {
    /// Returns the word in the status.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Yes => "True",
            Self::No => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl Verdict {
    /// Says that the condition holds; the reason's next step is added to `what`.
    pub(super) fn yes(reason: Reason, what: &str) -> Self {
        Self::new(Holds::Yes, reason, what, next_step(reason))
    }

    /// Says that it does not hold; the reason's next step is added to `what`.
    pub(super) fn no(reason: Reason, what: &str) -> Self {
        Self::new(Holds::No, reason, what, next_step(reason))
    }

    /// Says that it is not known; the reason's next step is added to `what`.
    pub(super) fn unknown(reason: Reason, what: &str) -> Self {
        Self::new(Holds::Unknown, reason, what, next_step(reason))
    }

    /// Says that it does not hold, because something is not applied.
    pub(super) fn unapplied(failure: &ApplyFailure) -> Self {
        Self::new(Holds::No, failure.reason, &failure.message, &failure.next)
    }

    /// Adds what is to be known beside; the rest is cut in favour of it.
    pub(super) fn with_note(self, note: &str) -> Self {
        Self { message: message::compose(&self.message, note), ..self }
    }

    /// Says one thing more, which is never cut.
    pub(super) fn and(self, more: &str) -> Self {
        Self { message: message::compose(&self.message, more), ..self }
    }

    /// Says whether it holds, with a next step that fits this capture better than the reason's.
    pub(super) fn new(holds: Holds, reason: Reason, what: &str, next: &str) -> Self {
        Self { holds, reason, message: message::compose(what, next) }
    }
}

/// Returns the next step of a reason, but for those whose message says of each fault what to write instead.
fn next_step(reason: Reason) -> &'static str {
    match reason {
        Reason::Invalid | Reason::OverlayRefused => "",
        reason => reason.next_step(),
    }
}
