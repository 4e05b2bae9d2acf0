//! `tracecapture link revoke`: ends a link. Which capture it opens, the gateway knows.

use http::Method;

use super::RevokeArgs;
use super::exchange::exchange;
use crate::api::access::LINKS_PATH;
use crate::tools::cluster::connect::Cluster;
use crate::tools::cluster::door::Door;
use crate::tools::exit::{ExitCode, Failure};
use crate::tools::output::write_stdout;

pub(super) async fn run(args: &RevokeArgs) -> Result<ExitCode, Failure> {
    let cluster = Cluster::connect(&args.cluster).await?;
    let door = Door::find(&args.door, (&cluster, &args.cluster), None).await?;
    let path = format!("{LINKS_PATH}{}", args.id);
    exchange(&door, format!("revoke the link {}", args.id), (Method::DELETE, &path), None).await?;
    write_stdout(&format!("revoked the link {}: nobody can begin a download with it any more\n", args.id))?;
    Ok(ExitCode::Done)
}
