//! `tracecapture replay`: sends the spans of archives to any OTLP endpoint.
//!
//! A thread reads and makes batches, at most `WAITING_BATCHES` ahead; one batch at a time is sent,
//! and only when its outcome is known is it counted and the checkpoint written. So whatever ends the
//! process, a checkpoint loses no span and doubles at most the one batch that was in flight.

mod again;
pub mod args;
mod batch;
mod capture_clock;
mod checkpoint;
mod deliver;
pub mod endpoint;
mod pace;
mod position;
mod report;
mod shift;
mod source;

use std::pin::pin;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::exit::{ExitCode, Failure};
use super::process::{Stop, block_on};
use crate::clock::{Clock as _, SystemClock};
use crate::otlp::export::Shift;
use crate::shutdown::Shutdown;
use args::{ReplayArgs, ShiftTime};
use batch::{Batch, BatchLimits};
use checkpoint::{Checkpoint, CheckpointFile};
use deliver::{Delivery, Ended};
use endpoint::Client;
use pace::Pace;
use source::{Read, Source};

/// Batches that are read ahead: enough that reading and sending overlap, little memory.
const WAITING_BATCHES: usize = 4;

/// Replays the paths; `program` is what the user types before `replay`.
///
/// Returns what `--help` says of exit codes; the totals are on stdout then.
///
/// # Errors
/// A [`Failure`] where it did not begin, or ended before everything had an outcome.
pub fn run(args: &ReplayArgs, program: &str) -> Result<ExitCode, Failure> {
    args.check()?;
    let file = args.checkpoint.clone().map(CheckpointFile::new);
    let known = file.as_ref().map(CheckpointFile::read).transpose()?.flatten();
    let checkpoint = match known {
        Some(checkpoint) => {
            checkpoint.check(args)?;
            checkpoint
        }
        None => Checkpoint::new(args, shift_of(args)?),
    };
    block_on(replay((args, program), checkpoint, file))
}

fn shift_of(args: &ReplayArgs) -> Result<Shift, Failure> {
    match args.shift_time {
        ShiftTime::None => Ok(Shift::default()),
        ShiftTime::By(shift) => Ok(shift),
        ShiftTime::Now => shift::to_now(&args.paths, &args.limits, SystemClock::new().now()),
    }
}

async fn replay(
    (args, program): (&ReplayArgs, &str),
    checkpoint: Checkpoint,
    file: Option<CheckpointFile>,
) -> Result<ExitCode, Failure> {
    let mut signals = Stop::listen()?;
    let (tasks, stop) = (Shutdown::new(), CancellationToken::new());
    let client = Client::new(&args.to, args.protocol(), args.headers(), tasks.clone())?;
    let (sender, batches) = mpsc::channel::<Batch>(WAITING_BATCHES);
    let pace = Pace::new(args.rate, args.speed.factor());
    let limits =
        BatchLimits { max_spans: args.max_batch_spans(), max_bytes: args.batch_bytes(), window: pace.window() };
    let source = Source::new(args, limits, (checkpoint.shift(), checkpoint.done.clone()), sender);
    let mut delivery = Delivery { endpoint: client, pace, patience: args.give_up_after, checkpoint, file, tasks, stop };
    // Before anything is sent: where it cannot be written, the next replay would send it again.
    delivery.write().await?;
    let (reading_tasks, stop) = (delivery.tasks.clone(), delivery.stop.clone());

    let mut reading = pin!(reading_tasks.blocking(move || source.read()));
    let mut read = None;
    let ended = {
        let mut sending = pin!(delivery.run(batches));
        loop {
            tokio::select! {
                ended = &mut sending => break ended,
                done = &mut reading, if read.is_none() => read = Some(done),
                // What is in flight gets a few seconds more; a second signal ends that, too.
                () = signals.requested() => {
                    if stop.is_cancelled() {
                        break Ended::Interrupted;
                    }
                    stop.cancel();
                }
            }
        }
    };
    // Who reads a pipe may wait for its next byte for ever: only a source that was read to its end is waited for.
    let read = match (read, &ended) {
        (Some(read), _) => read,
        (None, Ended::Drained) => reading.await,
        (None, _) => Read::default(),
    };
    report::finish((args, program), &delivery.checkpoint, &ended, read)
}
