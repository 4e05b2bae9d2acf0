//! Tests on a whole cluster: pods that run, volumes that fill up, Services, DNS, and an installation by Helm.
//!
//! `tests/nodes/run` starts a cluster with one node, loads the image of this tree and runs them all; each scenario
//! has a namespace and volumes of its own. The tests run where the cluster's network and its mounts are seen, so
//! they reach Services by name, read volumes as files, and end processes of pods. What they type is what a person
//! would: `kubectl`, `helm`, `curl` and `tracecapture`. Nothing sleeps but between two looks at what is waited for.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the figures of each scenario")]
#![expect(clippy::disallowed_methods, reason = "the tests are users and vandals, and keep time with a deadline")]

#[path = "../support/held.rs"]
mod held;
#[path = "../support/spans.rs"]
mod spans;
#[path = "../support/mod.rs"]
mod support;

mod alone;
mod bundle;
mod changes;
mod command;
mod disk;
mod dying;
mod ending;
mod full;
mod installation;
mod load;
mod pods;
mod retention;
mod rights;
mod service;
mod site;
mod tenants;
