//! A collector's storage side for tests: appender and keeper on a volume that fails and forgets.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::FutureExt;
use prometheus_client::registry::Registry;

use super::admission::Budget;
use super::appender::Appender;
use super::describe::{LastStored, Sources};
use super::health::Health;
use super::keeper::Keeper;
use super::place::Place;
use super::queue::{NotStored, Submission};
use super::share::Share;
use super::wake::{Sleeper, Woken, wake};
use crate::api::ValidCapture;
use crate::archive::bundle::Pins;
use crate::archive::catalog::Inventory;
use crate::archive::committed::Committed;
use crate::archive::fs::SimFs;
use crate::archive::name::{ChunkName, ChunkState};
use crate::archive::sample::{recoverable, segment};
use crate::clock::{ManualClock, Timestamp};
use crate::ids::{CaptureId, Incarnation};
use crate::settings::{CollectorSettings, Duty, LiveSettings};
use crate::telemetry::metrics::{ReasonLabel, ReceiveMetrics, StorageMetrics};
use crate::units::ByteSize;

pub(super) const DATA: &str = "/data";
pub(super) const CHUNKS: &str = "/data/chunks";
const QUARANTINE: &str = "/data/quarantine";

/// When tests begin: 2026-11-21T10:30:00Z.
pub(super) const BEGIN: Timestamp = Timestamp::from_unix_nanos(1_795_257_000_000_000_000);

/// Bytes of each segment's line that do not compress.
pub(super) const NOISE: usize = 300;

/// One life of a collector without its network, and the volume it works on.
pub(super) struct World {
    pub(super) fs: SimFs,
    pub(super) clock: Arc<ManualClock>,
    pub(super) settings: Arc<ArcSwap<LiveSettings>>,
    pub(super) health: Health,
    pub(super) share: Share,
    pub(super) stored: StorageMetrics,
    sources: Sources,
    pub(super) pins: Pins,
    pub(super) place: Place,
    /// What the appender wakes in place of a keeper's thread.
    pub(super) sleeper: Sleeper,
    pub(super) appender: Appender,
    /// The markers of what was answered with success.
    pub(super) acknowledged: BTreeSet<u64>,
    next_marker: u64,
}

impl World {
    /// Makes an empty volume and the first life on it, with chunks that two groups of three fill.
    pub(super) fn new() -> Self {
        Self::on(SimFs::new(&[DATA, CHUNKS, QUARANTINE]), 1, small_chunks())
    }

    /// Begins a life on a volume that others may have used.
    pub(super) fn on(fs: SimFs, incarnation: u16, settings: LiveSettings) -> Self {
        let clock = Arc::new(ManualClock::new(BEGIN));
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let (health, stored) = (Health::new(), StorageMetrics::register(&mut Registry::default()));
        let share = Share::default();
        let place = Place {
            fs: Arc::new(fs.clone()),
            data_dir: DATA.into(),
            device: 1,
            writer: "local".parse().unwrap(),
            incarnation: Incarnation(incarnation),
            clock: clock.clone(),
            committed: Committed::new(),
        };
        let (waker, sleeper) = wake();
        let sources = Sources {
            writer: place.writer.clone(),
            last_stored: LastStored::default(),
            settings: Arc::clone(&settings),
            inventory: Arc::default(),
            health: health.clone(),
            share: share.clone(),
            received: ReceiveMetrics::default(),
            stored: stored.clone(),
        };
        let appender = Appender::new(place.clone(), None, &sources, waker);
        let pins = Pins::new(clock.clone());
        let (acknowledged, next_marker) = (BTreeSet::new(), 0);
        Self {
            fs,
            clock,
            settings,
            health,
            share,
            stored,
            sources,
            pins,
            place,
            sleeper,
            appender,
            acknowledged,
            next_marker,
        }
    }

    /// Returns for which reasons scrapers are told now that the storage keeps spans away.
    pub(super) fn faults(&self) -> Vec<&'static str> {
        self.sources.refresh();
        let holds = |reason: &&'static str| self.stored.faults.get_or_create(&ReasonLabel { reason }).get() == 1;
        ["VolumeFull", "StorageFailed"].into_iter().filter(holds).collect()
    }

    /// Makes the thread of a writer that is not the keeper.
    pub(super) fn not_keeper(&self) -> Keeper {
        Keeper::new(self.place.clone(), Duty::WriterOnly, &self.sources, self.pins.clone())
    }

    /// Makes the keeper of this life.
    pub(super) fn keeper(&self) -> (Keeper, Arc<ArcSwap<Inventory>>) {
        let keeper = Keeper::new(self.place.clone(), Duty::Keeper, &self.sources, self.pins.clone());
        (keeper, Arc::clone(&self.sources.inventory))
    }

    /// Changes the settings.
    pub(super) fn set(&self, change: impl FnOnce(&mut LiveSettings)) {
        let mut settings = LiveSettings::clone(&self.settings.load());
        change(&mut settings);
        self.settings.store(Arc::new(settings));
    }

    /// Gives the appender three requests in one group and returns what all of them were answered with.
    pub(super) fn group(&mut self) -> Result<(), NotStored> {
        let markers = self.next_marker..self.next_marker + 3;
        self.next_marker += 3;
        let request = |marker| Submission::new(vec![segment(marker, NOISE)], Budget::default().permit(u64::MAX));
        let (group, pending): (Vec<_>, Vec<_>) = markers.clone().map(request).unzip();
        // A keeper that is quick: no chunk waits for room.
        self.sleeper.answer(self.sleeper.begin());
        self.appender.turn(group);
        let answers: BTreeSet<_> = pending
            .into_iter()
            .map(|pending| pending.wait().now_or_never().expect("an answer in the same turn"))
            .map(|answer| answer.map(drop).map_err(NotStored::reason))
            .collect();
        assert_eq!(answers.len(), 1, "a group has one fate");
        match answers.into_iter().next().unwrap() {
            Ok(()) => {
                self.acknowledged.extend(markers);
                Ok(())
            }
            Err("VolumeFull") => Err(NotStored::VolumeFull),
            Err(reason) => {
                assert_eq!(reason, "StorageFailed");
                Err(NotStored::StorageFailed)
            }
        }
    }

    /// Goes on counting where an earlier life ended.
    pub(super) fn skip_markers(&mut self, earlier: &Self) {
        self.next_marker = earlier.next_marker;
    }

    /// Lets time pass, then the appender do what is due.
    pub(super) fn idle(&mut self, time: Duration) {
        self.clock.advance(time);
        self.appender.turn(Vec::new());
    }

    /// Tells whether the keeper was called since it was last asked.
    pub(super) fn keeper_was_called(&self) -> bool {
        self.sleeper.sleep(Duration::ZERO) == Woken::Called
    }

    /// Lists the chunks, oldest first.
    pub(super) fn chunks(&self) -> Vec<(ChunkName, ChunkState)> {
        chunks(&self.fs)
    }

    /// Returns how many bytes all files have.
    pub(super) fn used(&self) -> u64 {
        self.fs.paths().iter().map(|path| self.fs.content(path).unwrap().len() as u64).sum()
    }

    /// Asserts that everything acknowledged can be read from a chunk's file.
    #[track_caller]
    pub(super) fn check_acknowledged(&self, context: impl std::fmt::Debug) {
        check_all_found(&self.fs, &self.acknowledged, context);
    }
}

/// Settings with chunks that two groups of three fill, and much retention.
pub(super) fn small_chunks() -> LiveSettings {
    let id = CaptureId::new("default", "local").unwrap();
    let mut live = CollectorSettings::of(&ValidCapture::with_defaults(&id).unwrap(), BEGIN).live;
    live.chunk.max_bytes = ByteSize(1_700);
    live
}

pub(super) fn chunks(fs: &SimFs) -> Vec<(ChunkName, ChunkState)> {
    let paths = fs.paths();
    let names = paths.iter().filter(|path| path.parent() == Some(Path::new(CHUNKS)));
    let parsed = names.filter_map(|path| ChunkName::parse_file_name(path.file_name()?.to_str()?).ok());
    let mut chunks: Vec<_> = parsed.collect();
    chunks.sort();
    chunks
}

/// Returns the markers that frames of a chunk in whatever state vouch for.
pub(super) fn markers_of(fs: &SimFs, (name, state): &(ChunkName, ChunkState)) -> Vec<u64> {
    recoverable(fs, &Path::new(CHUNKS).join(name.file_name(*state)))
}

#[track_caller]
pub(super) fn check_all_found(fs: &SimFs, acknowledged: &BTreeSet<u64>, context: impl std::fmt::Debug) {
    let found: BTreeSet<u64> = chunks(fs).iter().flat_map(|chunk| markers_of(fs, chunk)).collect();
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "{context:?}: lost {lost:?}");
}
