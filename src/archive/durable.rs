//! The receipt of a commit.

/// Proves that what it stands for is on the disk: the only thing that may resolve a client's reply.
///
/// Only a chunk writer makes one, after its sync and after it saw that its path still is its file.
#[derive(Debug, Clone)]
#[must_use = "a receipt that is dropped leaves a client waiting"]
pub struct Durable(());

impl Durable {
    /// Makes a receipt; the caller has just synced.
    pub(crate) fn after_sync() -> Self {
        Self(())
    }
}
