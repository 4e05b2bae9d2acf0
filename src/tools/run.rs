//! `tracecapture run`: a collector on one machine, without a cluster.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tracing::warn;

use super::args::RunArgs;
use super::capture_file::CaptureFile;
use super::escape::escape_for_terminal;
use super::exit::{ExitCode, Failure};
use super::output::write_stdout;
use super::process::{self, Stop};
use super::watch;
use crate::api::ValidCapture;
use crate::archive::fs::RealFs;
use crate::clock::{Clock, SystemClock};
use crate::collector::web::{Access, AccessToken, Hosts};
use crate::collector::{BindError, Collector, Receiver, Storage, Web};
use crate::ids::CaptureId;
use crate::settings::{CollectorSettings, Duty, Identity};
use crate::shutdown::Shutdown;

/// The name of a capture that no file names.
const DEFAULT_NAME: (&str, &str) = ("default", "local");

/// Where a user finds the token of the web address.
const TOKEN_HINT: &str = "the token stands in the line `web` that `tracecapture run` printed, behind `#token=`";

/// Why `run` did not start, or ended early.
#[derive(Debug, Error)]
enum RunError {
    /// An address could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system does not say which address was opened.
    #[error("cannot tell the address that was opened")]
    Address(#[source] io::Error),
    /// The defaults break a rule.
    #[error("the default capture is not valid")]
    Defaults,
    /// The system gives no random numbers.
    #[error("cannot draw random numbers for the token of the web address")]
    Random,
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let hint = match &error {
            RunError::Bind(_) => {
                Some("end the process that has the address, or choose another one; port 0 picks a free one")
            }
            _ => None,
        };
        let failure = Self::new(ExitCode::Failed, error);
        match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

/// Runs until SIGTERM, ctrl-C or the end of its terminal; a second one ends the drain, too.
///
/// # Errors
/// A [`Failure`] that says what could not be started.
pub fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let (file, capture) = match &args.file {
        Some(path) => {
            let (file, capture) = CaptureFile::open(path)?;
            (Some(file), capture)
        }
        None => (None, default_capture()?),
    };
    let cluster_only = capture.cluster_only();
    if !cluster_only.is_empty() {
        warn!(fields = cluster_only.join(", "), "these fields have no meaning without a cluster");
    }
    process::block_on(serve(args, file, capture))
}

fn default_capture() -> Result<ValidCapture, RunError> {
    let (namespace, name) = DEFAULT_NAME;
    let id = CaptureId::new(namespace, name).map_err(|_| RunError::Defaults)?;
    ValidCapture::with_defaults(&id).map_err(|_| RunError::Defaults)
}

async fn serve(args: &RunArgs, file: Option<CaptureFile>, capture: ValidCapture) -> Result<ExitCode, Failure> {
    let clock = Arc::new(SystemClock::new());
    let started = clock.now();
    let settings = CollectorSettings::of(&capture, started);
    let listen = args.listen(&settings)?;
    let stop = Stop::listen()?;
    let identity = Identity { writer: args.writer_id.clone(), duty: Duty::Keeper };
    let storage = Storage::open(Arc::new(RealFs), clock, &args.data_dir, identity)?;
    let receiver = Receiver::bind(listen.grpc.as_slice(), listen.http.as_slice()).await.map_err(RunError::from)?;
    let otlp = (receiver.grpc_addresses(), receiver.http_addresses());
    let (web, token) = open_web(listen.web, args.token.as_deref()).await?;
    let web_address = web.listener.local_addr().map_err(RunError::Address)?;
    let id = settings.id.clone();
    let collector = Collector::start(storage, settings, receiver, web)?;
    let background = Shutdown::new();
    if let Some(file) = file {
        watch::follow(file, &background, process::reload(collector.controls(), (capture, started), &[]));
    }
    let (grpc, http) = (otlp.0.first().copied(), otlp.1.first().copied());
    Announcement { grpc, http, web: web_address, token: &token, id: &id, data_dir: &args.data_dir }.print()?;
    // Nobody learns of a change of readiness here, so there is nothing to wait for.
    process::serve(collector, stop, background, Duration::ZERO).await
}

/// Opens the web address; returns the token that its users need, too.
async fn open_web(address: SocketAddr, given: Option<&str>) -> Result<(Web, String), RunError> {
    let listener = TcpListener::bind(address).await.map_err(|source| BindError { address, source })?;
    let bound = listener.local_addr().map_err(|source| BindError { address, source })?;
    let (text, token) = match given {
        Some(text) => (text.to_owned(), AccessToken::new(text).map_err(|_| RunError::Random)?),
        None => AccessToken::draw().map_err(|_| RunError::Random)?,
    };
    let access = Access::Token { token, hint: TOKEN_HINT, hosts: Hosts::new(bound, Vec::new()) };
    Ok((Web { listener, access }, text))
}

/// What scripts wait for.
struct Announcement<'a> {
    grpc: Option<SocketAddr>,
    http: Option<SocketAddr>,
    web: SocketAddr,
    token: &'a str,
    id: &'a CaptureId,
    data_dir: &'a Path,
}

impl Announcement<'_> {
    /// Prints where everything is, then an empty line.
    fn print(&self) -> Result<(), Failure> {
        let Self { grpc, http, web, token, id, data_dir } = self;
        let url =
            |address: &Option<SocketAddr>| address.map_or("off".to_owned(), |address| format!("http://{address}"));
        let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_path_buf());
        write_stdout(&format!(
            "otlp/grpc  {grpc}\n\
             otlp/http  {http}\n\
             web        http://{web}/#token={token}\n\
             bundle     http://{web}/api/v1/captures/{id}/bundle.tar\n\
             data       {data}\n\n",
            grpc = url(grpc),
            http = url(http),
            data = escape_for_terminal(&data_dir.to_string_lossy()),
        ))
    }
}
