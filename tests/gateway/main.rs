//! The gateway between an API server in this process and a real collector: who gets what, through which door, and how it ends.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the tests are the kubelet, and keep time with a deadline")]

#[path = "../support/spans.rs"]
mod spans;
#[path = "../support/mod.rs"]
mod support;

#[expect(dead_code, reason = "of what talks to a process a part is needed here")]
#[path = "../bad_days/client.rs"]
mod client;

#[expect(dead_code, reason = "of what stops reading a part is needed here")]
#[path = "../downloads/client.rs"]
mod raw;

#[expect(dead_code, reason = "of the API server a part is needed here")]
#[path = "../operator/fake/mod.rs"]
mod fake;

#[expect(dead_code, reason = "of what a pod can do a part is needed here")]
#[path = "../collector_role/pod.rs"]
mod pod;

mod audit;
mod doors;
mod keepers;
mod links;
mod permissions;
mod process;
mod record;
mod resume;
mod reviewer;
mod site;
