//! What every visit of a capture needs.

use std::sync::Arc;

use kube::Client;

use super::events::Announcer;
use super::options::Options;
use super::reports::Reports;
use super::status_link::StatusLinks;
use crate::api::grant::GrantPublicKey;
use crate::clock::Clock;
use crate::telemetry::metrics::OperatorMetrics;

/// What every visit needs.
pub(super) struct Context {
    /// The way to the API server.
    pub(super) client: Client,
    /// The machine's clocks.
    pub(super) clock: Arc<dyn Clock>,
    /// What the process was told.
    pub(super) options: Options,
    /// The way to the collectors.
    pub(super) reports: Arc<dyn Reports>,
    /// The keys whose grants collectors accept.
    pub(super) grant_keys: Vec<GrantPublicKey>,
    /// Where events go.
    pub(super) announcer: Announcer,
    /// What is counted.
    pub(super) metrics: OperatorMetrics,
    /// The signed links of captures that want one in their status.
    pub(super) links: StatusLinks,
}
