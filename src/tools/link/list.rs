//! `tracecapture link list`: the links of a capture, ended ones as long as they are recorded.

use clap::Args;
use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::exchange::{exchange, read};
use super::told::{Told, selection};
use crate::api::access::capture_path;
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::tools::args::TextOrJson;
use crate::tools::cluster::args::NameArgs;
use crate::tools::cluster::connect::Cluster;
use crate::tools::cluster::door::{Door, DoorArgs};
use crate::tools::cluster::text::{ago, duration, table};
use crate::tools::exit::{ExitCode, Failure};
use crate::tools::output::{say, write_json, write_stdout};

/// The flags of `link list`.
#[derive(Debug, Clone, Args)]
pub(super) struct ListArgs {
    /// Form of the result.
    #[arg(short, long, value_enum, default_value_t = TextOrJson::Text, value_name = "FORMAT")]
    output: TextOrJson,
    /// Which way to the gateway.
    #[command(flatten)]
    door: DoorArgs,
    /// Which capture.
    #[command(flatten)]
    capture: NameArgs,
}

/// What the gateway answers.
#[derive(Deserialize)]
struct Listed {
    links: Vec<Told>,
}

pub(super) async fn run(args: &ListArgs) -> Result<ExitCode, Failure> {
    let NameArgs { name, cluster: flags } = &args.capture;
    let cluster = Cluster::connect(flags).await?;
    let capture = cluster.id_of(name)?;
    let door = Door::find(&args.door, (&cluster, flags), Some(&capture)).await?;
    let path = format!("{}/links", capture_path(&capture));
    let answer: Value = exchange(&door, format!("list the links of {capture}"), (Method::GET, &path), None).await?;
    if args.output == TextOrJson::Json {
        write_json(&answer)?;
        return Ok(ExitCode::Done);
    }
    let Listed { links } = read(answer)?;
    if links.is_empty() {
        say(&format!("no links of {capture}"));
    } else {
        write_stdout(&text(links, SystemClock::new().now()))?;
    }
    Ok(ExitCode::Done)
}

fn text(mut links: Vec<Told>, now: Timestamp) -> String {
    links.sort_by_key(|link| link.created);
    let mut rows = vec![["ID", "STATE", "EXPIRES", "CREATED", "BY", "SPANS"].map(str::to_owned).to_vec()];
    rows.extend(links.into_iter().map(|link| {
        let Told { id, created_by, created, expires, scope, revoked, in_status, .. } = link;
        let state = match (revoked, in_status) {
            (true, _) => "revoked",
            (false, true) => "open, in the status",
            (false, false) => "open",
        };
        let spans = Some(selection(&scope)).filter(|spans| !spans.is_empty()).unwrap_or_else(|| "all".to_owned());
        let expires = format!("in {}", duration(expires.saturating_since(now)));
        vec![id, state.to_owned(), expires, ago(created, now), created_by, spans]
    }));
    table(&rows)
}
