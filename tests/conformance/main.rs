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
mod answers;
mod compression;
mod grpc;
mod grpc_client;
mod http;
mod http_client;
mod json;
mod overload;
mod protobuf;
mod samples;
mod target;

/// The last rule.
const LAST_RULE: u32 = 37;

/// The files with tests.
const FILES: [&str; 8] = [
    include_str!("abuse.rs"),
    include_str!("answers.rs"),
    include_str!("compression.rs"),
    include_str!("grpc.rs"),
    include_str!("http.rs"),
    include_str!("json.rs"),
    include_str!("overload.rs"),
    include_str!("protobuf.rs"),
];

#[test]
fn every_rule_has_a_test() {
    let names = |file: &'static str| file.lines().filter_map(|line| line.split_once("fn r")?.1.split('(').next());
    let names: Vec<String> = FILES.into_iter().flat_map(names).map(|name| format!("_r{name}")).collect();
    for rule in 1..=LAST_RULE {
        assert!(names.iter().any(|name| name.contains(&format!("_r{rule:02}_"))), "no test of R{rule}");
    }
}
