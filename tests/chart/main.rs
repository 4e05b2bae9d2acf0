//! The chart as Helm renders it, and what `kubectl kustomize` makes of `config/default`.
//!
//! `tests/chart/run` renders a file for each file of `values/`, then runs these tests over the results: Helm's own
//! schema check sees values, and neither Helm nor a linter sees a misspelt key of a manifest. The image that the chart
//! runs is looked at, too.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a test that cannot go on has failed; it reads the files that the script rendered"
)]

mod collectors;
mod foreign;
mod forms;
mod image;
mod kustomize;
mod monitoring;
mod notes;
#[path = "../support/pod_profile.rs"]
mod pod_profile;
mod pods;
mod rendered;
mod rights;
mod schema;
mod selectors;
mod tls;
