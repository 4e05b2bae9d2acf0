//! What the operator remembers of a capture from visit to visit.

use std::collections::BTreeMap;

use super::child::{Applied, ChildName};
use super::contest::Contest;
use super::nudge::Nudges;
use super::tries::Refusals;

/// What a visit takes along from the ones before.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// What was applied.
    pub(super) applied: BTreeMap<ChildName, Applied>,
    /// What was attempted in vain.
    pub(super) refusals: Refusals,
    /// What is known of the nudges of its pods.
    pub(super) nudges: Nudges,
    /// Which other installation writes the same objects.
    pub(super) contest: Option<Contest>,
}
