//! `tracecapture replay` from the outside: what arrives at an endpoint, what is said, how it ends and goes on.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has failed; its files are its own"
)]
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

#[path = "../support/chunks.rs"]
mod chunks;
#[path = "../support/mod.rs"]
mod support;

mod endings;
mod endpoint;
mod foreign;
mod grown;
mod inputs;
mod resume;
