//! `tracecapture link revoke`: ends a link. Which capture it opens, the gateway knows.

use clap::Args;
use http::Method;

use super::exchange::exchange;
use crate::api::access::LINKS_PATH;
use crate::tools::cluster::args::ClusterArgs;
use crate::tools::cluster::connect::Cluster;
use crate::tools::cluster::door::{Door, DoorArgs};
use crate::tools::exit::{ExitCode, Failure};
use crate::tools::output::write_stdout;

/// The flags of `link revoke`.
#[derive(Debug, Clone, Args)]
pub(super) struct RevokeArgs {
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

pub(super) async fn run(args: &RevokeArgs) -> Result<ExitCode, Failure> {
    let cluster = Cluster::connect(&args.cluster).await?;
    let door = Door::find(&args.door, (&cluster, &args.cluster), None).await?;
    let path = format!("{LINKS_PATH}{}", args.id);
    exchange(&door, format!("revoke the link {}", args.id), (Method::DELETE, &path), None).await?;
    write_stdout(&format!("revoked the link {}: nobody can begin a download with it any more\n", args.id))?;
    Ok(ExitCode::Done)
}

/// Reads the id of a link, or the beginning of one.
pub(super) fn parse_id(text: &str) -> Result<String, &'static str> {
    let is_id = (8..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| text.to_ascii_lowercase()).ok_or("an id has 8 to 32 hexadecimal digits; `link list NAME` shows it")
}
