//! Keeps a data directory in order: retention, recovery, and what is known about it.
//!
//! It runs on a thread of its own beside the appender, touches sealed and orphaned chunks
//! alone, and shares nothing with the data path but the name of the growing chunk and how
//! long it may become on this volume. Each
//! sweep reads the directory anew, because other writers share it; two keepers at once
//! make the same plans and do no harm.
//!
//! Of the writers that share a directory one keeps it. The others only look, and recover what
//! earlier lives of their own left; where the volume is full they wait for the keeper to make room.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::{error, info, warn};

use super::describe::Sources;
use super::health::Health;
use super::place::Place;
use super::share::{Share, Usage, keep_ours};
use super::wake::{Sleeper, Woken};
use super::web::{ClearFailed, Cleared};
use crate::api::State;
use crate::archive::bundle::Pins;
use crate::archive::catalog::{Catalog, Inventory, Unreadable};
use crate::archive::name::{ChunkName, ChunkState};
use crate::archive::recovery::{self, OrphanWatch, Outcome, Recovered, RecoveryError, Site};
use crate::archive::retention::{self, Evicted, Known, Limits, Target, VolumeLimits};
use crate::clock::Timestamp;
use crate::settings::{Duty, LiveSettings};
use crate::telemetry::chain;
use crate::telemetry::metrics::{CauseLabel, StateLabel, StorageMetrics};

/// How long the keeper sleeps at the most: other writers' chunks are noticed within this time.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// How many sweeps fit into the time after which a chunk counts as an orphan.
const SWEEPS_WITHIN_INACTIVITY: u32 = 4;

/// Keeps one data directory.
pub(super) struct Keeper {
    place: Place,
    duty: Duty,
    settings: Arc<ArcSwap<LiveSettings>>,
    metrics: StorageMetrics,
    pins: Pins,
    inventory: Arc<ArcSwap<Inventory>>,
    health: Health,
    share: Share,
    catalog: Catalog,
    watch: OrphanWatch,
    told_foreign: HashSet<PathBuf>,
    told_unreadable: HashSet<PathBuf>,
    /// Chunks of a later format: reading them again would not help.
    newer: HashSet<ChunkName>,
    /// Chunks whose recovery failed the last time, and not for want of room.
    failed: HashSet<ChunkName>,
    /// Chunks whose recovery found no room the last time.
    waiting: HashSet<ChunkName>,
    told_small: bool,
}

impl Keeper {
    /// Makes a keeper that has seen nothing yet; it publishes what it finds to `sources`.
    pub(super) fn new(place: Place, duty: Duty, sources: &Sources, pins: Pins) -> Self {
        let Sources { settings, inventory, health, share, stored, .. } = sources.clone();
        let inactive = settings.load().recovery.inactive;
        let watch = OrphanWatch::new(place.writer.clone(), inactive);
        let catalog = Catalog::new(&place.data_dir);
        Self {
            place,
            duty,
            settings,
            metrics: stored,
            pins,
            inventory,
            health,
            share,
            catalog,
            watch,
            told_foreign: HashSet::new(),
            told_unreadable: HashSet::new(),
            newer: HashSet::new(),
            failed: HashSet::new(),
            waiting: HashSet::new(),
            told_small: false,
        }
    }

    /// Sweeps now and then until every waker is gone; blocks its thread.
    pub(super) fn run(mut self, sleeper: &Sleeper) {
        loop {
            let inactive = self.settings.load().recovery.inactive;
            if sleeper.sleep(SWEEP_INTERVAL.min(inactive / SWEEPS_WITHIN_INACTIVITY)) == Woken::Abandoned {
                return;
            }
            let round = sleeper.begin();
            // Recovery may take long, and nobody has to wait for it.
            self.sweep_then(|| sleeper.answer(round));
        }
    }

    /// Looks through the directory once: makes room, recovers what is due, publishes what is there.
    pub(super) fn sweep(&mut self) {
        self.sweep_then(|| ());
    }

    /// As [`Self::sweep`]; tells when there is as much room as can be had.
    fn sweep_then(&mut self, room_is_made: impl FnOnce()) {
        let inventory = self.read();
        // Retention goes first: on a full volume recovery has no room for its copies.
        if let Some(inventory) = &inventory {
            self.measure(inventory);
            if self.duty == Duty::Keeper {
                self.tell_foreign(inventory);
                self.tell_unreadable(inventory);
                self.retain(inventory);
            }
        }
        room_is_made();
        let Some(inventory) = inventory else { return };
        let recovered = self.recover(&inventory);
        let inventory = match recovered {
            0 => Some(inventory),
            // What was recovered counts with another length, and may be old enough to go.
            _ if self.duty == Duty::WriterOnly => self.read(),
            _ => self.read().inspect(|inventory| self.retain(inventory)),
        };
        let current = self.read().or(inventory).unwrap_or_default();
        self.publish(current);
    }

    fn read(&mut self) -> Option<Inventory> {
        match self.catalog.read(&*self.place.fs) {
            Ok(inventory) => {
                if self.health.directory_read() {
                    info!("the data directory can be read again");
                }
                Some(inventory)
            }
            Err(error) => {
                // So it is known before a span fails, and before the volume is full of what is not deleted.
                if self.health.directory_failed(chain(&error)) {
                    error!(error = chain(&error), "cannot read the data directory");
                }
                None
            }
        }
    }

    /// Names each file that is none of ours once; they are left alone.
    fn tell_foreign(&mut self, inventory: &Inventory) {
        for path in &inventory.foreign {
            if self.told_foreign.insert(path.clone()) {
                warn!(path = %path.display(), "a file that is not ours lies in the data directory and is left alone");
            }
        }
        // A file that went away and comes back is worth another line, and the set stays small.
        self.told_foreign.retain(|path| inventory.foreign.contains(path));
    }

    /// Names each file that cannot be looked up once; it goes by its name, in its turn.
    fn tell_unreadable(&mut self, inventory: &Inventory) {
        for Unreadable { path, why } in &inventory.unreadable {
            if self.told_unreadable.insert(path.clone()) {
                error!(path = %path.display(), error = why, "cannot look up a file of the data directory, going on without");
            }
        }
        self.told_unreadable.retain(|told| inventory.unreadable.iter().any(|file| file.path == *told));
    }

    /// Reckons how long chunks may become on this volume and within retention, and tells where that is less than what was asked for.
    fn measure(&mut self, inventory: &Inventory) {
        let Ok(space) = self.place.fs.space(&self.place.data_dir) else { return };
        self.metrics.free_bytes.set(space.free);
        let n_growing = inventory.growing().count() as u64;
        let live = self.settings.load();
        let (asked, limit) = (live.chunk.max_bytes.0, live.retention.max_bytes.0);
        self.share.publish(Usage { ours: inventory.total_bytes(), free: space.free, n_growing, limit });
        let chunk_bytes = self.share.chunk_bytes(asked);
        let is_small = chunk_bytes < asked;
        if is_small && !std::mem::replace(&mut self.told_small, is_small) {
            warn!(
                chunk_bytes,
                asked,
                writers = n_growing,
                limit_bytes = limit,
                total_bytes = space.total,
                "chunks are sealed earlier, so that several of them fit the volume and the limit of retention"
            );
        }
        self.told_small = is_small;
    }

    fn retain(&self, inventory: &Inventory) {
        let limits = self.limits();
        let unrecovered = self.newer.union(&self.failed).cloned().collect();
        let known = Known { pinned: self.pins.held(), unrecovered, waiting: self.waiting.iter().cloned().collect() };
        let plan = retention::plan(inventory, &known, &limits, self.place.clock.now());
        if plan.is_empty() {
            return;
        }
        let Evicted { done, failed } = retention::carry_out(&*self.place.fs, &self.place.data_dir, plan);
        for eviction in done {
            let label = CauseLabel { cause: eviction.cause.as_str() };
            self.metrics.evicted_bytes.get_or_create(&label).inc_by(eviction.len);
            let cause = eviction.cause.as_str();
            match eviction.target {
                Target::Chunk(chunk) => {
                    self.metrics.evicted.get_or_create(&label).inc();
                    info!(%chunk, bytes = eviction.len, cause, "evicted chunk");
                }
                Target::Claimed(chunk) => {
                    self.metrics.evicted.get_or_create(&label).inc();
                    warn!(%chunk, bytes = eviction.len, cause, "evicted a chunk that was not recovered");
                }
                Target::Quarantined(file) => info!(file, bytes = eviction.len, cause, "evicted quarantined bytes"),
            }
        }
        for (path, error) in failed {
            error!(path = %path.display(), %error, "cannot evict");
        }
    }

    fn limits(&self) -> Limits {
        let live = self.settings.load();
        let (asked, retention) = (live.chunk.max_bytes.0, live.retention);
        self.metrics.limit_bytes.set(retention.max_bytes.0);
        // A volume that is smaller than the limit is a limit, too.
        let volume = self.place.fs.space(&self.place.data_dir).ok().map(|space| VolumeLimits {
            free: space.free,
            keep_free: self.share.keep_free(asked),
            keep_ours: keep_ours(asked, space.total),
        });
        Limits {
            max_bytes: retention.max_bytes.0,
            max_age: retention.max_age,
            clear_before: retention.clear_before.filter(|_| live.state == State::Stopped),
            headroom: self.share.chunk_bytes(asked),
            volume,
        }
    }

    /// Recovers what is due and returns how many chunks that changed.
    fn recover(&mut self, inventory: &Inventory) -> usize {
        self.watch.set_inactive(self.settings.load().recovery.inactive);
        let live = self.place.committed.chunk();
        let mut due = self.watch.observe(inventory, live.as_ref(), self.place.clock.monotonic());
        if self.duty == Duty::WriterOnly {
            due.chunks.retain(|chunk| chunk.writer() == &self.place.writer);
            // A temporary file does not say whose it is.
            due.temporaries.clear();
        }
        if !due.temporaries.is_empty() {
            let removed = recovery::remove_temporaries(&*self.place.fs, &self.place.data_dir, &due.temporaries);
            if let Err(error) = removed {
                warn!(%error, "cannot remove what an interrupted recovery left");
            }
        }
        for unrecovered in [&mut self.newer, &mut self.failed, &mut self.waiting] {
            unrecovered.retain(|chunk| inventory.chunks.iter().any(|known| known.name == *chunk));
        }
        due.chunks.iter().filter(|chunk| !self.newer.contains(*chunk) && self.recover_one(chunk)).count()
    }

    fn recover_one(&mut self, chunk: &ChunkName) -> bool {
        let site =
            Site { fs: &*self.place.fs, data_dir: &self.place.data_dir, nonce: nonce(), now: self.place.clock.now() };
        match recovery::recover(site, chunk) {
            Ok(outcome) => {
                self.failed.remove(chunk);
                self.waiting.remove(chunk);
                self.catalog.forget(chunk);
                self.tell(chunk, outcome)
            }
            Err(error) => {
                self.put_off(chunk, &error);
                false
            }
        }
    }

    /// Logs what became of an orphan, and says whether the directory changed.
    fn tell(&mut self, chunk: &ChunkName, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Sealed(Recovered { len, frames, items, quarantined_bytes, damage, .. }) => {
                self.metrics.recovered.inc();
                info!(%chunk, bytes = len, frames, spans = items, quarantined_bytes, damaged = damage.len(), "recovered chunk");
                true
            }
            Outcome::Discarded(Recovered { quarantined_bytes, .. }) => {
                info!(%chunk, quarantined_bytes, "removed a chunk without a frame");
                true
            }
            Outcome::Redundant(_) => {
                info!(%chunk, "removed a second file of a sealed chunk");
                true
            }
            Outcome::Newer(_) => {
                warn!(%chunk, "the chunk is of a later format and left alone: use a newer tracecapture");
                self.newer.insert(chunk.clone());
                false
            }
            Outcome::Gone => false,
        }
    }

    fn put_off(&mut self, chunk: &ChunkName, error: &RecoveryError) {
        self.metrics.recovery_failures.inc();
        self.watch.defer(chunk, self.place.clock.monotonic());
        let (now, before) =
            if error.is_full() { (&mut self.waiting, &mut self.failed) } else { (&mut self.failed, &mut self.waiting) };
        before.remove(chunk);
        now.insert(chunk.clone());
        error!(%chunk, error = chain(error), reason = error.reason(), "cannot recover the chunk, trying again later");
    }

    /// Sets the gauges and hands the inventory to the web pages.
    fn publish(&self, inventory: Inventory) {
        for (state, word) in [
            (ChunkState::Sealed, "sealed"),
            (ChunkState::InProgress, "in_progress"),
            (ChunkState::Recovering, "recovering"),
        ] {
            let of_state = inventory.chunks.iter().filter(|chunk| chunk.state == state);
            let (count, bytes) = of_state.fold((0, 0), |(count, bytes), chunk| (count + 1, bytes + chunk.len));
            let label = StateLabel { state: word };
            self.metrics.chunks.get_or_create(&label).set(count);
            self.metrics.bytes.get_or_create(&label).set(bytes);
        }
        let quarantined = inventory.quarantine.iter().map(|file| file.len).sum();
        self.metrics.bytes.get_or_create(&StateLabel { state: "quarantined" }).set(quarantined);
        self.inventory.store(Arc::new(inventory));
    }
}

/// Draws a number that no other recovery uses at the same time.
fn nonce() -> u32 {
    let mut bytes = [0; 4];
    // Without random numbers an exclusive create still keeps two recoveries apart.
    let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes);
    u32::from_le_bytes(bytes)
}

/// Deletes every chunk without a writer that was begun before an instant, because a user said so.
///
/// # Errors
/// Where the directory could not be read, or a chunk not be deleted; what was deleted stays so.
pub(super) fn clear(place: &Place, before: Timestamp) -> Result<Cleared, ClearFailed> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| ClearFailed(error);
    let inventory = Catalog::new(&place.data_dir).read(&*place.fs).map_err(|error| failed(error.into()))?;
    let limits = Limits { max_bytes: u64::MAX, max_age: None, clear_before: Some(before), headroom: 0, volume: None };
    let plan = retention::plan(&inventory, &Known::default(), &limits, place.clock.now());
    let Evicted { done, failed: kept } = retention::carry_out(&*place.fs, &place.data_dir, plan);
    if let Some((_, error)) = kept.into_iter().next() {
        return Err(failed(error.into()));
    }
    let bytes = done.iter().map(|eviction| eviction.len).sum();
    let cleared = Cleared { chunks: done.len() as u64, bytes };
    info!(%before, chunks = cleared.chunks, bytes, "cleared");
    Ok(cleared)
}

#[cfg(test)]
mod tests;
