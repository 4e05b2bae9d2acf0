//! The operator against an API server in this process: what it writes, when, and what it survives.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod bad_input;
mod crowd;
mod deep;
mod end;
mod ends_of_others;
mod fake;
mod faults;
mod leaders;
mod namespaces;
mod nudge;
mod permissions;
mod readiness;
mod refused;
mod reports;
mod site;
mod status_link;
mod steady;
