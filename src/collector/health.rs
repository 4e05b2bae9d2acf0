//! Whether a span sent now would land on the disk, as the appender last saw it.

use std::sync::{Arc, Mutex, PoisonError};

pub use crate::api::report::StorageHealth;

/// The storage's health, from the appender to whoever asks.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<StorageHealth>>);

impl Health {
    /// Makes a health that is well.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the current state.
    pub fn storage(&self) -> StorageHealth {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the state and tells whether its kind changed, so that a change is logged once.
    pub fn set(&self, storage: StorageHealth) -> bool {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = std::mem::discriminant(&*current) != std::mem::discriminant(&storage);
        *current = storage;
        changed
    }

    /// Tells whether a span sent now would be stored, as far as is known.
    pub fn is_ok(&self) -> bool {
        self.storage() == StorageHealth::Ok
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
}
