//! Tests against a real API server: what a fake one would only repeat as we believe it to be.
//!
//! `tests/cluster/run` starts a cluster without nodes and runs them all; `KUBECONFIG` names any
//! other cluster instead. Each test has a namespace of its own, which is deleted after it; the
//! resource definition is installed once and stays. Nothing sleeps: what is waited for is
//! watched, or looked at again and again, until a deadline.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "logs and figures, shown where a test fails")]
#![expect(clippy::disallowed_methods, reason = "the tests read their environment and keep files of their own")]

#[path = "../support/captures.rs"]
mod captures;

mod access;
mod audit;
mod bad_input;
mod cluster;
mod collector;
mod contract;
mod definition;
mod deletion;
mod doors;
mod gateway;
mod kubectl;
mod leaders;
mod links;
mod older_definition;
mod operator;
mod people;
mod resume;
mod rights;
mod roles;
mod samples;
mod steady;
mod strangers;
mod upgrade;
mod valve;
mod verdicts;
mod volumes;
