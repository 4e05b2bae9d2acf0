//! Where chunks go and who writes them.

use std::path::PathBuf;
use std::sync::Arc;

use crate::archive::committed::Committed;
use crate::archive::fs::Fs;
use crate::clock::Clock;
use crate::ids::{Incarnation, WriterId};

/// Where chunks go and who writes them.
#[derive(Clone)]
pub struct Place {
    /// The volume.
    pub fs: Arc<dyn Fs>,
    /// The data directory on it.
    pub data_dir: PathBuf,
    /// The device of that directory: one that takes its place on another is not ours.
    pub device: u64,
    /// Who writes.
    pub writer: WriterId,
    /// In which life.
    pub incarnation: Incarnation,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where readers in this process learn how far the growing chunk is committed.
    pub committed: Committed,
}
