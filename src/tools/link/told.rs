//! What the gateway tells of a link: everything but the link.

use serde::Deserialize;

use crate::api::link::LinkScope;
use crate::clock::Timestamp;

/// A link as the gateway tells of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    pub(super) id: String,
    pub(super) capture: String,
    pub(super) created_by: String,
    pub(super) created: Timestamp,
    pub(super) expires: Timestamp,
    #[serde(default)]
    pub(super) scope: LinkScope,
    #[serde(default)]
    pub(super) revoked: bool,
    #[serde(default)]
    pub(super) in_status: bool,
}

/// Writes what a link selects by; empty where it opens everything.
pub(super) fn selection(scope: &LinkScope) -> String {
    let fields = scope.fields().into_iter().map(|(name, value)| format!("{name}={value}"));
    fields.collect::<Vec<_>>().join(" ")
}
