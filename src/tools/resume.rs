//! `tracecapture resume`: takes spans in again.

use serde_json::json;
use thiserror::Error;

use super::cluster::args::NameArgs;
use super::cluster::connect::Cluster;
use super::exit::{ExitCode, Failure};
use super::output::{say, write_stdout};
use super::process;

/// A capture whose time to stop has come: no state makes it run.
#[derive(Debug, Error)]
#[error("cannot resume the capture {0}: its time to stop has come")]
struct Completed(String);

/// Sets `spec.state` to `Running`.
///
/// # Errors
/// A [`Failure`] where there is no such capture, its time to stop has come, or the API server refuses.
pub fn run(args: &NameArgs, program: &str) -> Result<ExitCode, Failure> {
    process::block_on(async {
        let NameArgs { name, cluster: flags } = args;
        let cluster = Cluster::connect(flags).await?;
        let capture = cluster.get(name).await?;
        if capture.has_completed() {
            let namespace = &cluster.namespace;
            return Err(Failure::new(ExitCode::Failed, Completed(capture.id())).with_hint(format!(
                "set a later time: `kubectl -n {namespace} edit tracecapture {name}`, \
                 fields `spec.endTime` and `spec.stopAfterSeconds`"
            )));
        }
        let what = format!("resume the capture {}", capture.id());
        let capture = cluster.change(what, name, &json!({ "spec": { "state": "Running" } })).await?;
        write_stdout(&format!("resumed {}: new spans are taken in\n", capture.id()))?;
        say(&format!("next: {program} status {name}{}", flags.typed(&cluster.namespace)));
        Ok(ExitCode::Done)
    })
}
