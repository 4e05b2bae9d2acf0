//! The commands for a cluster from the outside: exit codes, stdout, stderr, against an API server and a gateway in this process.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::needless_pass_by_value, reason = "`json!` makes values")]
#![expect(clippy::disallowed_methods, reason = "files of the tests' own")]

#[path = "../support/chunks.rs"]
#[expect(dead_code, reason = "one kind of bundle is made here")]
mod chunks;
mod complete;
mod download;
#[path = "../operator/fake/mod.rs"]
#[expect(dead_code, reason = "only objects are asked for here")]
mod fake;
mod gateway;
mod links;
mod objects;
mod site;
