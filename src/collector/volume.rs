//! How the volume is that the appender writes to: well, full or failed; and the reserve on it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::appender::Place;
use super::health::{Health, StorageHealth};
use super::queue::NotStored;
use crate::archive::fs;
use crate::archive::layout;
use crate::archive::reserve::{self, Reserve};
use crate::telemetry::chain;

/// How often storage that failed is tried.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// The appender's view of its volume; says what changed once.
pub(super) struct Volume {
    place: Place,
    health: Health,
    reserve: Option<Reserve>,
    probed: Duration,
}

impl Volume {
    /// Takes over the reserve of an earlier life.
    pub(super) fn new(place: Place, health: Health) -> Self {
        let reserve = open_reserve(&place);
        Self { place, health, reserve, probed: Duration::ZERO }
    }

    /// Tries whether storage that failed is well again, and says whether that has just become so.
    ///
    /// Clients may be kept away for as long as it is not ready, so none of theirs would find out; and
    /// where the directories are gone, none of theirs could succeed.
    pub(super) fn probe(&mut self) -> bool {
        let was_full = match self.health.storage() {
            StorageHealth::Ok => return false,
            StorageHealth::Full { .. } => true,
            StorageHealth::Failed { .. } => false,
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
        // The one there was may be gone with the rest of the directory.
        self.reserve = open_reserve(&self.place);
        self.restore_reserve();
        true
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

    /// On a volume without room for the end of a chunk, gives back what was set aside for it.
    pub(super) fn make_room_to_seal(&mut self) {
        if self.free_bytes() < reserve::RESERVE_BYTES as u64
            && let Some(reserve) = &mut self.reserve
            && let Err(error) = reserve.release()
        {
            warn!(%error, "cannot release the reserve");
        }
    }

    /// Sets room aside for the next seal, where there is enough for chunks besides.
    pub(super) fn restore_reserve(&mut self) {
        if self.has_room()
            && let Some(reserve) = &mut self.reserve
            && let Err(error) = reserve.restore()
        {
            debug!(%error, "cannot set the reserve aside, trying again after the next chunk");
        }
    }

    /// Tells whether the volume has room for the reserve and for chunks besides.
    fn has_room(&self) -> bool {
        self.free_bytes() > reserve::RESERVE_BYTES as u64 * 2
    }

    fn free_bytes(&self) -> u64 {
        self.place.fs.free_bytes(&self.place.data_dir).unwrap_or(0)
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
