//! `tracecapture stop`: refuses new spans, keeps what was captured.

use serde_json::json;

use super::cluster::args::NameArgs;
use super::cluster::connect::Cluster;
use super::exit::{ExitCode, Failure};
use super::output::{say, write_stdout};
use super::process;

/// Sets `spec.state` to `Stopped`.
///
/// # Errors
/// A [`Failure`] where there is no such capture, or the API server refuses.
pub fn run(args: &NameArgs, program: &str) -> Result<ExitCode, Failure> {
    process::block_on(async {
        let NameArgs { name, cluster: flags } = args;
        let cluster = Cluster::connect(flags).await?;
        let what = format!("stop the capture {}/{name}", cluster.namespace);
        let capture = cluster.change(what, name, &json!({ "spec": { "state": "Stopped" } })).await?;
        write_stdout(&format!("stopped {}: new spans are refused, what was captured stays\n", capture.id()))?;
        say(&format!("next: {program} download {name}{}", flags.typed(&cluster.namespace)));
        Ok(ExitCode::Done)
    })
}
