//! `tracecapture link`: hands out a capture to people without cluster access, until an instant or until it is revoked.
//!
//! # Invariants
//! - A link is written to stdout, once, and nowhere else.

mod exchange;
mod list;
mod revoke;
mod told;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use thiserror::Error;

use super::args::{ScopeArgs, TextOrJson};
use super::cluster::args::{CAPTURE_ARG, ClusterArgs};
use super::cluster::connect::Cluster;
use super::cluster::door::{Door, DoorArgs};
use super::cluster::text::parse_seconds;
use super::exit::{ExitCode, Failure};
use super::output::{say, write_json, write_stdout};
use super::process;
use crate::api::access::{OPENED_PATH, capture_path};
use crate::api::link::PREFIX_LEN;
use exchange::{exchange, read, unreadable};
use told::{Told, selection};

/// The flags of `link`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, disable_help_subcommand = true)]
pub struct LinkArgs {
    #[command(subcommand)]
    action: Option<LinkAction>,
    /// How long the link lives, such as `1h` or `7d`; as a rule a week at most.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_ttl)]
    ttl: u64,
    /// Form of the result.
    #[arg(short, long, value_enum, default_value_t = TextOrJson::Text, value_name = "FORMAT")]
    output: TextOrJson,
    /// Which spans.
    #[command(flatten)]
    scope: ScopeArgs,
    /// Which way to the gateway.
    #[command(flatten)]
    door: DoorArgs,
    /// The name of the capture; one that is called `list` or `revoke` comes after `--`.
    #[arg(id = CAPTURE_ARG, value_name = "NAME", required = true)]
    name: Option<String>,
    /// Which cluster.
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum LinkAction {
    /// List the links of a capture.
    List(list::ListArgs),
    /// End a link, whatever capture it opens.
    Revoke(revoke::RevokeArgs),
}

/// Why there is no link.
#[derive(Debug, Error)]
enum LinkError {
    #[error("no capture is named")]
    NoName,
}

/// Makes, lists or revokes links.
///
/// # Errors
/// A [`Failure`] whose exit code says why not: 3 not found, 4 not allowed, 8 no answer in time.
pub fn run(args: &LinkArgs, program: &str) -> Result<ExitCode, Failure> {
    process::block_on(async {
        match &args.action {
            Some(LinkAction::List(args)) => list::run(args).await,
            Some(LinkAction::Revoke(args)) => revoke::run(args).await,
            None => make(args, program).await,
        }
    })
}

async fn make(args: &LinkArgs, program: &str) -> Result<ExitCode, Failure> {
    let name = args.name.as_deref().ok_or_else(|| Failure::new(ExitCode::Usage, LinkError::NoName))?;
    let cluster = Cluster::connect(&args.cluster).await?;
    let capture = cluster.id_of(name)?;
    let door = Door::find(&args.door, (&cluster, &args.cluster), Some(&capture)).await?;
    let wanted = json!({ "ttlSeconds": args.ttl, "scope": args.scope.scope() });
    let path = format!("{}/links", capture_path(&capture));
    let mut answer = exchange(&door, format!("make a link of {capture}"), (Method::POST, &path), Some(&wanted)).await?;
    let link = address(&answer, &door)?;
    if args.output == TextOrJson::Json {
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("url".to_owned(), json!(link.starts_with("http").then_some(&link)));
        }
        write_json(&answer)?;
        return Ok(ExitCode::Done);
    }
    let told = read(answer)?;
    write_stdout(&format!("{link}\n"))?;
    let typed = args.cluster.typed(&cluster.namespace);
    say(&about(&told));
    // A name of its own: no other link goes on with the file.
    let file = format!("{}_{}", told.capture.replace('/', "_"), told.id.chars().take(PREFIX_LEN).collect::<String>());
    say(&format!("in a browser, or: curl -f -C - -o {file}.tar 'LINK/bundle.tar'"));
    say(&format!("revoke it: {program} link revoke {}{typed}{}", told.id, args.door.typed()));
    if link.starts_with(OPENED_PATH) {
        say("the gateway was not told its --public-url: put the address that people reach it by before the link");
    }
    Ok(ExitCode::Done)
}

/// Returns the whole link; only its path where nothing tells where people reach the gateway.
fn address(answer: &Value, door: &Door<'_>) -> Result<String, Failure> {
    let text = |field: &str| answer.get(field).and_then(Value::as_str);
    let path = text("path").ok_or_else(|| unreadable(None))?;
    let base = door.public().unwrap_or_default();
    Ok(text("url").map_or_else(|| format!("{base}{path}"), ToOwned::to_owned))
}

/// Says what a link opens and when it ends, without the link.
fn about(Told { id, capture, expires, scope, .. }: &Told) -> String {
    let what = match selection(scope) {
        filters if filters.is_empty() => format!("the bundle of {capture}"),
        filters => format!("the spans of {capture} with {filters}"),
    };
    format!("the link {id} opens {what} to everybody who has it, until {expires}")
}

fn parse_ttl(text: &str) -> Result<u64, &'static str> {
    let seconds = parse_seconds(text)?;
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).ok_or("a link lives for a second at least")
}

#[cfg(test)]
mod tests {
    use super::revoke::parse_id;
    use super::*;

    #[test]
    fn what_is_said_of_a_link_does_not_hold_it() {
        let told: Told = read(json!({
            "id": "000102030405", "capture": "shop/checkout", "createdBy": "ada", "created": "2026-11-21T10:00:00Z",
            "expires": "2026-11-21T11:00:00Z", "scope": { "service": "cart" }, "path": "/l/secret", "url": null,
        }))
        .unwrap();
        let said = about(&told);
        assert!(said.contains("the spans of shop/checkout with service=cart"), "{said}");
        assert!(!said.contains("secret"));
    }

    #[test]
    fn ids_and_lives_are_checked_where_they_are_typed() {
        assert_eq!(parse_id("0001020A"), Ok("0001020a".to_owned()));
        assert!(["", "0001020", "0001020g", &"0".repeat(33)].iter().all(|text| parse_id(text).is_err()));
        assert_eq!(parse_ttl("1h30m"), Ok(5400));
        assert!(["0", "0s", "soon"].iter().all(|text| parse_ttl(text).is_err()));
    }
}
