//! The one path of a request, for both transports: inflate, transcode, queue, wait.

mod request;
mod workshop;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tracing::warn;

pub use self::request::Request;
use self::workshop::{Batch, Fault, transcode};
use super::admission::{Budget, Permit};
use super::inflate::{Compression, InflateError};
use super::outcome::{Outcome, RetryReason};
use super::queue::{NotStored, PushError, QueueSender, Submission};
use crate::otlp::{Report, Segment};
use crate::settings::{ReceiveSettings, ReceiveState};
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::ReceiveMetrics;

/// A body up to this many bytes, inflated, is transcoded where it arrived: about half a millisecond.
///
/// Larger ones go to a thread of their own, so that they do not stall the connections of this one.
const INLINE_BYTES: usize = 512 << 10;

/// A compressed body above this many bytes will hardly inflate to less than [`INLINE_BYTES`].
const INLINE_COMPRESSED_BYTES: usize = 128 << 10;

/// Takes requests until their lines are stored.
#[derive(Debug)]
pub struct Intake {
    settings: Arc<ArcSwap<ReceiveSettings>>,
    budget: Budget,
    queue: QueueSender,
    metrics: ReceiveMetrics,
    tasks: Shutdown,
    /// Turns of large requests: as many as there are cores, because each is nothing but computing.
    large: Arc<Semaphore>,
    n_turns: u32,
    warned_of_references: AtomicBool,
}

impl Intake {
    /// Makes an intake; its threads for large requests belong to `tasks`.
    pub fn new(
        settings: Arc<ArcSwap<ReceiveSettings>>,
        queue: QueueSender,
        metrics: ReceiveMetrics,
        tasks: Shutdown,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let n_turns = u32::try_from(cores).unwrap_or(1);
        Self {
            settings,
            budget: Budget::new(metrics.in_flight_bytes.clone()),
            queue,
            metrics,
            tasks,
            large: Arc::new(Semaphore::new(cores)),
            n_turns,
            warned_of_references: AtomicBool::new(false),
        }
    }

    /// Returns the settings of this moment.
    pub fn settings(&self) -> arc_swap::Guard<Arc<ReceiveSettings>> {
        self.settings.load()
    }

    /// Returns the metrics of the endpoint.
    pub fn metrics(&self) -> &ReceiveMetrics {
        &self.metrics
    }

    /// Admits a request before its body is read.
    ///
    /// # Errors
    /// The outcome to answer with where none is taken now: stopped, or shutting down.
    pub fn admit(&self) -> Result<Permit, Outcome> {
        let settings = self.settings.load();
        if settings.state == ReceiveState::Stopped {
            return Err(Outcome::retry(RetryReason::Stopped));
        }
        Ok(self.budget.permit(settings.budget()))
    }

    /// Takes a request and returns once it is stored or refused.
    ///
    /// # Cancel safety
    /// Cancelling stops the waiting; the lines may be stored all the same.
    pub async fn submit(&self, request: Request) -> Outcome {
        let max_bytes = usize::try_from(self.settings.load().max_request_bytes.0).unwrap_or(usize::MAX);
        self.metrics.wire_bytes.inc_by(to_u64(request.body.len()));
        let (batch, permit) = match self.prepare(request, max_bytes).await {
            Ok(prepared) => prepared,
            Err(outcome) => return outcome,
        };
        self.metrics.inflated_bytes.inc_by(to_u64(batch.inflated_bytes));
        let Batch { segments, report, .. } = batch;
        self.count(&report);
        if !segments.is_empty()
            && let Err(reason) = self.store(segments, permit, report.accepted).await
        {
            return Outcome::retry(reason);
        }
        outcome_of(&report)
    }

    /// Makes lines of a request, here or, where it is large, on a thread of its own.
    async fn prepare(&self, mut request: Request, max_bytes: usize) -> Result<(Batch, Permit), Outcome> {
        if is_small(&request) {
            let limit = max_bytes.min(INLINE_BYTES);
            match transcode(&mut request, limit) {
                Ok(batch) => return Ok((batch, request.permit)),
                // Small on the wire alone; inflated anew, because keeping half of it would cost more than it saves.
                Err(Fault::Inflate(InflateError::TooLarge { .. })) if limit < max_bytes => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        match self.prepare_large(request, max_bytes, 1).await? {
            Ok(prepared) => Ok(prepared),
            // Several huge ones can each be one too many. With all turns one is tried after the other,
            // and each that fails makes room: so at least the last one gets through.
            Err(request) => {
                let last = self.prepare_large(request, max_bytes, self.n_turns).await?;
                last.map_err(|_| Outcome::retry(RetryReason::Overloaded))
            }
        }
    }

    /// Makes lines of a large request; gives it back where there is no memory for them now.
    async fn prepare_large(
        &self,
        mut request: Request,
        max_bytes: usize,
        n_turns: u32,
    ) -> Result<Result<(Batch, Permit), Request>, Outcome> {
        let Ok(turns) = Arc::clone(&self.large).acquire_many_owned(n_turns).await else {
            return Err(Outcome::retry(RetryReason::NotStored(NotStored::Draining)));
        };
        let work = move || {
            let batch = transcode(&mut request, max_bytes);
            // The turn belongs to the work: a client that goes away does not start another one beside
            // it. It is given back last, so whoever has it next finds the memory free.
            (batch, request, turns)
        };
        let (batch, request, turns) = self.tasks.blocking(work).await;
        let prepared = match batch {
            Ok(batch) => Ok(Ok((batch, request.permit))),
            Err(Fault::Overloaded | Fault::Inflate(InflateError::Overloaded(_))) if n_turns < self.n_turns => {
                Ok(Err(request))
            }
            Err(fault) => {
                drop(request);
                Err(fault.into())
            }
        };
        drop(turns);
        prepared
    }

    /// Hands lines to the appender and waits for the receipt.
    ///
    /// Whoever decides counts: the queue's refusals here, all else the appender, because the client may be gone by then.
    async fn store(&self, segments: Vec<Segment>, permit: Permit, spans: u64) -> Result<(), RetryReason> {
        let (submission, pending) = Submission::new(segments, permit);
        self.queue.push(submission).map_err(|refused| {
            let reason = match refused {
                PushError::Full => RetryReason::Overloaded,
                PushError::Closed => RetryReason::NotStored(NotStored::Draining),
            };
            self.metrics.reject(reason.reason(), spans);
            reason
        })?;
        let _receipt = pending.wait().await.map_err(RetryReason::NotStored)?;
        Ok(())
    }

    fn count(&self, report: &Report) {
        // Without `..`: a new count must not be forgotten here.
        let &Report {
            accepted,
            rejected,
            dropped_links,
            repaired_strings,
            oversized_spans,
            string_references,
            snake_case_keys: _,
        } = report;
        let metrics = &self.metrics;
        metrics.received_spans.inc_by(accepted.saturating_add(rejected));
        metrics.reject("InvalidId", rejected);
        for (counter, count) in [
            (&metrics.dropped_links, dropped_links),
            (&metrics.repaired_strings, repaired_strings),
            (&metrics.oversized_spans, oversized_spans),
            (&metrics.string_references, string_references),
        ] {
            if count > 0 {
                counter.inc_by(count);
            }
        }
        // Once: a client that does it does it in every request.
        if string_references > 0 && !self.warned_of_references.swap(true, Ordering::Relaxed) {
            warn!("spans refer to a string table, which traces do not have; the references are ignored");
        }
    }
}

fn is_small(request: &Request) -> bool {
    let limit = if request.compression == Compression::Identity { INLINE_BYTES } else { INLINE_COMPRESSED_BYTES };
    request.body.len() <= limit
}

/// Returns what the client is told about a request that is stored.
fn outcome_of(report: &Report) -> Outcome {
    let mut notes = Vec::new();
    if report.rejected > 0 {
        notes.push(format!(
            "{} spans rejected: a trace id has 16 bytes, a span id 8, neither all zero",
            report.rejected
        ));
    }
    if report.dropped_links > 0 {
        notes.push(format!("{} links dropped because of an invalid trace or span id", report.dropped_links));
    }
    if report.snake_case_keys {
        notes.push("keys in snake_case were ignored: OTLP JSON has lowerCamelCase keys only".to_owned());
    }
    if notes.is_empty() {
        return Outcome::Accepted;
    }
    Outcome::Partial { rejected: report.rejected, message: notes.join("; ") }
}

/// Widens a length, which never loses anything on the platforms there are.
fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
