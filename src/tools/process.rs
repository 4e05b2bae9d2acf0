//! What the processes that receive spans have in common: their runtime, their signals, their end.

use std::io;
use std::path::Path;
use std::time::Duration;

use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::capture_file::CaptureFileError;
use super::exit::{ExitCode, Failure};
use crate::api::ValidCapture;
use crate::archive::fs::{Fs as _, LockError, RealFs};
use crate::clock::Timestamp;
use crate::collector::{Collector, Controls, OpenError};
use crate::settings::{CollectorSettings, changes};
use crate::shutdown::Shutdown;
use crate::telemetry::chain;

/// How long tasks beside the data path have to end.
const BACKGROUND_LIMIT: Duration = Duration::from_secs(1);

/// Why a process did not start, or ended early.
#[derive(Debug, Error)]
enum ProcessError {
    /// The runtime could not be made.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// Signals cannot be received.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    /// The thread that writes ended.
    #[error("the appender ended unexpectedly")]
    AppenderEnded,
}

impl From<ProcessError> for Failure {
    fn from(error: ProcessError) -> Self {
        let hint = matches!(error, ProcessError::AppenderEnded)
            .then_some("start it again; every acknowledged span is on the disk");
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
                "stop the owner, or choose another --data-dir; `run` shares one under another --writer-id"
            }
            _ => "choose another --data-dir, or mend the volume",
        };
        Self::new(ExitCode::Failed, error).with_hint(hint)
    }
}

/// Runs a process on a runtime of its own.
///
/// # Errors
/// What `process` ends with, or why there is no runtime.
pub(super) fn block_on(process: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ProcessError::Runtime)?;
    let ended = runtime.block_on(process);
    // Whoever asked twice does not wait for threads that are in the middle of a request either.
    runtime.shutdown_background();
    ended
}

/// Serves until a signal comes, then drains; a second signal ends the drain, too.
///
/// From the first signal on the collector is not ready; for as long as `notice` it goes on taking
/// spans all the same, because those who send learn of that a little later.
///
/// # Errors
/// A [`Failure`] where a part ended that never should.
pub(super) async fn serve(
    mut collector: Collector,
    mut stop: Stop,
    background: Shutdown,
    notice: Duration,
) -> Result<ExitCode, Failure> {
    let failed = tokio::select! {
        () = stop.requested() => false,
        () = collector.failed() => true,
    };
    collector.announce_end();
    let ended = async {
        if !failed {
            tokio::time::sleep(notice).await;
        }
        background.stop("background", BACKGROUND_LIMIT).await;
        collector.drain().await
    };
    let drained = tokio::select! {
        drained = ended => drained,
        () = stop.requested() => {
            warn!("ended before everything was answered and sealed; the next start recovers what was stored");
            return Ok(ExitCode::Interrupted);
        }
    };
    if failed {
        return Err(ProcessError::AppenderEnded.into());
    }
    Ok(if drained { ExitCode::Done } else { ExitCode::Failed })
}

/// Returns what takes up each new version of a capture's file.
///
/// `started` is the capture and the instant that the process was started with. Fields below a
/// path in `not_ours` are somebody else's to take up.
pub(super) fn reload(
    controls: Controls,
    (started, at): (ValidCapture, Timestamp),
    not_ours: &'static [&'static str],
) -> impl FnMut(Result<ValidCapture, CaptureFileError>) + Send + 'static {
    let mut current = started.clone();
    move |outcome| match outcome {
        Ok(new) => {
            let mut changes = changes(&started, &current, &new);
            changes.needs_restart.retain(|field| !not_ours.iter().any(|outer| field.starts_with(outer)));
            if !changes.needs_restart.is_empty() {
                warn!(fields = changes.needs_restart.join(", "), "these changes take effect at the next start");
            }
            if !changes.live.is_empty() {
                info!(fields = changes.live.join(", "), "settings changed");
            }
            controls.apply(CollectorSettings::of(&new, at).live);
            current = new;
        }
        Err(error) => {
            let faults: Vec<String> = error.faults().iter().map(ToString::to_string).collect();
            error!(error = chain(&error), faults = faults.join("; "), "the old settings stay");
        }
    }
}

/// The signals that end a process politely.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal is gone; none where the process was told not to mind, as by `nohup`.
    hangup: Option<Signal>,
}

impl Stop {
    /// Listens from now on, so that a signal during the start counts, too.
    ///
    /// # Errors
    /// A [`Failure`] where the system offers no signals.
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(ProcessError::Signals);
        // To listen replaces what `nohup` set, so that is looked at before.
        let hangup = if hangup_is_ignored() { None } else { Some(listen(SignalKind::hangup())?) };
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())?, hangup })
    }

    /// Waits for one of them.
    ///
    /// # Cancel safety
    /// Safe: a signal that comes in between is kept.
    pub(super) async fn requested(&mut self) {
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
