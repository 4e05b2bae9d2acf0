//! The one thread that writes chunks: group commit, roll, seal.
//!
//! It takes everything that queued up while the last sync ran, appends it to the growing
//! chunk, commits once, and answers every request of the group with the receipt of that
//! commit. It begins a chunk with the first group that needs one, never an empty one.
//!
//! # Invariants
//! - A reply is resolved with success only with the `Durable` of the commit that holds its lines.
//! - A chunk whose file failed, or was taken by recovery, is let go of; the group goes to a new one.
//! - No error ends the thread: clients are told to come back, and the next group tries anew.

mod chunk;
mod open;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::{error, warn};

use self::open::Open;
use super::describe::{LastStored, Sources};
use super::place::Place;
use super::queue::{NotStored, QueueReceiver, Submission};
use super::roll::Cause;
use super::share::Share;
use super::volume::Volume;
use super::wake::{Call, Waker};
use crate::archive::Durable;
use crate::archive::fs::Lock;
use crate::archive::writer::CommitError;
use crate::clock::Timestamp;
use crate::ids::Signal;
use crate::otlp::Segment;
use crate::settings::LiveSettings;
use crate::telemetry::chain;
use crate::telemetry::metrics::{CauseLabel, ReceiveMetrics, StorageMetrics};

/// How many bytes of lines one group may hold: enough to keep a disk busy for longer than its
/// sync takes, and little enough that no request waits for more than some ten milliseconds of others.
const GROUP_BYTES: usize = 16 << 20;

/// How often a group is tried on a fresh chunk after its file failed or was taken away.
///
/// Once covers the bad file; a second failure means that the volume is at fault.
const ATTEMPTS: usize = 2;

/// How long no chunk is begun after all attempts of a group failed, unless the storage proves to be well earlier.
///
/// Each attempt may leave a file, and where syncs fail for an hour these would be many.
const HOLD_OFF: Duration = Duration::from_secs(1);

/// How many groups a chunk holds at the least, so that it ends near its size.
const GROUPS_PER_CHUNK: u64 = 4;

/// Writes what the queue brings; owns the growing chunk.
pub(super) struct Appender {
    place: Place,
    volume: Volume,
    share: Share,
    settings: Arc<ArcSwap<LiveSettings>>,
    metrics: StorageMetrics,
    received: ReceiveMetrics,
    last_stored: LastStored,
    keeper: Waker,
    open: Option<Open>,
    /// What asked the keeper to make room for the chunk after the last one begun.
    room: Call,
    sequence: u32,
    last_started: Timestamp,
    /// Before this instant of the monotonic clock no chunk is begun.
    held_until: Duration,
}

impl Appender {
    /// Makes an appender that has not begun a chunk; it counts in `sources`, and tells them how the storage is.
    ///
    /// It holds the writer's lock until it ends.
    pub(super) fn new(place: Place, lock: Option<Lock>, sources: &Sources, keeper: Waker) -> Self {
        let Sources { settings, health, share, received, last_stored, stored: metrics, .. } = sources.clone();
        Self {
            volume: Volume::new(place.clone(), lock, health, share.clone()),
            place,
            share,
            settings,
            metrics,
            received,
            last_stored,
            keeper,
            open: None,
            room: Call::default(),
            sequence: 0,
            last_started: Timestamp::default(),
            held_until: Duration::ZERO,
        }
    }

    /// Writes until the queue is closed and empty, then seals; blocks its thread.
    pub(super) fn run(mut self, queue: &QueueReceiver) {
        self.volume.restore_reserve();
        while let Some(group) = queue.recv_group(self.group_bytes(), self.next_deadline()) {
            self.turn(group);
        }
        self.seal(Cause::Shutdown);
    }

    /// Stores a group, which may be empty, then does what is due.
    pub(super) fn turn(&mut self, group: Vec<Submission>) {
        if !group.is_empty() {
            self.store(group);
        }
        if self.volume.probe() {
            self.held_until = Duration::ZERO;
            self.keeper.wake();
        }
        self.volume.tend();
        self.tend();
    }

    /// Returns how many bytes of lines the next group may have.
    fn group_bytes(&self) -> usize {
        let part = self.chunk_limits().max_bytes / GROUPS_PER_CHUNK;
        usize::try_from(part).unwrap_or(usize::MAX).min(GROUP_BYTES)
    }

    /// Commits a group and answers it.
    fn store(&mut self, group: Vec<Submission>) {
        let result = self.commit(&group);
        match &result {
            Ok(_) => {
                self.volume.well();
                self.last_stored.note(self.place.clock.now());
            }
            Err(NotStored::VolumeFull) => {
                self.seal_if_full();
                // The next chunk is begun once there is room for it.
                self.room = self.keeper.wake();
            }
            Err(_) => {}
        }
        for submission in group {
            let spans = submission.segments.iter().map(|segment| u64::from(segment.items)).sum();
            match &result {
                Ok(_) => {
                    self.received.stored_spans.inc_by(spans);
                }
                Err(not_stored) => self.received.reject(not_stored.reason(), spans),
            }
            submission.reply.resolve(result.clone());
        }
    }

    /// Makes a group durable, in a fresh chunk if the growing one fails.
    fn commit(&mut self, group: &[Submission]) -> Result<Durable, NotStored> {
        let segments: Vec<_> = group.iter().flat_map(|submission| &submission.segments).collect();
        let mut failure = NotStored::StorageFailed;
        for _ in 0..ATTEMPTS {
            let mut open = self.take_open()?;
            if let Err(error) = open.writer.append(Signal::Traces, &segments) {
                // Nothing of the group is staged, so the chunk goes on without it.
                error!(chunk = %open.writer.name(), error = %chain(&error), "cannot make frames");
                self.metrics.commit_failures.get_or_create(&CauseLabel { cause: error.reason() }).inc();
                self.open = Some(open);
                return Err(NotStored::StorageFailed);
            }
            let (before, started) = (open.writer.committed_len(), self.place.clock.monotonic());
            match open.writer.commit() {
                Ok(durable) => {
                    let took = self.place.clock.monotonic().saturating_sub(started);
                    self.count(&segments, open.writer.committed_len().saturating_sub(before), took);
                    open.touched = self.place.clock.monotonic();
                    self.open = Some(open);
                    return Ok(durable);
                }
                Err(error) => failure = self.commit_failed(open, &error),
            }
            if failure == NotStored::VolumeFull {
                return Err(failure);
            }
        }
        self.held_until = self.place.clock.monotonic().saturating_add(HOLD_OFF);
        Err(failure)
    }

    /// Decides what becomes of the chunk whose commit failed, and what the clients are told.
    fn commit_failed(&mut self, mut open: Open, error: &CommitError) -> NotStored {
        self.metrics.commit_failures.get_or_create(&CauseLabel { cause: error.reason() }).inc();
        let message = chain(error);
        match error {
            CommitError::Full { source } => {
                open.writer.discard_staged();
                self.open = Some(open);
                self.volume.not_stored(source, &message)
            }
            // A volume may be full in ways that spoil the file: then it is let go of, and the cause is the same.
            CommitError::Poisoned { source } => {
                let not_stored = self.volume.not_stored(source, &message);
                open.abandon();
                not_stored
            }
            CommitError::Lost => {
                warn!(chunk = %open.writer.name(), "the chunk was taken by recovery, going on in a new one");
                NotStored::StorageFailed
            }
        }
    }

    fn count(&self, segments: &[&Segment], chunk_bytes: u64, took: Duration) {
        let line_bytes = segments.iter().map(|segment| segment.lines.len() as u64).sum();
        self.metrics.commits.inc();
        self.metrics.line_bytes.inc_by(line_bytes);
        self.metrics.chunk_bytes.inc_by(chunk_bytes);
        self.metrics.commit_seconds.observe(took.as_secs_f64());
    }
}
