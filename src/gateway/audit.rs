//! The audit: one line and one count for every access, however it ends.
//!
//! # Invariants
//! - A line names the route, never the path's token; the filters by name, never the query; a link by the beginning of its id.
//! - It is written once, when what is known about an access is dropped: with the answer, with its body, or with a request that
//!   its client did not wait for.

use std::net::IpAddr;

use http::Method;
use tracing::info;

use crate::ids::CaptureId;
use crate::telemetry::metrics::{AccessLabels, GatewayMetrics, WebLabels};

/// The longest name of a principal in a line: those of service accounts have less than 160 bytes.
const MAX_PRINCIPAL: usize = 256;

/// Why an access was refused where not its client is the reason, but the keeper or the way to it.
const KEEPERS_FAULTS: [&str; 2] = ["KeeperUnavailable", "KeeperRefuses"];

/// Through which door somebody came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// None: nothing was shown, or nothing that holds.
    None,
    /// A bearer token.
    Token,
    /// A signed link.
    Link,
}

/// What is known about an access.
pub(super) struct Access {
    pub(super) door: Door,
    /// Who: the user of a token, or the beginning of a link's id.
    pub(super) principal: String,
    pub(super) capture: Option<CaptureId>,
    /// The names of the filters that hold for the answer.
    pub(super) filters: Vec<&'static str>,
    /// Which bytes of how many, as the answer says.
    pub(super) range: String,
    pub(super) status: u16,
    /// Why it was refused; empty where it was not.
    pub(super) reason: &'static str,
    route: &'static str,
    method: &'static str,
    client: IpAddr,
    bytes: u64,
    outcome: Outcome,
    metrics: GatewayMetrics,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All of it was sent.
    Complete,
    /// The client, or the way to it, went away.
    Cut,
    /// The keeper, or the way to it, did.
    Failed,
}

impl Access {
    pub(super) fn new(route: &'static str, method: &Method, client: IpAddr, metrics: GatewayMetrics) -> Self {
        Self {
            door: Door::None,
            principal: String::new(),
            capture: None,
            filters: Vec::new(),
            range: String::new(),
            status: 0,
            reason: "",
            route,
            method: method_name(method),
            client,
            bytes: 0,
            outcome: Outcome::Cut,
            metrics,
        }
    }

    /// Notes who asks.
    pub(super) fn by(&mut self, door: Door, principal: &str) {
        self.door = door;
        self.principal = principal.chars().take(MAX_PRINCIPAL).collect();
    }

    /// Notes how it ended; the line is written now.
    pub(super) fn ended(mut self, bytes: u64, outcome: Outcome) {
        (self.bytes, self.outcome) = (bytes, outcome);
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        let door = match self.door {
            Door::None => "none",
            Door::Token => "token",
            Door::Link => "link",
        };
        let outcome = match self.outcome {
            _ if KEEPERS_FAULTS.contains(&self.reason) => "failed",
            _ if self.status >= 400 => "refused",
            Outcome::Complete => "complete",
            Outcome::Cut => "cut",
            Outcome::Failed => "failed",
        };
        self.metrics.requests.get_or_create(&WebLabels { route: self.route, status: self.status }).inc();
        self.metrics.accesses.get_or_create(&AccessLabels { door, route: self.route, outcome }).inc();
        let capture = self.capture.as_ref().map(ToString::to_string).unwrap_or_default();
        info!(
            target: "audit",
            door,
            principal = self.principal,
            client = %self.client,
            capture,
            route = self.route,
            method = self.method,
            status = self.status,
            reason = self.reason,
            filters = self.filters.join(","),
            range = self.range,
            bytes = self.bytes,
            complete = outcome == "complete",
            outcome,
            "access"
        );
    }
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
