//! What a thread does to a request: inflate it, and make lines of it, within the memory of its permit.

use std::cell::RefCell;

use bytes::Bytes;

use super::request::Request;
use crate::archive::frame::MAX_RAW;
use crate::collector::admission::Permit;
use crate::collector::inflate::{Compression, InflateError, Inflater};
use crate::collector::outcome::{Outcome, Refusal, RetryReason};
use crate::otlp::{BadData, Report, Room, Segment, Transcoder};

/// A scratch buffer above this many bytes is not kept.
const KEPT_SCRATCH_BYTES: usize = 1 << 20;

/// What a request became.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) segments: Vec<Segment>,
    pub(super) report: Report,
    pub(super) inflated_bytes: usize,
}

/// Why a request became nothing.
#[derive(Debug)]
pub(super) enum Fault {
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

/// Inflates and transcodes a request with what this thread keeps.
pub(super) fn transcode(request: &mut Request, max_bytes: usize) -> Result<Batch, Fault> {
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
        // From here on only the segments are held.
        *body = Bytes::new();
        permit.settle(segments.iter().map(Segment::held_bytes).sum());
        if scratch.capacity() <= KEPT_SCRATCH_BYTES {
            self.scratch = scratch;
        }
        Ok(Batch { segments, report, inflated_bytes })
    }
}
