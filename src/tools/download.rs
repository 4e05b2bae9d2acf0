//! `tracecapture download`: a capture of a cluster as one file, complete and verified, or not at all.
//!
//! # Invariants
//! - `FILE` appears whole: it is received as `FILE.part`, verified, and only then renamed.
//! - A part is only ever continued with bytes of the same snapshot.

mod part;
mod transfer;

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use thiserror::Error;

use super::args::{LimitArgs, ScopeArgs};
use super::cluster::args::NameArgs;
use super::cluster::connect::Cluster;
use super::cluster::door::{Door, DoorArgs};
use super::cluster::text::quoted;
use super::exit::{ExitCode, Failure};
use super::output::{say, write_stdout};
use super::process::{self, Stop};
use super::{progress, verify};
use crate::api::access::bundle_path;
use crate::archive::fs::{Fs as _, RealFs};
use crate::ids::CaptureId;
use crate::shutdown::Shutdown;
use crate::units::ByteSize;
use part::Part;
use transfer::Transfer;
use verify::Verdict;

/// The flags of `download`.
#[derive(Debug, Clone, Args)]
pub struct DownloadArgs {
    /// The file that is written [default: NAME.tar].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Which spans.
    #[command(flatten)]
    scope: ScopeArgs,
    /// Which way to the gateway.
    #[command(flatten)]
    door: DoorArgs,
    /// How often a cut download is tried again without any progress, each time after a longer pause, 10 seconds at most.
    #[arg(long, value_name = "N", default_value_t = 40)]
    retries: u32,
    /// Forget what an earlier try left in FILE.part, and begin anew.
    #[arg(long)]
    restart: bool,
    /// Bounds on hostile files.
    #[command(flatten)]
    limits: LimitArgs,
    /// Which capture.
    #[command(flatten)]
    capture: NameArgs,
}

/// Why there is no file.
#[derive(Debug, Error)]
enum DownloadError {
    /// The target is there already.
    #[error("`{}` is there already", .0.display())]
    Exists(PathBuf),
    /// What was received is not what was captured.
    #[error("`{}` is damaged: {n_failed} of its chunks are not as they were vouched for", part.display())]
    Damaged { part: PathBuf, n_failed: u64 },
    /// What was received is no bundle.
    #[error("`{}` is no capture: it has no bundle's manifest", .0.display())]
    NoBundle(PathBuf),
    /// What was captured is not all there where it is stored.
    #[error("`{}` is as the capture holds it, but {n_lost} of its chunks are damaged or unreadable there", file.display())]
    Incomplete { file: PathBuf, n_lost: u64 },
    /// The filters leave nothing.
    #[error("nothing that was captured matches")]
    NoMatch,
    /// stdout cannot be continued, verified, or taken back.
    #[error("cannot download to stdout: a download is verified before anybody sees it")]
    Stdout,
}

/// Downloads a capture, verifies it and gives it its name.
///
/// # Errors
/// A [`Failure`] whose exit code says what became of it: 3 not found, 4 not allowed, 5 damaged, on the way (a part is
/// kept) or where it is stored (the file is there), 6 cut with a part kept, 9 no longer there.
pub fn run(args: DownloadArgs, program: &'static str) -> Result<ExitCode, Failure> {
    let file = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}.tar", args.capture.name)));
    if file.as_os_str() == "-" {
        return Err(Failure::new(ExitCode::Usage, DownloadError::Stdout).with_hint("give a file with -o FILE"));
    }
    process::block_on(async move {
        let mut stop = Stop::listen()?;
        if RealFs.stat(&file).is_ok() {
            let hint = "give another one with -o FILE, or move it away";
            return Err(Failure::new(ExitCode::Failed, DownloadError::Exists(file)).with_hint(hint));
        }
        let cluster = tokio::select! {
            cluster = Cluster::connect(&args.capture.cluster) => cluster?,
            () = stop.requested() => return Ok(ExitCode::Interrupted),
        };
        let again = again(&args, program, &cluster.namespace);
        let ended = tokio::select! {
            ended = download(&args, &cluster, file.clone(), &again) => ended,
            () = stop.requested() => {
                say(&format!("interrupted; this goes on: {again}"));
                return Ok(ExitCode::Interrupted);
            }
        };
        ended.map(|()| ExitCode::Done)
    })
}

async fn download(args: &DownloadArgs, cluster: &Cluster, file: PathBuf, again: &str) -> Result<(), Failure> {
    let NameArgs { name, cluster: flags } = &args.capture;
    let query = args.scope.scope().query();
    let capture = cluster.id_of(name)?;
    let door = Door::find(&args.door, (cluster, flags), Some(&capture)).await?;
    let part = Part::open(&file, &capture.to_string(), &query, args.restart)?;
    let bar = progress::bytes("downloading", ByteSize(0));
    let mut transfer =
        Transfer { door, path: path_and_query(&capture, &query), part, bar, retries: args.retries, again };
    let received = transfer.run().await;
    transfer.bar.finish_and_clear();
    received?;
    let part = transfer.part;
    part.sync()?;
    let (path, limits) = (part.path().to_owned(), args.limits.clone());
    let verdict = Shutdown::new().blocking(move || verify::verify_file(&path, &limits)).await?;
    if !verdict.is_bundle {
        let error = DownloadError::NoBundle(part.path().to_owned());
        return Err(Failure::new(ExitCode::Integrity, error).with_details(verdict.details).with_hint(format!(
            "look whether it is the gateway that answers at the address in the capture's status; \
             `{again} --restart` downloads it anew"
        )));
    }
    let n_damaged = verdict.n_failed.saturating_sub(verdict.n_at_source);
    if n_damaged > 0 {
        let error = DownloadError::Damaged { part: part.path().to_owned(), n_failed: n_damaged };
        return Err(Failure::new(ExitCode::Integrity, error).with_details(verdict.details).with_hint(format!(
            "`{again} --restart` downloads it anew; if it is damaged again, it is so on the volume, \
             and the part holds the rest"
        )));
    }
    if verdict.is_empty && !query.is_empty() {
        part.discard()?;
        return Err(Failure::new(ExitCode::NotFound, DownloadError::NoMatch)
            .with_hint("widen --since, --until, --service or --trace-id"));
    }
    finish(part, file, verdict)
}

/// Gives what was received its name, and says what it is.
fn finish(part: Part, file: PathBuf, verdict: Verdict) -> Result<(), Failure> {
    let len = part.len();
    part.finish(&file)?;
    let Verdict { n_at_source: n_lost, details, totals, .. } = verdict;
    write_stdout(&format!("{}: {len} bytes, verified; {totals}\n", file.display()))?;
    if n_lost == 0 {
        return Ok(());
    }
    Err(Failure::new(ExitCode::Integrity, DownloadError::Incomplete { file, n_lost }).with_details(details).with_hint(
        "nothing was lost on the way, so another download brings no more: look at the volume of the capture; \
         the log of its collector tells why",
    ))
}

fn path_and_query(capture: &CaptureId, query: &str) -> String {
    let path = bundle_path(capture);
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

/// Returns the line that goes on with this download.
fn again(args: &DownloadArgs, program: &str, namespace: &str) -> String {
    let mut line = format!("{program} download {}{}", args.capture.name, args.capture.cluster.typed(namespace));
    let ScopeArgs { since, until, service, trace_id } = &args.scope;
    let flags = [
        ("-o", args.output.as_ref().map(|path| path.display().to_string())),
        ("--since", since.map(|time| time.to_string())),
        ("--until", until.map(|time| time.to_string())),
        ("--service", service.clone()),
        ("--trace-id", trace_id.map(|id| id.to_string())),
    ];
    for (flag, value) in flags {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = write!(line, " {flag} {}", quoted(&value));
        }
    }
    line + &args.door.typed()
}
