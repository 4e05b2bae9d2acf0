//! `tracecapture link`: hands out a capture to people without cluster access, until an instant or until it is revoked.
//!
//! # Invariants
//! - A link is written to stdout, once, and nowhere else.

mod exchange;
mod list;
mod revoke;

use clap::{Args, Subcommand};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::args::{ScopeArgs, TextOrJson};
use super::cluster::args::{CAPTURE_ARG, ClusterArgs, NameArgs};
use super::cluster::connect::Cluster;
use super::cluster::door::{Door, DoorArgs};
use super::cluster::text::parse_seconds;
use super::exit::{ExitCode, Failure};
use super::output::{say, write_json, write_stdout};
use super::process;
use crate::api::access::{OPENED_PATH, capture_path};
use crate::api::link::{LinkScope, PREFIX_LEN};
use crate::clock::Timestamp;
use exchange::exchange;

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
    List(ListArgs),
    /// End a link, whatever capture it opens.
    Revoke(RevokeArgs),
}

/// The flags of `link list`.
#[derive(Debug, Clone, Args)]
struct ListArgs {
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

/// The flags of `link revoke`.
#[derive(Debug, Clone, Args)]
struct RevokeArgs {
    /// The id of the link, or eight digits of its beginning at least.
    #[arg(value_name = "ID", value_parser = parse_id)]
    id: String,
    /// Which way to the gateway.
    #[command(flatten)]
    door: DoorArgs,
    /// Which cluster; of the namespace, any capture's address leads to the gateway.
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// A link as the gateway tells of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    id: String,
    capture: String,
    created_by: String,
    created: Timestamp,
    expires: Timestamp,
    #[serde(default)]
    scope: LinkScope,
    #[serde(default)]
    revoked: bool,
    #[serde(default)]
    in_status: bool,
}

/// Why there is no link.
#[derive(Debug, Error)]
enum LinkError {
    #[error("no capture is named")]
    NoName,
    #[error("cannot read the answer of the gateway")]
    Answer(#[source] Option<serde_json::Error>),
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

/// Writes what a link selects by; empty where it opens everything.
fn selection(scope: &LinkScope) -> String {
    let fields = scope.fields().into_iter().map(|(name, value)| format!("{name}={value}"));
    fields.collect::<Vec<_>>().join(" ")
}

fn read<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|error| unreadable(Some(error)))
}

fn unreadable(source: Option<serde_json::Error>) -> Failure {
    Failure::new(ExitCode::Failed, LinkError::Answer(source))
        .with_hint("look whether a gateway of this version answers there")
}

fn parse_ttl(text: &str) -> Result<u64, &'static str> {
    let seconds = parse_seconds(text)?;
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).ok_or("a link lives for a second at least")
}

/// Reads the id of a link, or the beginning of one.
fn parse_id(text: &str) -> Result<String, &'static str> {
    let is_id = (8..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| text.to_ascii_lowercase()).ok_or("an id has 8 to 32 hexadecimal digits; `link list NAME` shows it")
}

#[cfg(test)]
mod tests {
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
