//! Sends one batch after the other until each has an outcome.

use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::checkpoint::{Checkpoint, CheckpointError, CheckpointFile};
use super::endpoint::{ATTEMPT_LIMIT, Answer, Endpoint};
use super::pace::Pace;
use crate::shutdown::Shutdown;
use crate::telemetry::chain;
use crate::tools::exit::ExitCode;
use crate::tools::reading::warn;

/// How long a batch in flight is waited for when the replay is to end, so that it is not sent twice.
const GRACE: Duration = Duration::from_secs(5);

/// The wait after the first failure.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait, unless the endpoint asks for a longer one.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Refusals and rejections that are told one by one; a wrong endpoint has nothing else.
const TOLD_REFUSALS: u32 = 5;

/// How sending ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// There are no more batches.
    Drained,
    /// Somebody asked for it.
    Interrupted,
    /// A batch was not taken in time.
    GaveUp(String),
    /// The endpoint would refuse every batch.
    Refused {
        /// How the command ends.
        code: ExitCode,
        /// What the endpoint said.
        what: String,
    },
    /// The checkpoint cannot be written.
    Unwritten(String),
}

/// What became of a batch.
enum Outcome {
    Accepted { rejected: u64 },
    Failed,
}

/// Where batches go, how fast, and what is known of them.
pub(super) struct Delivery<E> {
    pub(super) endpoint: E,
    pub(super) pace: Pace,
    /// How long a batch is tried.
    pub(super) patience: Duration,
    pub(super) checkpoint: Checkpoint,
    pub(super) file: Option<CheckpointFile>,
    pub(super) tasks: Shutdown,
    /// Ends the delivery behind the batch that is in flight.
    pub(super) stop: CancellationToken,
}

impl<E: Endpoint> Delivery<E> {
    /// Sends batches until there are none.
    ///
    /// # Cancel safety
    /// Dropped, the batch in flight is in doubt; the checkpoint holds all before it.
    pub(super) async fn run(&mut self, mut batches: Receiver<Batch>) -> Ended {
        let begun = Instant::now();
        let mut n_told = 0;
        loop {
            let batch = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ended::Interrupted,
                batch = batches.recv() => match batch {
                    Some(batch) => batch,
                    None => return Ended::Drained,
                },
            };
            let wait = self.pace.wait(begun.elapsed(), &batch);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ended::Interrupted,
                () = sleep(wait) => {}
            }
            let outcome = match self.send(&batch, &mut n_told).await {
                Ok(outcome) => outcome,
                Err(ended) => return ended,
            };
            if let Err(error) = self.record(&batch, &outcome).await {
                return Ended::Unwritten(chain(&error));
            }
        }
    }

    /// Tries until the batch has an outcome, or the delivery has to end.
    async fn send(&mut self, batch: &Batch, n_told: &mut u32) -> Result<Outcome, Ended> {
        let begun = Instant::now();
        let mut n_failures = 0;
        loop {
            let (after, why) = match self.attempt(batch).await? {
                Answer::Accepted { rejected, message } => {
                    if !message.is_empty() {
                        tell(n_told, &format!("the endpoint rejected {rejected} of {} spans: {message}", batch.spans));
                    }
                    return Ok(Outcome::Accepted { rejected });
                }
                Answer::Refused { what } => {
                    tell(n_told, &format!("a batch of {} spans was refused: {what}", batch.spans));
                    return Ok(Outcome::Failed);
                }
                Answer::Unusable { code, what } => return Err(Ended::Refused { code, what }),
                Answer::Retry { after, what } => (after, what),
            };
            if n_failures == 0 {
                tell(n_told, &format!("{why}; trying again"));
            }
            let wait = back_off(n_failures, after, random());
            if begun.elapsed().saturating_add(wait) > self.patience {
                return Err(Ended::GaveUp(format!("the endpoint did not take a batch in time: {why}")));
            }
            n_failures += 1;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(Ended::Interrupted),
                () = sleep(wait) => {}
            }
        }
    }

    async fn attempt(&mut self, batch: &Batch) -> Result<Answer, Ended> {
        let given_up = async {
            self.stop.cancelled().await;
            sleep(GRACE).await;
        };
        tokio::select! {
            answer = timeout(ATTEMPT_LIMIT, self.endpoint.export(batch.body.clone())) => {
                let late = || Answer::Retry { after: None, what: format!("no answer within {} s", ATTEMPT_LIMIT.as_secs()) };
                Ok(answer.unwrap_or_else(|_| late()))
            }
            () = given_up => Err(Ended::Interrupted),
        }
    }

    async fn record(&mut self, batch: &Batch, outcome: &Outcome) -> Result<(), CheckpointError> {
        let tally = &mut self.checkpoint.tally;
        tally.read += batch.spans;
        match outcome {
            Outcome::Accepted { rejected } => {
                // An endpoint may say anything; the sum stays right.
                let rejected = (*rejected).min(batch.spans);
                tally.rejected += rejected;
                tally.sent += batch.spans - rejected;
            }
            Outcome::Failed => tally.failed += batch.spans,
        }
        for position in &batch.upto {
            self.checkpoint.done.note(position);
        }
        self.write().await
    }

    /// Writes the checkpoint, where one is kept.
    ///
    /// # Errors
    /// [`CheckpointError`] where it cannot be written.
    pub(super) async fn write(&self) -> Result<(), CheckpointError> {
        let Some(file) = self.file.clone() else { return Ok(()) };
        let checkpoint = self.checkpoint.clone();
        self.tasks.blocking(move || file.write(&checkpoint)).await
    }
}

fn tell(n_told: &mut u32, text: &str) {
    *n_told += 1;
    match *n_told {
        ..=TOLD_REFUSALS => warn(text),
        n if n == TOLD_REFUSALS + 1 => warn("more of these are not told"),
        _ => {}
    }
}

/// Returns how long to wait after so many failures before the last one.
///
/// Our own wait doubles, and is between half and all of that, so that many who failed together do not come
/// back together. What the endpoint asks for is never shortened, and shortens nothing: proxies ask for no wait at
/// all, with a zero or a date that has passed, and answer so at once each time.
fn back_off(n_failures: u32, asked: Option<Duration>, random: u16) -> Duration {
    let share = f64::from(random) / f64::from(u16::MAX);
    let whole = FIRST_WAIT.saturating_mul(1 << n_failures.min(16)).min(LONGEST_WAIT);
    let asked = asked.unwrap_or_default();
    let asked = asked.saturating_add(asked.min(LONGEST_WAIT).mul_f64(share / 10.0));
    asked.max(whole.mul_f64(0.5 + share / 2.0))
}

fn random() -> u16 {
    let mut bytes = [0; 2];
    // Without random numbers the waits are only a little less well spread.
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes);
    u16::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests;
