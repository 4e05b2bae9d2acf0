//! `tracecapture download`: a capture of a cluster as one file, complete and verified, or not at all.
//!
//! # Invariants
//! - `FILE` appears whole: it is received as `FILE.part`, verified, and only then renamed.
//! - A part is only ever continued with bytes of the same snapshot.
//! - A token goes to the API server or to the capture's published address alone, and is never printed.

mod door;
mod part;
mod transfer;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

use super::args::LimitArgs;
use super::cluster::args::NameArgs;
use super::cluster::connect::Cluster;
use super::cluster::text::quoted;
use super::exit::{ExitCode, Failure};
use super::output::{say, write_stdout};
use super::process::{self, Stop};
use super::{progress, verify};
use crate::archive::fs::{Fs as _, RealFs};
use crate::clock::Timestamp;
use crate::ids::TraceId;
use crate::shutdown::Shutdown;
use crate::units::ByteSize;
use door::Door;
use part::Part;
use transfer::Transfer;

/// The flags of `download`.
#[derive(Debug, Clone, Args)]
pub struct DownloadArgs {
    /// The file that is written [default: NAME.tar].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only spans that end at this time or later: RFC 3339 or Unix seconds.
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only spans that start before this time: RFC 3339 or Unix seconds.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Only spans of this service (`service.name`).
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only spans of this trace: 32 hexadecimal digits.
    #[arg(long, value_name = "ID")]
    trace_id: Option<TraceId>,
    /// The way: the address in the capture's status, or the API server's proxy; `auto` takes the address if there is one.
    #[arg(long, value_enum, default_value_t = Via::Auto, value_name = "WAY")]
    via: Via,
    /// Namespace of the installation, whose gateway is asked through the API server.
    #[arg(long, value_name = "NAMESPACE", default_value = "tracecapture-system")]
    gateway_namespace: String,
    /// Ask the API server for a token of this service account of the capture's namespace, instead of the kubeconfig's.
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// The certificates that the address in the status is trusted by [default: those of the system].
    #[arg(long, value_name = "FILE")]
    certificate_authority: Option<PathBuf>,
    /// Send the token also to an address without TLS.
    #[arg(long)]
    allow_http: bool,
    /// How often a cut download is tried again without any progress, each time after a longer pause, 10 seconds at most.
    #[arg(long, value_name = "N", default_value_t = 40)]
    retries: u32,
    /// Forget what an earlier try left in FILE.part, and begin anew.
    #[arg(long)]
    restart: bool,
    /// The token, instead of the kubeconfig's.
    // Hidden, because a command line is visible to every user of the machine: the
    // documented way is the variable.
    #[arg(long, hide = true, env = "TRACECAPTURE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// Bounds on hostile files.
    #[command(flatten)]
    limits: LimitArgs,
    /// Which capture.
    #[command(flatten)]
    capture: NameArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Via {
    Auto,
    Url,
    Apiserver,
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
    /// The filters leave nothing.
    #[error("nothing that was captured matches")]
    NoMatch,
    /// stdout cannot be continued, verified, or taken back.
    #[error("cannot download to stdout: a download is verified before anybody sees it")]
    Stdout,
    /// The file could not be given its name.
    #[error("cannot rename `{}`", .0.display())]
    Rename(PathBuf, #[source] std::io::Error),
}

/// Downloads a capture, verifies it and gives it its name.
///
/// # Errors
/// A [`Failure`] whose exit code says what became of it: 3 not found, 4 not allowed, 5 damaged, 6 cut with a part
/// kept, 9 no longer there.
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
    let NameArgs { name, .. } = &args.capture;
    let query = query(args);
    let door = Door::find(args, cluster, &query).await?;
    let capture = format!("{}/{name}", cluster.namespace);
    let part = Part::open(&file, &capture, &query, args.restart)?;
    let bar = progress::bytes("downloading", ByteSize(0));
    let mut transfer = Transfer { door, part, bar, retries: args.retries, again };
    let received = transfer.run().await;
    transfer.bar.finish_and_clear();
    received?;
    let part = transfer.part;
    part.sync()?;
    let (path, limits) = (part.path().to_owned(), args.limits.clone());
    let verdict = Shutdown::new().blocking(move || verify::verify_file(&path, &limits)).await?;
    if verdict.n_failed > 0 {
        let error = DownloadError::Damaged { part: part.path().to_owned(), n_failed: verdict.n_failed };
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
    let len = part.len();
    part.finish(&file)?;
    write_stdout(&format!("{}: {len} bytes, verified; {}\n", file.display(), verdict.totals))
}

/// Returns what is asked for, as the query of a bundle.
fn query(args: &DownloadArgs) -> String {
    let fields = [
        ("since", args.since.map(|time| time.to_string())),
        ("until", args.until.map(|time| time.to_string())),
        ("service", args.service.clone()),
        ("traceId", args.trace_id.map(|id| id.to_string())),
    ];
    let pairs = fields
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", utf8_percent_encode(&value?, NON_ALPHANUMERIC))));
    pairs.collect::<Vec<_>>().join("&")
}

/// Returns the line that goes on with this download.
fn again(args: &DownloadArgs, program: &str, namespace: &str) -> String {
    let mut line = format!("{program} download {}{}", args.capture.name, args.capture.cluster.typed(namespace));
    let path = |path: &PathBuf| path.display().to_string();
    let via = match args.via {
        Via::Auto => None,
        Via::Url => Some("url".to_owned()),
        Via::Apiserver => Some("apiserver".to_owned()),
    };
    let default_namespace = args.gateway_namespace == "tracecapture-system";
    let flags = [
        ("-o", args.output.as_ref().map(path)),
        ("--since", args.since.map(|time| time.to_string())),
        ("--until", args.until.map(|time| time.to_string())),
        ("--service", args.service.clone()),
        ("--trace-id", args.trace_id.map(|id| id.to_string())),
        ("--via", via),
        ("--gateway-namespace", (!default_namespace).then(|| args.gateway_namespace.clone())),
        ("--service-account", args.service_account.clone()),
        ("--certificate-authority", args.certificate_authority.as_ref().map(path)),
    ];
    for (flag, value) in flags {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = write!(line, " {flag} {}", quoted(&value));
        }
    }
    if args.allow_http {
        line.push_str(" --allow-http");
    }
    line
}

/// Returns a path with an ending added to its name.
fn with_ending(path: &std::path::Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}
