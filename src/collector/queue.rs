//! The queue between the intake and the one thread that appends.
//!
//! Bounded by bytes of lines, because a count says nothing about memory. The consumer takes
//! everything that has gathered while it synced, which is what makes group commit work.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;

use super::admission::Permit;
use crate::archive::Durable;
use crate::otlp::Segment;

/// Lines of a request above this many bytes are large: some twice of what admission calls so.
const LARGE_BYTES: usize = 512 << 10;

/// Why lines are not stored; sending the request again helps in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotStored {
    /// There is no room on the volume until retention makes some.
    #[error("the volume is full")]
    VolumeFull,
    /// Writing or syncing failed, or the appender is gone.
    #[error("the storage failed")]
    StorageFailed,
    /// The process is shutting down.
    #[error("the collector is shutting down")]
    Draining,
}

impl NotStored {
    /// Returns the stable name for metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::VolumeFull => "VolumeFull",
            Self::StorageFailed => "StorageFailed",
            Self::Draining => "Draining",
        }
    }
}

/// Why the queue does not take a submission; retrying helps in both cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PushError {
    /// The queue holds as many bytes as it may.
    #[error("the queue is full")]
    Full,
    /// The queue is closed or nobody reads it any more.
    #[error("the queue is closed")]
    Closed,
}

/// Lines of one request on their way to the disk.
#[derive(Debug)]
pub struct Submission {
    /// The lines.
    pub segments: Vec<Segment>,
    /// Whom to tell.
    pub reply: Reply,
}

/// The duty to answer one request; dropped unresolved it counts as [`NotStored::StorageFailed`].
#[derive(Debug)]
#[must_use = "a reply that is dropped tells the client that the storage failed"]
pub struct Reply {
    sender: oneshot::Sender<Result<Durable, NotStored>>,
    /// The request's bytes stay counted until it is answered.
    permit: Permit,
}

/// The client's side of a [`Reply`].
#[derive(Debug)]
pub struct Pending {
    receiver: oneshot::Receiver<Result<Durable, NotStored>>,
}

/// The intake's end; the queue closes when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct QueueSender {
    end: Arc<SenderEnd>,
}

/// The appender's end, read by one thread.
#[derive(Debug)]
pub struct QueueReceiver {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct SenderEnd {
    shared: Arc<Shared>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(usize, Submission)>,
    small_bytes: usize,
    large_bytes: usize,
    closed: bool,
    /// Whether the reader sleeps: waking costs a system call, which most pushes can spare.
    reader_sleeps: bool,
}

impl State {
    /// Returns the bytes that wait of submissions of this size.
    fn bytes_like(&mut self, bytes: usize) -> &mut usize {
        if bytes > LARGE_BYTES { &mut self.large_bytes } else { &mut self.small_bytes }
    }
}

/// Makes a queue that holds `max_bytes` bytes of lines, or a single larger submission.
///
/// Small submissions and large ones are counted apart, each up to that bound: huge requests must not
/// turn away small ones.
pub fn queue(max_bytes: usize) -> (QueueSender, QueueReceiver) {
    let shared = Arc::new(Shared::default());
    let end = Arc::new(SenderEnd { shared: Arc::clone(&shared), max_bytes });
    (QueueSender { end }, QueueReceiver { shared })
}

impl Submission {
    /// Joins lines with the request's bytes in flight, and returns what the request waits for.
    pub fn new(segments: Vec<Segment>, permit: Permit) -> (Self, Pending) {
        let (sender, receiver) = oneshot::channel();
        (Self { segments, reply: Reply { sender, permit } }, Pending { receiver })
    }

    /// Returns how many bytes of lines there are.
    pub fn bytes(&self) -> usize {
        self.segments.iter().map(|segment| segment.lines.len()).sum()
    }
}

impl Reply {
    /// Answers the request; nothing happens where its client has gone.
    pub fn resolve(self, result: Result<Durable, NotStored>) {
        let Self { sender, permit } = self;
        drop(permit);
        // A client that went away gets no answer; its spans are stored all the same.
        let _ = sender.send(result);
    }
}

impl Pending {
    /// Waits for the reply.
    ///
    /// # Errors
    /// [`NotStored`]; retrying helps.
    ///
    /// # Cancel safety
    /// Safe; the lines are stored all the same.
    pub async fn wait(self) -> Result<Durable, NotStored> {
        self.receiver.await.unwrap_or(Err(NotStored::StorageFailed))
    }
}

impl QueueSender {
    /// Appends a submission.
    ///
    /// # Errors
    /// [`PushError`]; the submission is dropped. Retrying helps.
    pub fn push(&self, submission: Submission) -> Result<(), PushError> {
        let bytes = submission.bytes();
        let SenderEnd { shared, max_bytes } = &*self.end;
        let mut state = shared.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        let waiting = state.bytes_like(bytes);
        let sum = waiting.saturating_add(bytes);
        if *waiting > 0 && sum > *max_bytes {
            return Err(PushError::Full);
        }
        *waiting = sum;
        state.waiting.push_back((bytes, submission));
        let wake = std::mem::take(&mut state.reader_sleeps);
        drop(state);
        if wake {
            shared.filled.notify_one();
        }
        Ok(())
    }

    /// Closes the queue: what it holds is still read, nothing more is taken.
    pub fn close(&self) {
        self.end.shared.close();
    }

    /// Tells whether the queue takes nothing more.
    pub fn is_closed(&self) -> bool {
        self.end.shared.lock().closed
    }
}

impl Drop for SenderEnd {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl QueueReceiver {
    /// Takes everything that waits, in order, until `max_bytes` are reached; at least one submission.
    ///
    /// Blocks while nothing waits: after `timeout` it returns an empty group, and `None` once the
    /// queue is closed and empty.
    pub fn recv_group(&self, max_bytes: usize, timeout: Duration) -> Option<Vec<Submission>> {
        let mut state = self.shared.lock();
        if state.waiting.is_empty() && !state.closed {
            state.reader_sleeps = true;
            let empty = |state: &mut State| state.waiting.is_empty() && !state.closed;
            let woken = self.shared.filled.wait_timeout_while(state, timeout, empty);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            state.reader_sleeps = false;
        }
        if state.waiting.is_empty() {
            return if state.closed { None } else { Some(Vec::new()) };
        }
        let (mut count, mut taken) = (0, 0_usize);
        for (bytes, _) in &state.waiting {
            if count > 0 && taken.saturating_add(*bytes) > max_bytes {
                break;
            }
            count += 1;
            taken = taken.saturating_add(*bytes);
        }
        let taken: Vec<_> = state.waiting.drain(..count).collect();
        for (bytes, _) in &taken {
            let waiting = state.bytes_like(*bytes);
            *waiting = waiting.saturating_sub(*bytes);
        }
        Some(taken.into_iter().map(|(_, submission)| submission).collect())
    }
}

impl Drop for QueueReceiver {
    /// Closes the queue; what it still holds is dropped, so its clients are told to come back.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let left = std::mem::take(&mut state.waiting);
        drop(state);
        drop(left);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::super::admission::Budget;
    use super::*;

    const NO_WAIT: Duration = Duration::ZERO;

    fn submission(bytes: usize) -> (Submission, Pending) {
        let segment = Segment { lines: vec![b'x'; bytes], line_count: 1, ..Segment::default() };
        Submission::new(vec![segment], Budget::default().permit(u64::MAX))
    }

    fn sizes(group: Option<Vec<Submission>>) -> Option<Vec<usize>> {
        Some(group?.iter().map(Submission::bytes).collect())
    }

    #[test]
    fn a_group_is_everything_that_waits_up_to_the_limit() {
        let (sender, receiver) = queue(100);
        for bytes in [10, 20, 30] {
            sender.push(submission(bytes).0).unwrap();
        }
        assert_eq!(sizes(receiver.recv_group(30, NO_WAIT)), Some(vec![10, 20]));
        assert_eq!(sizes(receiver.recv_group(1, NO_WAIT)), Some(vec![30]));
        assert_eq!(sizes(receiver.recv_group(1, NO_WAIT)), Some(vec![]));
    }

    #[test]
    fn the_bound_is_in_bytes_and_an_empty_queue_takes_anything() {
        let (sender, receiver) = queue(100);
        sender.push(submission(200).0).unwrap();
        assert_eq!(sender.push(submission(1).0), Err(PushError::Full));
        assert_eq!(sizes(receiver.recv_group(1, NO_WAIT)), Some(vec![200]));
        assert_eq!(sender.push(submission(100).0), Ok(()));
    }

    #[test]
    fn huge_submissions_do_not_turn_away_small_ones() {
        let (sender, receiver) = queue(LARGE_BYTES * 2);
        sender.push(submission(LARGE_BYTES * 3).0).unwrap();
        assert_eq!(sender.push(submission(LARGE_BYTES + 1).0), Err(PushError::Full));
        sender.push(submission(LARGE_BYTES).0).unwrap();
        sender.push(submission(LARGE_BYTES).0).unwrap();
        assert_eq!(sender.push(submission(1).0), Err(PushError::Full));
        assert_eq!(receiver.recv_group(usize::MAX, NO_WAIT).unwrap().len(), 3);
        assert_eq!(sender.push(submission(LARGE_BYTES + 1).0), Ok(()));
    }

    #[test]
    fn a_closed_queue_is_read_to_its_end() {
        let (sender, receiver) = queue(100);
        sender.push(submission(5).0).unwrap();
        let other = sender.clone();
        drop(sender);
        assert!(!other.is_closed());
        other.close();
        assert_eq!(other.push(submission(1).0), Err(PushError::Closed));
        assert_eq!(sizes(receiver.recv_group(9, NO_WAIT)), Some(vec![5]));
        assert_eq!(sizes(receiver.recv_group(9, NO_WAIT)), None);
    }

    #[test]
    fn a_push_wakes_the_sleeping_reader() {
        let (sender, receiver) = queue(100);
        let reader = std::thread::spawn(move || sizes(receiver.recv_group(9, Duration::from_mins(1))));
        sender.push(submission(7).0).unwrap();
        assert_eq!(reader.join().unwrap(), Some(vec![7]));
    }

    #[tokio::test]
    async fn every_way_to_lose_a_submission_is_answered() {
        let (sender, receiver) = queue(100);
        let (resolved, first) = submission(1);
        let (left, second) = submission(2);
        resolved.reply.resolve(Err(NotStored::VolumeFull));
        sender.push(left).unwrap();
        drop(receiver);
        assert_eq!(first.wait().await.unwrap_err(), NotStored::VolumeFull);
        assert_eq!(second.wait().await.unwrap_err(), NotStored::StorageFailed);
        assert_eq!(sender.push(submission(1).0), Err(PushError::Closed));
    }

    #[test]
    fn the_bytes_in_flight_are_given_back_with_the_reply() {
        let budget = Budget::default();
        let mut permit = budget.permit(100);
        permit.grow(50).unwrap();
        let (submission, _pending) = Submission::new(Vec::new(), permit);
        assert_eq!(budget.used(), 50);
        submission.reply.resolve(Ok(Durable::after_sync()));
        assert_eq!(budget.used(), 0);
    }
}
