//! The HTTP API of captures: what they hold, their bundles and chunks, clearing them.
//!
//! A request's way: `server` accepts the connection and bounds its silence, `api` has
//! `access` checked and finds the `route`, `download` chooses a snapshot and a range, `stream` sends it and writes
//! the audit line, `problem` is every answer that is none.
//!
//! # Invariants
//! - A response never continues another snapshot than the one its client began with: the entity tag *is* the
//!   snapshot, and a range without any validator is answered only where it can be of one snapshot alone (`downloads` says when).
//! - A capture whose snapshot does not fit into a token (chunks of very many writers) is sent without an entity tag and
//!   without ranges: then a cut download starts anew.
//! - Memory per download is a few pieces, whatever the capture's size; a client that stops reading is let go.
//! - Without a valid token or grant an answer tells nothing about what exists.

mod access;
mod api;
mod app;
mod conditions;
mod download;
mod downloads;
mod problem;
mod route;
mod server;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::admin::Admin;
use crate::archive::bundle::{Bundles, Pins};
use crate::clock::{Clock, Timestamp};
use crate::telemetry::metrics::WebMetrics;

pub use access::{Access, AccessToken, Hosts};
pub use server::serve;

/// One capture as the role that serves it shows it. The closures may block.
#[derive(Clone)]
pub struct CaptureSource {
    /// Makes its bundles.
    pub bundles: Arc<Bundles>,
    /// Where retention looks which chunks to spare.
    pub pins: Pins,
    /// Returns settings, inventory and health as a JSON object.
    pub describe: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// Tells whether the capture is stopped, so that it may be cleared.
    pub is_stopped: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Tells whether its chunks are handed out here at present.
    pub custody: Arc<dyn Fn() -> Custody + Send + Sync>,
    /// Removes every chunk that was begun before an instant.
    pub clear: Arc<dyn Fn(Timestamp) -> Result<Cleared, ClearFailed> + Send + Sync>,
}

/// Whether a capture's chunks are handed out by this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Custody {
    /// They are.
    Open,
    /// By nobody: the capture's settings say so.
    Disabled,
    /// Another process keeps them: here nothing spares a chunk from retention while it is sent.
    Elsewhere,
}

/// What clearing a capture removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cleared {
    /// How many chunks.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why a capture could not be cleared; another try may help.
#[derive(Debug, thiserror::Error)]
#[error("cannot clear the capture")]
pub struct ClearFailed(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Bounds of the HTTP API.
#[derive(Debug, Clone, Copy)]
pub struct WebLimits {
    /// A connection that takes nothing of a response for this long is closed; there is no limit in total.
    pub idle: Duration,
    /// Downloads at a time; further ones are told to come back.
    pub downloads: usize,
    /// Open connections.
    pub connections: usize,
    /// How long running responses may go on once the stage stops.
    pub drain: Duration,
}

impl Default for WebLimits {
    fn default() -> Self {
        let idle = Duration::from_mins(1);
        // A client that takes nothing costs less than half a megabyte; a gateway passes on as many as this.
        Self { idle, downloads: 256, connections: 512, drain: Duration::from_secs(2) }
    }
}

/// What a role serves, and how.
#[derive(Clone)]
pub struct WebContext {
    /// The captures, each with an id of its own.
    pub captures: Vec<CaptureSource>,
    /// What requests have to carry.
    pub access: Access,
    /// Clocks.
    pub clock: Arc<dyn Clock>,
    /// Counts requests and downloads.
    pub metrics: WebMetrics,
    /// What the process says about itself, here as on an admin port.
    pub admin: Admin,
    /// Tells whether nobody but this process can ever have sent anything of the captures; may block.
    pub is_only_sender: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Bounds.
    pub limits: WebLimits,
}
