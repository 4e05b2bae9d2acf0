//! Downloads from `tracecapture run` over real sockets, while it writes, seals, recovers and deletes.
//!
//! No client or reader of ours is used except `tracecapture cat` and `verify`, which are tried as well.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod bundle;
mod client;
mod contract;
mod resume;
mod site;
mod slow;
