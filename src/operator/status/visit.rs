//! What one visit found out about a capture.

use crate::api::{LinkStatus, Reason, TraceCaptureStatus, ValidCapture};
use crate::clock::Timestamp;
use crate::operator::observed::Observed;

/// What a status is derived from.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// The namespace of the object.
    pub namespace: &'a str,
    /// The name of the object.
    pub name: &'a str,
    /// The generation of the object.
    pub generation: Option<i64>,
    /// The capture, or why nothing is made of the object.
    pub capture: Result<&'a ValidCapture, &'a Refusal>,
    /// What the API server and the collectors say.
    pub observed: &'a Observed,
    /// Whether everything that was built is applied; `Ok` also where nothing was tried.
    pub applied: Result<(), &'a ApplyFailure>,
    /// Why the claim did not grow, as the API server said it.
    pub unresized: Option<&'a str>,
    /// The wall time.
    pub now: Timestamp,
    /// The status that the object has.
    pub previous: Option<&'a TraceCaptureStatus>,
    /// The public base address of downloads, without a slash at the end.
    pub public_url: Option<&'a str>,
    /// Whether reconciling is paused.
    pub paused: bool,
    /// Whether somebody deleted the object.
    pub is_ending: bool,
    /// What became of the signed link that the capture may want in its status.
    pub link: &'a LinkNews,
}

/// What became of the signed link in the status of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkNews {
    /// None is wanted, or there is no address for it.
    Off,
    /// This one is good for now.
    On(LinkStatus),
    /// Nobody looked: what the status shows stays until it expires.
    Unseen,
    /// It could not be made, renewed or ended, and why; what the status shows stays until it expires.
    Failed(String),
}

/// Why nothing is made of an object: it is unreadable or invalid, or its overlay or its claim cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason for the conditions.
    pub reason: Reason,
    /// What is wrong and where, for its author; the reason's next step is added.
    pub message: String,
}

/// Why something that was built is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyFailure {
    /// The reason for the conditions.
    pub reason: Reason,
    /// Which object, and what the API server said.
    pub message: String,
    /// What to do about it.
    pub next: String,
    /// The objects of somebody else that have the names of ours, as kind and path.
    pub taken: Vec<String>,
}

impl ApplyFailure {
    /// Makes a failure with the next step of its reason.
    pub fn new(reason: Reason, message: String) -> Self {
        Self { reason, message, next: reason.next_step().to_owned(), taken: Vec::new() }
    }
}
