//! The gateway: the address in a capture's status. It authenticates, authorises, audits, and passes on what keepers send.
//!
//! A request's way: `server` accepts the connection, `proxies` say whom it comes from, `door` finds the `route`, has the `reviews` say who asks and
//! whether they may, or `opened` check a signed link; `proxy` asks the `keeper` with a grant and passes its answer on;
//! `body` ends in one line of the `audit`.
//!
//! # Invariants
//! - Who may not know of a capture gets the same answers whether or not there is one.
//! - A path for a keeper is made of what was read, a query of parameters that are known here.
//! - A part is never taken for the whole: where a keeper's stream ends early, the client's connection does.
//! - No token, no whole link and no query is logged, at any level.
//! - Nothing lies on a disk: any number of replicas agree by what the API server holds.

mod audit;
mod body;
mod captures;
mod door;
mod keeper;
mod links;
mod memo;
mod opened;
pub mod options;
mod page;
mod places;
mod problem;
pub mod proxies;
mod proxy;
mod records;
mod reviews;
mod route;
mod run;
mod server;
mod streams;
mod throttle;

use std::sync::Arc;

use crate::clock::Clock;
use crate::installation::link_keys::KeptKeys;
use crate::telemetry::metrics::GatewayMetrics;

pub use run::{Gateway, Parts};
pub use server::Tls;

/// What requests are answered with.
struct App {
    options: options::Options,
    clock: Arc<dyn Clock>,
    captures: Arc<captures::Captures>,
    reviews: reviews::Reviews,
    keepers: keeper::Keepers,
    link_keys: KeptKeys,
    records: records::Records,
    streams: streams::Streams,
    metrics: GatewayMetrics,
    /// Whether connections are secured here.
    has_tls: bool,
}
