//! The life of the growing chunk: begun with the first group that needs one, touched while idle, sealed when due.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::Appender;
use super::open::Open;
use crate::api::State;
use crate::archive::layout;
use crate::archive::name::ChunkName;
use crate::archive::writer::{CreateError, SealError, Unsealed};
use crate::archive::{ChunkWriter, WriterOptions};
use crate::collector::place::Place;
use crate::collector::queue::NotStored;
use crate::collector::roll::{self, Cause, ChunkLimits};
use crate::collector::share::Share;
use crate::settings::LiveSettings;
use crate::telemetry::chain;
use crate::telemetry::metrics::CauseLabel;

/// How long a new chunk waits for room at the most: a keeper that is busy recovering must not stop the data path.
const ROOM_LIMIT: Duration = Duration::from_millis(250);

/// How long a chunk grows on that could not be sealed for want of room.
pub(super) const SEAL_AGAIN: Duration = Duration::from_secs(1);

/// How soon changed limits, and storage that is well again, are noticed without traffic.
const TEND_INTERVAL: Duration = Duration::from_secs(1);

impl Appender {
    /// Returns the growing chunk, begun if there is none.
    pub(super) fn take_open(&mut self) -> Result<Open, NotStored> {
        if let Some(open) = self.open.take() {
            return Ok(open);
        }
        // The clients are told to come back; waiting here would hold up the end of the process.
        if self.place.clock.monotonic() < self.held_until {
            return Err(NotStored::StorageFailed);
        }
        // Chunks must not come faster than the oldest ones go.
        if !self.keeper.wait_for(self.room, ROOM_LIMIT) {
            debug!("the keeper is late, going on without");
        }
        let live = self.settings.load();
        let compression = live.compression();
        let options = WriterOptions { compression, durability: live.durability(), ..WriterOptions::default() };
        let name = self.next_name();
        let Place { fs, data_dir, clock, committed, .. } = &self.place;
        let created =
            ChunkWriter::create(Arc::clone(fs), &layout::chunks_dir(data_dir), name, options, committed.clone());
        match created {
            Ok(writer) => {
                debug!(chunk = %writer.name(), "began chunk");
                let now = clock.monotonic();
                // The next chunk's room is reckoned from this moment.
                self.room = self.keeper.wake();
                Ok(Open { writer, begun: now, touched: now, seal_from: now, compression })
            }
            Err(error) => {
                self.metrics.commit_failures.get_or_create(&CauseLabel { cause: error.reason() }).inc();
                Err(self.create_failed(&error))
            }
        }
    }

    fn create_failed(&self, error: &CreateError) -> NotStored {
        let (CreateError::Compressor(source) | CreateError::Create { source, .. }) = error;
        self.volume.not_stored(source, &chain(error))
    }

    /// Names the next chunk, never earlier than the one before: retention goes by this time,
    /// and a clock that was set back must not make the newest chunk the oldest.
    fn next_name(&mut self) -> ChunkName {
        self.last_started = self.place.clock.now().max(self.last_started);
        self.sequence = self.sequence.saturating_add(1);
        ChunkName::new(self.last_started, self.place.writer.clone(), self.place.incarnation, self.sequence)
    }

    /// Seals the chunk if it is due, and shows that its writer lives.
    pub(super) fn tend(&mut self) {
        let Some(open) = &mut self.open else { return };
        let now = self.place.clock.monotonic();
        let live = self.settings.load();
        let limits = limits(&live, &self.share);
        let cause = roll::due(open.growing(), limits, now)
            .or_else(|| (open.compression != live.compression()).then_some(Cause::Settings))
            .or_else(|| (live.state == State::Stopped).then_some(Cause::Stopped));
        if let Some(cause) = cause.filter(|_| now >= open.seal_from) {
            self.seal(cause);
        } else if now.saturating_sub(open.touched) >= live.recovery.touch_every {
            open.touched = now;
            if let Err(error) = open.writer.touch() {
                warn!(chunk = %open.writer.name(), %error, "cannot touch the growing chunk");
            }
        }
    }

    /// Returns how long the thread may sleep without being late for anything.
    pub(super) fn next_deadline(&self) -> Duration {
        let live = self.settings.load();
        let Some(open) = &self.open else { return TEND_INTERVAL };
        let now = self.place.clock.monotonic();
        let touch = open.touched.saturating_add(live.recovery.touch_every).saturating_sub(now);
        roll::due_in(open.growing(), limits(&live, &self.share), now).min(touch).min(TEND_INTERVAL)
    }

    /// Seals the growing chunk of a full volume, so that retention has something to delete.
    pub(super) fn seal_if_full(&mut self) {
        let Some(open) = &self.open else { return };
        let cause = roll::due_on_full_volume(open.growing());
        if let Some(cause) = cause.filter(|_| self.place.clock.monotonic() >= open.seal_from) {
            self.seal(cause);
        }
    }

    /// Returns when the growing chunk is sealed, by the settings and the volume as they are now.
    pub(super) fn chunk_limits(&self) -> ChunkLimits {
        limits(&self.settings.load(), &self.share)
    }

    /// Completes the chunk, if there is one; where there is no room for that it grows on, else a failure leaves it to recovery.
    pub(super) fn seal(&mut self, cause: Cause) {
        let Some(Open { writer, begun, touched, seal_from, compression }) = self.open.take() else { return };
        let name = writer.name().clone();
        self.volume.make_room_to_seal();
        match writer.seal(self.place.clock.now()) {
            Ok(Some(sealed)) => {
                self.metrics.sealed.get_or_create(&CauseLabel { cause: cause.as_str() }).inc();
                info!(chunk = %name, bytes = sealed.len, spans = sealed.manifest.items, cause = cause.as_str(), "sealed chunk");
            }
            Ok(None) => debug!(chunk = %name, "removed an empty chunk"),
            // Left to recovery it would need room for a copy, and outlive younger ones until then.
            Err(Unsealed { error, writer: Some(writer) }) => {
                if seal_from == begun {
                    warn!(chunk = %name, error = %chain(&error), "there is no room to seal the chunk");
                }
                let seal_from = self.place.clock.monotonic().saturating_add(SEAL_AGAIN);
                self.open = Some(Open { writer: *writer, begun, touched, seal_from, compression });
            }
            Err(Unsealed { error: SealError::Lost, .. }) => {
                warn!(chunk = %name, "the chunk was taken by recovery, which seals it");
            }
            Err(Unsealed { error, .. }) => {
                error!(chunk = %name, error = %chain(&error), "cannot seal the chunk; recovery will, nothing is lost");
            }
        }
        self.keeper.wake();
        self.volume.restore_reserve();
    }
}

fn limits(live: &LiveSettings, share: &Share) -> ChunkLimits {
    ChunkLimits { max_bytes: share.chunk_bytes(live.chunk.max_bytes.0), max_age: live.chunk.max_age }
}
