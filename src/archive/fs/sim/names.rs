//! Changes of names, until the directory was synced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A change of names that no sync has made durable yet.
#[derive(Clone)]
pub(super) enum Change {
    Create(PathBuf, u64),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, u64),
}

impl Change {
    pub(super) fn touches(&self, path: &Path) -> bool {
        match self {
            Self::Create(at, _) | Self::Remove(at) => at == path,
            Self::Rename(from, to, _) => from == path || to == path,
        }
    }

    pub(super) fn depends_on(&self, earlier: &Self) -> bool {
        match self {
            Self::Create(at, _) | Self::Remove(at) => earlier.touches(at),
            Self::Rename(from, to, _) => earlier.touches(from) || earlier.touches(to),
        }
    }

    /// The directory whose sync makes the change durable.
    pub(super) fn directory(&self) -> Option<&Path> {
        match self {
            Self::Create(at, _) | Self::Remove(at) => at.parent(),
            Self::Rename(_, to, _) => to.parent(),
        }
    }

    pub(super) fn apply(self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Create(at, inode) => {
                names.insert(at, inode);
            }
            Self::Remove(at) => {
                names.remove(&at);
            }
            Self::Rename(from, to, inode) => {
                names.remove(&from);
                names.insert(to, inode);
            }
        }
    }
}
