//! `tracecapture clear`: has what was captured before an instant deleted, while the capture is stopped.
//!
//! It writes `spec.retention.clearBefore`, which the keeper carries out.

use clap::Args;
use serde_json::json;
use thiserror::Error;

use super::cluster::args::NameArgs;
use super::cluster::captures::Seen;
use super::cluster::connect::Cluster;
use super::exit::{ExitCode, Failure};
use super::output::{say, write_stdout};
use super::process;
use crate::clock::{Clock as _, SystemClock, Timestamp};

/// How often a change is tried anew when somebody else changed the object meanwhile, as the operator does its status.
const TRIES: usize = 5;

/// The flags of `clear`.
#[derive(Debug, Clone, Args)]
pub struct ClearArgs {
    /// Delete the chunks that were begun before this time: RFC 3339 or Unix seconds [default: now].
    #[arg(long, value_name = "TIME")]
    before: Option<Timestamp>,
    /// Which capture.
    #[command(flatten)]
    capture: NameArgs,
}

/// Why nothing is deleted.
#[derive(Debug, Error)]
enum ClearError {
    /// The capture may still be written to.
    #[error("cannot clear the capture {id}: its state is `{state}`, and only what is stopped is cleared")]
    NotStopped { id: String, state: String },
    /// The time to come would take what is not captured yet.
    #[error("cannot clear before {0}: that is in the future")]
    Future(Timestamp),
    /// Others change the object all the time.
    #[error("cannot clear the capture {0}: it was changed meanwhile, again and again")]
    Busy(String),
}

/// Writes the instant before which everything is deleted.
///
/// # Errors
/// A [`Failure`] where the capture is not stopped or not there, or the API server refuses.
pub fn run(args: &ClearArgs, program: &str) -> Result<ExitCode, Failure> {
    let now = SystemClock::new().now().truncated_to_millis();
    let before = args.before.unwrap_or(now);
    if before > now {
        return Err(Failure::new(ExitCode::Usage, ClearError::Future(before))
            .with_hint("leave --before out to clear everything"));
    }
    process::block_on(async {
        let NameArgs { name, cluster: flags } = &args.capture;
        let cluster = Cluster::connect(flags).await?;
        let typed = flags.typed(&cluster.namespace);
        let stop_first = format!("type `{program} stop {name}{typed}` first");
        let capture = clear(&cluster, name, before, &stop_first).await?;
        write_stdout(&format!(
            "clearing {}: what was begun before {before} is deleted within two minutes, while it is stopped\n",
            capture.id()
        ))?;
        say(&format!(
            "next: look at `{program} status {name}{typed}`, and once it is gone, {program} resume {name}{typed}"
        ));
        Ok(ExitCode::Done)
    })
}

async fn clear(cluster: &Cluster, name: &str, before: Timestamp, stop_first: &str) -> Result<Seen, Failure> {
    let mut tries = 1;
    loop {
        let capture = cluster.get(name).await?;
        if capture.state() != "Stopped" {
            let error = ClearError::NotStopped { id: capture.id(), state: capture.state().to_owned() };
            return Err(Failure::new(ExitCode::Failed, error).with_hint(stop_first));
        }
        // The version keeps somebody from resuming it between the look and the change.
        let patch = json!({
            "metadata": { "resourceVersion": capture.version() },
            "spec": { "retention": { "clearBefore": before.to_string() } },
        });
        match cluster.change_unless_changed(format!("clear the capture {}", capture.id()), name, &patch).await? {
            Some(cleared) => return Ok(cleared),
            None if tries < TRIES => tries += 1,
            None => {
                return Err(Failure::new(ExitCode::Failed, ClearError::Busy(capture.id())).with_hint("try it again"));
            }
        }
    }
}
