//! What is worth an event: conditions that changed, each told once.

use crate::api::{ConditionType, Reason, TraceCaptureStatus};

/// A condition that changed its status or its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The condition.
    pub condition: ConditionType,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The reason that it has now.
    pub reason: Reason,
    /// What, why and what next.
    pub message: String,
}

impl Transition {
    /// Returns whether somebody has to do something about it.
    pub fn is_warning(&self) -> bool {
        self.reason.is_trouble()
    }
}

/// Returns what changed between two statuses, each reason once: its first condition tells it.
///
/// On a first visit nothing that is merely not known yet is told.
pub fn transitions(previous: Option<&TraceCaptureStatus>, next: &TraceCaptureStatus) -> Vec<Transition> {
    let earlier = previous.map(|previous| previous.conditions.as_slice()).unwrap_or_default();
    let mut told: Vec<Transition> = Vec::new();
    for condition in &next.conditions {
        let Some((named, reason)) = ConditionType::named(&condition.type_).zip(Reason::named(&condition.reason)) else {
            continue;
        };
        let before = earlier.iter().find(|before| before.type_ == condition.type_);
        let is_news = match before {
            Some(before) => before.status != condition.status || before.reason != condition.reason,
            None => condition.status != "Unknown" || reason.is_trouble(),
        };
        if is_news && reason.is_news() && !told.iter().any(|told| told.reason == reason) {
            let (status, message) = (condition.status.clone(), condition.message.clone());
            told.push(Transition { condition: named, status, reason, message });
        }
    }
    told
}
