//! What an OTLP receiver must do, rule by rule, over real sockets.
//!
//! Each test names the rule it checks (`r07_…`), after the OTLP specification 1.11.0.
//! By default `tracecapture run` is started; `OTLP_CONFORMANCE_GRPC` and `OTLP_CONFORMANCE_HTTP`
//! (`http://host:port` each) point the suite at any other endpoint, whose stored lines are then not looked at.
//! No encoder or client of ours is used: raw sockets, hyper, tonic and the `opentelemetry-proto` types.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod abuse;
mod compression;
mod grpc;
mod grpc_client;
mod http;
mod http_client;
mod json;
mod protobuf;
mod samples;
mod target;
