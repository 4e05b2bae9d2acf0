//! The one path of a request, for both transports: inflate, transcode, queue, wait.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::Semaphore;
use tracing::warn;

use super::admission::{Budget, Permit};
use super::inflate::{Compression, InflateError, Inflater};
use super::outcome::{Outcome, Refusal, RetryReason};
use super::queue::{NotStored, PushError, QueueSender, Submission};
use crate::archive::frame::MAX_RAW;
use crate::ids::Signal;
use crate::otlp::{BadData, Encoding, Report, Room, Segment, Transcoder};
use crate::settings::{ReceiveSettings, ReceiveState};
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::ReceiveMetrics;

/// A body up to this many bytes, inflated, is transcoded where it arrived: about half a millisecond.
///
/// Larger ones go to a thread of their own, so that they do not stall the connections of this one.
const INLINE_BYTES: usize = 512 << 10;

/// A compressed body above this many bytes will hardly inflate to less than [`INLINE_BYTES`].
const INLINE_COMPRESSED_BYTES: usize = 128 << 10;

/// A scratch buffer above this many bytes is not kept.
const KEPT_SCRATCH_BYTES: usize = 1 << 20;

/// One request, read but neither inflated nor decoded.
#[derive(Debug)]
pub struct Request {
    /// What it brings.
    pub signal: Signal,
    /// How the inflated body is encoded.
    pub encoding: Encoding,
    /// How the body is compressed.
    pub compression: Compression,
    /// The body.
    pub body: Bytes,
    /// Its bytes in flight.
    pub permit: Permit,
}

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

/// What a request became.
#[derive(Debug)]
struct Batch {
    segments: Vec<Segment>,
    report: Report,
    inflated_bytes: usize,
}

/// Why a request became nothing.
#[derive(Debug)]
enum Fault {
    Inflate(InflateError),
    BadData(BadData),
    SegmentTooLong {
        bytes: usize,
    },
    /// The lines do not fit into the budget beside other requests.
    Overloaded,
    /// They would not fit into it alone.
    Outgrown,
}

/// Memory for the lines of a request, out of its permit.
#[derive(Debug)]
struct LinesRoom<'a> {
    permit: &'a mut Permit,
    /// Why there was none.
    fault: Option<Fault>,
}

impl Room for LinesRoom<'_> {
    fn take(&mut self, more: usize) -> bool {
        let refused = self.permit.grow(more).is_err();
        if refused {
            self.fault = Some(if self.permit.outgrows(more) { Fault::Outgrown } else { Fault::Overloaded });
        }
        !refused
    }
}

/// What a thread keeps from request to request.
#[derive(Default)]
struct Workshop {
    inflater: Inflater,
    transcoder: Transcoder,
    scratch: Vec<u8>,
}

thread_local! {
    static WORKSHOP: RefCell<Workshop> = RefCell::default();
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

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Overloaded | Fault::Inflate(InflateError::Overloaded(_)) => Self::retry(RetryReason::Overloaded),
            Fault::Inflate(error @ InflateError::TooLarge { .. }) => {
                Self::refused(Refusal::TooLarge, error.to_string())
            }
            Fault::Inflate(InflateError::Corrupt { scheme, source }) => {
                Self::refused(Refusal::BadData, format!("cannot inflate the {scheme} body: {source}"))
            }
            Fault::Outgrown => Self::refused(
                Refusal::TooLarge,
                "as lines the body would need more memory than there is for all requests: send fewer spans at a time",
            ),
            Fault::BadData(error @ BadData::TooLong { .. }) => Self::refused(Refusal::TooLarge, error.to_string()),
            Fault::SegmentTooLong { bytes } => Self::refused(
                Refusal::TooLarge,
                format!("a span of {bytes} bytes as JSON cannot be stored: {MAX_RAW} is the limit"),
            ),
            Fault::BadData(bad_data) => Self::refused(Refusal::BadData, bad_data.to_string()),
        }
    }
}

fn is_small(request: &Request) -> bool {
    let limit = if request.compression == Compression::Identity { INLINE_BYTES } else { INLINE_COMPRESSED_BYTES };
    request.body.len() <= limit
}

/// Inflates and transcodes a request with what this thread keeps.
fn transcode(request: &mut Request, max_bytes: usize) -> Result<Batch, Fault> {
    let batch = WORKSHOP.with_borrow_mut(|workshop| workshop.transcode(request, max_bytes));
    if batch.is_err() {
        // Now, because the request may be tried once more, and waits for that.
        request.permit.settle(request.body.len());
    }
    batch
}

impl Workshop {
    fn transcode(&mut self, request: &mut Request, max_bytes: usize) -> Result<Batch, Fault> {
        let Request { signal, encoding, compression, body, permit } = request;
        permit.settle(body.len());
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        if *compression != Compression::Identity {
            self.inflater.inflate(*compression, body, (max_bytes, permit), &mut scratch).map_err(Fault::Inflate)?;
        }
        if scratch.capacity() > KEPT_SCRATCH_BYTES {
            // Nobody needs the compressed form any more, also where there is no memory for the lines until later.
            permit.settle(scratch.capacity());
            *body = Bytes::from(std::mem::take(&mut scratch));
            *compression = Compression::Identity;
        }
        let inflated = if *compression == Compression::Identity { &**body } else { &*scratch };
        let (mut segments, inflated_bytes) = (Vec::new(), inflated.len());
        let mut room = LinesRoom { permit, fault: None };
        let transcoded = self.transcoder.transcode_within(&mut room, (*signal, *encoding, inflated), &mut segments);
        let report = transcoded.map_err(|bad_data| room.fault.take().unwrap_or(Fault::BadData(bad_data)))?;
        // One such segment would spoil the group of others that it is stored with, however often it comes.
        if let Some(bytes) = segments.iter().map(|segment| segment.lines.len()).find(|&bytes| bytes > MAX_RAW) {
            return Err(Fault::SegmentTooLong { bytes });
        }
        // From here on only the lines are held.
        *body = Bytes::new();
        permit.settle(segments.iter().map(|segment| segment.lines.capacity()).sum());
        if scratch.capacity() <= KEPT_SCRATCH_BYTES {
            self.scratch = scratch;
        }
        Ok(Batch { segments, report, inflated_bytes })
    }
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
mod tests {
    use std::time::Duration;

    use super::super::queue::{QueueReceiver, queue};
    use super::*;
    use crate::archive::Durable;
    use crate::units::ByteSize;

    fn intake(settings: ReceiveSettings) -> (Intake, QueueReceiver) {
        let (sender, receiver) = queue(1 << 20);
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        (Intake::new(settings, sender, ReceiveMetrics::default(), Shutdown::new()), receiver)
    }

    fn request(intake: &Intake, compression: Compression, body: Vec<u8>) -> Request {
        let permit = intake.admit().unwrap();
        let (signal, encoding) = (Signal::Traces, Encoding::Protobuf);
        Request { signal, encoding, compression, body: Bytes::from(body), permit }
    }

    fn segment() -> Segment {
        Segment { lines: b"{}\n".to_vec(), line_count: 1, items: 1, ..Segment::default() }
    }

    /// Answers the first group with `result`, as an appender does.
    fn answer_with(receiver: QueueReceiver, result: Result<(), NotStored>) -> std::thread::JoinHandle<()> {
        std::thread::spawn(move || {
            for submission in receiver.recv_group(usize::MAX, Duration::from_mins(1)).unwrap() {
                submission.reply.resolve(result.map(|()| Durable::after_sync()));
            }
        })
    }

    #[tokio::test]
    async fn an_empty_request_is_accepted_without_the_disk() {
        let (intake, _receiver) = intake(ReceiveSettings::default());
        let request = request(&intake, Compression::Identity, Vec::new());
        assert_eq!(intake.submit(request).await, Outcome::Accepted);
        assert_eq!(intake.budget.used(), 0);
    }

    #[tokio::test]
    async fn what_the_appender_says_is_the_outcome() {
        for (result, expected) in
            [(Ok(()), Ok(())), (Err(NotStored::VolumeFull), Err(RetryReason::NotStored(NotStored::VolumeFull)))]
        {
            let (intake, receiver) = intake(ReceiveSettings::default());
            let appender = answer_with(receiver, result);
            assert_eq!(intake.store(vec![segment()], intake.admit().unwrap(), 1).await, expected);
            appender.join().unwrap();
        }
    }

    #[tokio::test]
    async fn an_appender_that_is_gone_is_retryable() {
        let (intake, receiver) = intake(ReceiveSettings::default());
        drop(receiver);
        let stored = intake.store(vec![segment()], intake.admit().unwrap(), 1).await;
        assert_eq!(stored, Err(RetryReason::NotStored(NotStored::Draining)));
    }

    #[tokio::test]
    async fn a_stopped_capture_takes_nothing_and_a_running_one_again() {
        let (intake, _receiver) = intake(ReceiveSettings::default());
        let stopped = ReceiveSettings { state: ReceiveState::Stopped, ..ReceiveSettings::default() };
        intake.settings.store(Arc::new(stopped));
        assert_eq!(intake.admit().unwrap_err(), Outcome::retry(RetryReason::Stopped));
        intake.settings.store(Arc::default());
        assert!(intake.admit().is_ok());
    }

    #[tokio::test]
    async fn a_bomb_is_too_large_whether_it_is_inflated_here_or_on_a_thread() {
        for max in [100 << 10, 1 << 20] {
            let (intake, _receiver) =
                intake(ReceiveSettings { max_request_bytes: ByteSize(max), ..ReceiveSettings::default() });
            let bomb = zstd::encode_all(&vec![0; 4 << 20][..], 1).unwrap();
            let outcome = intake.submit(request(&intake, Compression::Zstd, bomb)).await;
            assert!(matches!(outcome, Outcome::Refused { refusal: Refusal::TooLarge, .. }), "{max}: {outcome:?}");
            assert_eq!(intake.budget.used(), 0);
        }
    }

    #[tokio::test]
    async fn what_does_not_inflate_is_bad_data() {
        let (intake, _receiver) = intake(ReceiveSettings::default());
        let outcome = intake.submit(request(&intake, Compression::Gzip, b"no gzip".to_vec())).await;
        assert!(matches!(outcome, Outcome::Refused { refusal: Refusal::BadData, .. }), "{outcome:?}");
    }

    /// A protobuf field of a length.
    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2];
        prost::encoding::encode_varint(to_u64(value.len()), &mut bytes);
        bytes.extend_from_slice(value);
        bytes
    }

    /// A span with these fields besides its ids.
    fn span(more: &[u8]) -> Vec<u8> {
        [field(1, &[1; 16]), field(2, &[2; 8]), more.to_vec()].concat()
    }

    async fn check_too_large(what: &str, body: Vec<u8>) {
        let settings = ReceiveSettings { max_request_bytes: ByteSize(256 << 20), ..ReceiveSettings::default() };
        let (intake, receiver) = intake(settings);
        // What got as far as the queue would be told to come back.
        drop(receiver);
        let outcome = intake.submit(request(&intake, Compression::Identity, body)).await;
        assert!(matches!(outcome, Outcome::Refused { refusal: Refusal::TooLarge, .. }), "{what}: {outcome:?}");
        assert_eq!(intake.budget.used(), 0, "{what}");
    }

    #[tokio::test]
    async fn what_would_not_fit_into_a_frame_or_grows_without_measure_is_too_large() {
        // Control characters become six bytes each, so one span has more than a frame takes.
        let long_name = span(&field(5, &vec![1; (MAX_RAW / 6) + 1]));
        check_too_large("a long span", field(1, &field(2, &field(2, &long_name)))).await;
        // The resource stands in every line, and next to it a line has room for one span alone.
        let resource = field(1, &field(1, &[field(1, &vec![b'k'; 1 << 20]), field(2, &[])].concat()));
        let spans = field(2, &span(&[])).repeat(1_000);
        check_too_large("a repeated resource", field(1, &[resource, field(2, &spans)].concat())).await;
    }

    /// Sends a span name of so many control characters, six bytes each as JSON, beside `held` bytes of other requests.
    async fn grown(len: usize, held: usize) -> Outcome {
        let (max_request_bytes, in_flight_bytes) = (ByteSize(256 << 10), ByteSize(1 << 20));
        let settings = ReceiveSettings { max_request_bytes, in_flight_bytes, ..ReceiveSettings::default() };
        let (intake, receiver) = intake(settings);
        // What gets as far as the queue is told so.
        drop(receiver);
        let mut other = intake.admit().unwrap();
        other.grow(held).unwrap();
        let body = field(1, &field(2, &field(2, &span(&field(5, &vec![1; len])))));
        let outcome = intake.submit(request(&intake, Compression::Identity, body)).await;
        assert_eq!(intake.budget.used(), to_u64(held));
        outcome
    }

    #[tokio::test]
    async fn lines_are_counted_as_they_grow() {
        let queued = Outcome::retry(RetryReason::NotStored(NotStored::Draining));
        assert_eq!(grown(50_000, 0).await, queued);
        assert_eq!(grown(50_000, 900 << 10).await, Outcome::retry(RetryReason::Overloaded));
        // It would never fit, so it must not come again.
        let outcome = grown(200_000, 0).await;
        assert!(matches!(outcome, Outcome::Refused { refusal: Refusal::TooLarge, .. }), "{outcome:?}");
    }

    #[test]
    fn clients_are_told_what_was_left_out() {
        let report = Report { accepted: 5, rejected: 2, ..Report::default() };
        assert!(matches!(outcome_of(&report), Outcome::Partial { rejected: 2, .. }));
        let warning = Report { accepted: 5, snake_case_keys: true, ..Report::default() };
        assert!(matches!(outcome_of(&warning), Outcome::Partial { rejected: 0, .. }));
        assert_eq!(outcome_of(&Report { accepted: 5, repaired_strings: 1, ..Report::default() }), Outcome::Accepted);
    }
}
