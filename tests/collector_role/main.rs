//! `tracecapture collector` as its pod starts it: settings mounted like a `ConfigMap`, spans by both
//! transports, and an HTTP API that answers grants alone.
//!
//! Black box over the real binary, on loopback.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the tests are the kubelet, and keep time with a deadline")]

#[path = "../support/spans.rs"]
mod spans;
#[path = "../support/mod.rs"]
mod support;

#[expect(dead_code, reason = "of what talks to a process a part is needed here")]
#[path = "../bad_days/client.rs"]
mod client;

mod access;
mod drain;
mod duty;
mod pod;
mod settings;
mod start;
mod stop;
