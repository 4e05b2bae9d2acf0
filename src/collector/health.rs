//! Whether a span sent now would land on the disk, as the appender and the keeper last saw it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use crate::api::report::StorageHealth;

/// The storage's health, from the appender and the keeper to whoever asks.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<Seen>>);

/// What each of the two saw last.
#[derive(Debug, Default)]
struct Seen {
    /// How writing went.
    written: StorageHealth,
    /// Why the data directory cannot be read: then nothing is deleted, and the volume will be full one day.
    directory: Option<String>,
}

impl Health {
    /// Makes a health that is well.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the current state: failed where the directory cannot be read, else how writing went.
    pub fn storage(&self) -> StorageHealth {
        let seen = self.lock();
        seen.directory.clone().map_or_else(|| seen.written.clone(), |message| StorageHealth::Failed { message })
    }

    /// Returns how writing went, whether or not the directory can be read.
    pub fn written(&self) -> StorageHealth {
        self.lock().written.clone()
    }

    /// Replaces how writing went and tells whether its kind changed, so that a change is logged once.
    pub fn set(&self, storage: StorageHealth) -> bool {
        let written = &mut self.lock().written;
        let changed = std::mem::discriminant(written) != std::mem::discriminant(&storage);
        *written = storage;
        changed
    }

    /// Notes that the data directory cannot be read, until it is; tells whether that is news.
    pub fn directory_failed(&self, message: String) -> bool {
        self.lock().directory.replace(message).is_none()
    }

    /// Notes that the data directory was read; tells whether that is news.
    pub fn directory_read(&self) -> bool {
        self.lock().directory.take().is_some()
    }

    /// Tells whether a span sent now would be stored, as far as is known.
    pub fn is_ok(&self) -> bool {
        self.storage() == StorageHealth::Ok
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_kind_is_told_once() {
        let health = Health::new();
        let full = |message: &str| StorageHealth::Full { message: message.to_owned() };
        assert!(health.is_ok());
        assert!(health.set(full("a")));
        assert!(!health.set(full("b")));
        assert_eq!(health.storage(), full("b"));
        assert!(health.set(StorageHealth::Ok));
    }

    #[test]
    fn writing_well_does_not_hide_a_directory_that_cannot_be_read() {
        let health = Health::new();
        let failed = |message: &str| StorageHealth::Failed { message: message.to_owned() };
        assert!(health.directory_failed("a".to_owned()) && !health.directory_failed("b".to_owned()));
        assert!(!health.set(StorageHealth::Ok));
        assert_eq!((health.storage(), health.written(), health.is_ok()), (failed("b"), StorageHealth::Ok, false));
        assert!(health.directory_read() && !health.directory_read());
        assert!(health.is_ok());
    }
}
