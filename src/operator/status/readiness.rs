//! Whether a capture does what it is to do, for the metrics of the operator.

use super::Visit;
use crate::api::{ConditionType, Reason, State, TraceCaptureStatus};

/// Whether a capture takes the spans that it is to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Its condition `Ready` is `True`.
    Ready,
    /// Its condition `Ready` is `False` or `Unknown`, and nobody asked for that.
    NotReady,
    /// It is to take none: it is stopped, over, deleted, paused before it began, or looked after by somebody else.
    NotWanted,
}

/// Says whether a capture takes the spans that it is to take.
///
/// What is wanted is told by the object and not by the reason of the condition: the pods of a stopped capture
/// may have a trouble of their own, and still nobody misses a span.
pub fn readiness(visit: &Visit<'_>, status: &TraceCaptureStatus) -> Readiness {
    let ready = status.conditions.iter().find(|condition| condition.type_ == ConditionType::Ready.name());
    if visit.is_ending || is_stopped(visit) {
        return Readiness::NotWanted;
    }
    match ready {
        Some(ready) if ready.status == "True" => Readiness::Ready,
        Some(ready) if ready.reason == Reason::Paused.name() => Readiness::NotWanted,
        _ => Readiness::NotReady,
    }
}

fn is_stopped(visit: &Visit<'_>) -> bool {
    visit.capture.is_ok_and(|capture| {
        capture.state() == State::Stopped || capture.stop_time(visit.now).is_some_and(|stop| stop <= visit.now)
    })
}
