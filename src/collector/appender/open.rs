//! The growing chunk, as its appender holds it.

use std::time::Duration;

use tracing::debug;

use crate::archive::ChunkWriter;
use crate::archive::frame::Compression;
use crate::collector::roll::Growing;
use crate::telemetry::chain;

/// The growing chunk.
pub(super) struct Open {
    pub(super) writer: ChunkWriter,
    pub(super) begun: Duration,
    pub(super) touched: Duration,
    /// Before this instant of the monotonic clock no seal is tried.
    pub(super) seal_from: Duration,
    pub(super) compression: Compression,
}

impl Open {
    /// Returns what decides when it is sealed.
    pub(super) fn growing(&self) -> Growing {
        Growing { len: self.writer.sealed_len(), begun: self.begun }
    }

    /// Lets go of a chunk whose file failed, so that one that holds nothing does not lie there until recovery comes.
    pub(super) fn abandon(self) {
        let name = self.writer.name().clone();
        if let Err(error) = self.writer.abandon() {
            debug!(chunk = %name, error = %chain(&error), "cannot remove a chunk that failed; recovery will");
        }
    }
}
