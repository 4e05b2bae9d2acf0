//! How the volume is that the appender writes to: well, full or failed; the reserve on it, and the writer's lock.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::health::{Health, StorageHealth};
use super::place::Place;
use super::queue::NotStored;
use super::share::Share;
use crate::archive::fs::{self, Lock};
use crate::archive::layout;
use crate::archive::reserve::Reserve;
use crate::telemetry::chain;

/// How often storage that failed is tried, and a reserve that could not be set aside.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// The appender's view of its volume; says what changed once.
pub(super) struct Volume {
    place: Place,
    /// None where the filesystem knows no locks.
    lock: Option<Lock>,
    health: Health,
    share: Share,
    reserve: Option<Reserve>,
    probed: Duration,
    tended: Duration,
}

impl Volume {
    /// Takes over the reserve of an earlier life, and holds the lock for as long as something is written.
    pub(super) fn new(place: Place, lock: Option<Lock>, health: Health, share: Share) -> Self {
        let reserve = open_reserve(&place);
        Self { place, lock, health, share, reserve, probed: Duration::ZERO, tended: Duration::ZERO }
    }

    /// Tries whether storage that failed is well again, and says whether that has just become so.
    ///
    /// Clients may be kept away for as long as it is not ready, so none of theirs would find out; and
    /// where the directories are gone, none of theirs could succeed.
    pub(super) fn probe(&mut self) -> bool {
        let was_full = match self.health.written() {
            // Where the keeper cannot read the directory it may be gone.
            StorageHealth::Ok if self.health.is_ok() => return false,
            StorageHealth::Full { .. } => true,
            StorageHealth::Ok | StorageHealth::Failed { .. } => false,
        };
        let now = self.place.clock.monotonic();
        if now.saturating_sub(self.probed) < PROBE_INTERVAL {
            return false;
        }
        self.probed = now;
        let Place { fs, data_dir, writer, device, .. } = &self.place;
        match layout::restore(&**fs, data_dir, writer, *device) {
            // A probe is small: on a full volume it proves nothing about the next group.
            Ok(()) if was_full && !self.has_room() => return false,
            Ok(()) => {}
            Err(error) if fs::is_full(&error.source) => {
                self.full(&chain(&error));
                return false;
            }
            Err(error) => {
                self.failed(&chain(&error));
                return false;
            }
        }
        self.well();
        // Both may be gone with the rest of the directory.
        self.take_lock_again();
        self.reserve = open_reserve(&self.place);
        self.restore_reserve();
        true
    }

    /// Takes the lock again where its file is gone: nobody else would find it held.
    fn take_lock_again(&mut self) {
        let Some(lock) = &self.lock else { return };
        if lock.is_in_place() {
            return;
        }
        match Lock::acquire(&layout::lock_path(&self.place.data_dir, &self.place.writer)) {
            Ok(lock) => self.lock = Some(lock),
            // Two writers of one name would still not share a chunk.
            Err(error) => warn!(error = chain(&error), "cannot take the writer's lock again, going on without"),
        }
    }

    /// Notes that spans are stored.
    pub(super) fn well(&self) {
        if self.health.set(StorageHealth::Ok) {
            info!("the storage is well again");
        }
    }

    /// Notes that the volume is full.
    pub(super) fn full(&self, message: &str) {
        if self.health.set(StorageHealth::Full { message: message.to_owned() }) {
            warn!(error = message, "the volume is full: clients are told to come back");
        }
    }

    /// Notes that spans cannot be stored.
    pub(super) fn failed(&self, message: &str) {
        if self.health.set(StorageHealth::Failed { message: message.to_owned() }) {
            error!(error = message, "cannot store spans: clients are told to come back");
        }
    }

    /// Notes what an error says of the volume, and returns what clients are told.
    pub(super) fn not_stored(&self, source: &io::Error, message: &str) -> NotStored {
        if fs::is_full(source) {
            self.full(message);
            NotStored::VolumeFull
        } else {
            self.failed(message);
            NotStored::StorageFailed
        }
    }

    /// Tells whether room is set aside for a seal.
    fn holds_reserve(&self) -> bool {
        self.reserve.as_ref().is_some_and(|reserve| reserve.held() > 0)
    }

    /// On a volume without room for the end of a chunk, gives back what was set aside for it.
    pub(super) fn make_room_to_seal(&mut self) {
        // A quota may be used up where the volume has room.
        let is_full = matches!(self.health.written(), StorageHealth::Full { .. });
        if (is_full || self.free_bytes() < self.share.reserve_bytes())
            && let Some(reserve) = &mut self.reserve
            && let Err(error) = reserve.release()
        {
            warn!(%error, "cannot release the reserve");
        }
    }

    /// Sets room aside where that was not possible before: without, a chunk cannot be sealed once the volume is full.
    pub(super) fn tend(&mut self) {
        let now = self.place.clock.monotonic();
        if self.holds_reserve() || now.saturating_sub(self.tended) < PROBE_INTERVAL {
            return;
        }
        self.tended = now;
        self.restore_reserve();
    }

    /// Sets room aside for the next seal, where there is enough for chunks besides.
    pub(super) fn restore_reserve(&mut self) {
        if self.has_room()
            && let Some(reserve) = &mut self.reserve
            && let Err(error) = reserve.restore(self.share.reserve_bytes())
        {
            debug!(%error, "cannot set the reserve aside, trying again after the next chunk");
        }
    }

    /// Tells whether the volume has room for the reserve and for chunks besides.
    fn has_room(&self) -> bool {
        self.free_bytes() > self.share.well_bytes()
    }

    fn free_bytes(&self) -> u64 {
        self.place.fs.space(&self.place.data_dir).map_or(0, |space| space.free)
    }
}

/// Takes over the reserve of an earlier life; without one, sealing on a full volume is left to recovery.
fn open_reserve(place: &Place) -> Option<Reserve> {
    match Reserve::open(Arc::clone(&place.fs), &place.data_dir, &place.writer) {
        Ok(reserve) => Some(reserve),
        Err(error) => {
            warn!(%error, "cannot look for the reserve");
            None
        }
    }
}
