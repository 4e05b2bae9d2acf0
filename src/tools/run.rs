//! `tracecapture run`: a collector on one machine, without a cluster.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::args::RunArgs;
use super::capture_file::{CaptureFile, CaptureFileError};
use super::escape::escape_for_terminal;
use super::exit::{ExitCode, Failure};
use super::output::write_stdout;
use super::watch::{self, WatchError};
use crate::api::ValidCapture;
use crate::archive::fs::{Fs as _, LockError, RealFs};
use crate::clock::SystemClock;
use crate::collector::web::{AccessToken, Hosts};
use crate::collector::{BindError, Collector, Controls, OpenError, Receiver, Storage, Web};
use crate::ids::CaptureId;
use crate::settings::{CollectorSettings, changes};
use crate::shutdown::Shutdown;
use crate::telemetry::chain;

/// The name of a capture that no file names.
const DEFAULT_NAME: (&str, &str) = ("default", "local");

/// Where a user finds the token of the web address.
const TOKEN_HINT: &str = "the token stands in the line `web` that `tracecapture run` printed, behind `#token=`";

/// How long tasks beside the data path have to end.
const BACKGROUND_LIMIT: Duration = Duration::from_secs(1);

/// Why `run` did not start, or ended early.
#[derive(Debug, Error)]
enum RunError {
    /// The runtime could not be made.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// Signals cannot be received.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    /// An address could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system does not say which address was opened.
    #[error("cannot tell the address that was opened")]
    Address(#[source] io::Error),
    /// The file cannot be watched.
    #[error("cannot watch the capture file")]
    Watch(#[source] WatchError),
    /// The defaults break a rule.
    #[error("the default capture is not valid")]
    Defaults,
    /// The system gives no random numbers.
    #[error("cannot draw a token")]
    Random,
    /// The thread that writes ended.
    #[error("the appender ended unexpectedly")]
    AppenderEnded,
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let hint = match &error {
            RunError::Bind(_) => {
                Some("end the process that has the address, or choose another one; port 0 picks a free one")
            }
            RunError::AppenderEnded => Some("start it again; every acknowledged span is on the disk"),
            _ => None,
        };
        let failure = Self::new(ExitCode::Failed, error);
        match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let hint = match &error {
            OpenError::Locked(LockError::Held { .. }) => {
                "stop the owner, choose another --data-dir, or another --writer-id to share this one"
            }
            _ => "choose another --data-dir, or mend the volume",
        };
        Self::new(ExitCode::Failed, error).with_hint(hint)
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
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(RunError::Runtime)?;
    let ended = runtime.block_on(serve(args, file, capture));
    // Whoever asked twice does not wait for threads that are in the middle of a request either.
    runtime.shutdown_background();
    ended
}

fn default_capture() -> Result<ValidCapture, RunError> {
    let (namespace, name) = DEFAULT_NAME;
    let id = CaptureId::new(namespace, name).map_err(|_| RunError::Defaults)?;
    ValidCapture::with_defaults(&id).map_err(|_| RunError::Defaults)
}

async fn serve(args: &RunArgs, file: Option<CaptureFile>, capture: ValidCapture) -> Result<ExitCode, Failure> {
    let settings = CollectorSettings::from(&capture);
    let listen = args.listen(&settings)?;
    let mut stop = Stop::listen().map_err(RunError::Signals)?;
    let storage =
        Storage::open(Arc::new(RealFs), Arc::new(SystemClock::new()), &args.data_dir, args.writer_id.clone())?;
    let receiver = Receiver::bind(listen.grpc.as_slice(), listen.http.as_slice()).await.map_err(RunError::from)?;
    let otlp = (receiver.grpc_addresses(), receiver.http_addresses());
    let (web, token) = open_web(listen.web, args.token.as_deref()).await?;
    let web_address = web.listener.local_addr().map_err(RunError::Address)?;
    let id = settings.id.clone();
    let mut collector = Collector::start(storage, settings, receiver, web)?;
    let background = Shutdown::new();
    if let Some(file) = file {
        let reload = reload(collector.controls(), capture);
        watch::follow(file, &background, reload).map_err(RunError::Watch)?;
    }
    let (grpc, http) = (otlp.0.first().copied(), otlp.1.first().copied());
    Announcement { grpc, http, web: web_address, token: &token, id: &id, data_dir: &args.data_dir }.print()?;
    let failed = tokio::select! {
        () = stop.requested() => false,
        () = collector.failed() => true,
    };
    background.stop("background", BACKGROUND_LIMIT).await;
    let drained = tokio::select! {
        drained = collector.drain() => drained,
        () = stop.requested() => {
            warn!("ended before everything was answered and sealed; the next start recovers what was stored");
            return Ok(ExitCode::Interrupted);
        }
    };
    if failed {
        return Err(RunError::AppenderEnded.into());
    }
    Ok(if drained { ExitCode::Done } else { ExitCode::Failed })
}

/// Returns what takes up each new version of the capture's file.
fn reload(
    controls: Controls,
    started: ValidCapture,
) -> impl FnMut(Result<ValidCapture, CaptureFileError>) + Send + 'static {
    let mut current = started.clone();
    move |outcome| match outcome {
        Ok(new) => {
            let changes = changes(&started, &current, &new);
            if !changes.needs_restart.is_empty() {
                warn!(fields = changes.needs_restart.join(", "), "these changes take effect at the next start");
            }
            if !changes.live.is_empty() {
                info!(fields = changes.live.join(", "), "settings changed");
            }
            controls.apply(CollectorSettings::from(&new).live);
            current = new;
        }
        Err(error) => {
            let faults: Vec<String> = error.faults().iter().map(ToString::to_string).collect();
            error!(error = chain(&error), faults = faults.join("; "), "the old settings stay");
        }
    }
}

/// Opens the web address; returns the token that its users need, too.
async fn open_web(address: SocketAddr, given: Option<&str>) -> Result<(Web, String), RunError> {
    let listener = TcpListener::bind(address).await.map_err(|source| BindError { address, source })?;
    let bound = listener.local_addr().map_err(|source| BindError { address, source })?;
    let (text, token) = match given {
        Some(text) => (text.to_owned(), AccessToken::new(text).map_err(|_| RunError::Random)?),
        None => AccessToken::draw().map_err(|_| RunError::Random)?,
    };
    Ok((Web { listener, token, token_hint: TOKEN_HINT, hosts: Hosts::new(bound, Vec::new()) }, text))
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

/// The signals that end a process politely.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal is gone; none where the process was told not to mind, as by `nohup`.
    hangup: Option<Signal>,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        // To listen replaces what `nohup` set, so that is looked at before.
        let hangup = if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, hangup })
    }

    /// Waits for one of them.
    async fn requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = received(self.hangup.as_mut()) => {}
        }
    }
}

/// Tells whether this process was started not to mind the end of its terminal.
///
/// Linux tells in `/proc`; elsewhere the answer is no. Source: `proc_pid_status(5)`, `SigIgn`.
fn hangup_is_ignored() -> bool {
    // All of it has less than two kilobytes.
    let mut text = [0; 4096];
    let read = RealFs.open(Path::new("/proc/self/status")).and_then(|file| file.read_at(&mut text, 0));
    let text = String::from_utf8_lossy(text.get(..read.unwrap_or(0)).unwrap_or_default());
    let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}

/// Waits for a signal; for ever where there is none to wait for.
async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
