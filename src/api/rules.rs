//! What a schema cannot say: each rule as CEL for the API server and as a function for
//! this process, side by side under one message.
//!
//! CEL rules are evaluated against defaults before nested defaults are filled in, so
//! every rule guards with `has()`; otherwise the API server refuses the definition.
//! `tests/crd.rs` runs both sides over one table of cases.

use super::pod_rules::POD_RULES;
use super::receiver_rules::RECEIVER_RULES;
use super::rule::Rule;
use super::volume_rules::VOLUME_RULES;
use super::writing_rules::WRITING_RULES;

/// What the API server checks of `metadata.name`; locally `ids::CaptureId` does.
pub(super) const NAME_CEL: &str =
    "size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')";

/// What is said of a name that is no DNS label.
pub(super) const NAME_MESSAGE: &str =
    "the name must be a DNS label: 1 to 63 of a-z, 0-9 and `-`, with a letter or digit at both ends";

/// Returns the rules about what somebody writes now, in the order of the fields.
pub(super) fn all() -> impl Iterator<Item = &'static Rule> {
    lasting().chain(WRITING_RULES)
}

/// Returns the rules that also bind what an earlier definition let in, in the order of the fields.
pub(super) fn lasting() -> impl Iterator<Item = &'static Rule> {
    POD_RULES.iter().chain(RECEIVER_RULES).chain(VOLUME_RULES)
}
