//! `tracecapture list`: the captures of a namespace, or of all.

use clap::Args;
use serde_json::json;

use super::args::TextOrJson;
use super::cluster::args::ClusterArgs;
use super::cluster::captures::Seen;
use super::cluster::connect::Cluster;
use super::cluster::text::{ago, bytes, table};
use super::exit::{ExitCode, Failure};
use super::output::{say, write_json, write_stdout};
use super::process;
use crate::api::ConditionType;
use crate::clock::{Clock as _, SystemClock, Timestamp};

/// The flags of `list`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// List the captures of every namespace.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// Form of the result.
    #[arg(short, long, value_enum, default_value_t = TextOrJson::Text, value_name = "FORMAT")]
    pub output: TextOrJson,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Writes the captures to stdout, one per line or as a JSON list.
///
/// No captures are no failure: the list is empty then, and a message says so.
///
/// # Errors
/// A [`Failure`] where the API server does not say.
pub fn run(args: &ListArgs) -> Result<ExitCode, Failure> {
    process::block_on(async {
        let cluster = Cluster::connect(&args.cluster).await?;
        let captures = if args.all_namespaces { cluster.list_all().await? } else { cluster.list().await? };
        match args.output {
            TextOrJson::Json => {
                let items: Vec<_> = captures.iter().map(Seen::to_json).collect();
                write_json(&json!({ "apiVersion": "v1", "kind": "List", "items": items }))?;
            }
            TextOrJson::Text if captures.is_empty() => {
                let place = if args.all_namespaces { "the cluster" } else { cluster.namespace.as_str() };
                say(&format!("no captures in {place}"));
            }
            TextOrJson::Text => write_stdout(&text(&captures, args.all_namespaces, SystemClock::new().now()))?,
        }
        Ok(ExitCode::Done)
    })
}

fn text(captures: &[Seen], with_namespace: bool, now: Timestamp) -> String {
    let head = ["NAMESPACE", "NAME", "STATE", "READY", "REASON", "USED", "LIMIT", "CHUNKS", "LAST SPAN", "AGE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(captures.iter().map(|capture| row(capture, now)));
    if !with_namespace {
        for row in &mut rows {
            row.remove(0);
        }
    }
    table(&rows)
}

fn row(capture: &Seen, now: Timestamp) -> Vec<String> {
    let status = capture.status();
    let none = || "-".to_owned();
    let ready = status.conditions.iter().find(|condition| condition.type_ == ConditionType::Ready.name());
    let storage = status.storage.as_ref();
    let size = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).map_or_else(none, bytes);
    let since = |time: Option<Timestamp>| time.map_or_else(none, |time| ago(time, now));
    let state = if capture.has_completed() { "Completed" } else { capture.state() };
    vec![
        capture.namespace().to_owned(),
        capture.name().to_owned(),
        state.to_owned(),
        ready.map_or_else(|| "Unknown".to_owned(), |ready| ready.status.clone()),
        ready.map_or_else(none, |ready| ready.reason.clone()),
        size(storage.map(|storage| storage.used_bytes)),
        size(storage.map(|storage| storage.limit_bytes)),
        storage.map_or_else(none, |storage| storage.chunks.to_string()),
        since(status.last_span_time.and_then(|time| time.parse().ok())),
        since(capture.created()),
    ]
}
