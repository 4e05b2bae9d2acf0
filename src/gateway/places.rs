//! Places of streams of one kind: who has how many of them, and when they are free again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::link::LinkId;

/// On whose account a stream runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// A link: whoever has it.
    Link(LinkId),
    /// A user by name, whatever tokens they show.
    User(String),
}

/// How many streams of each holder run; who has none is not in it.
type Running = Mutex<HashMap<Holder, usize>>;

/// Places of one kind.
pub(super) struct Places {
    all: Arc<Semaphore>,
    running: Arc<Running>,
}

/// The place of one stream; dropped, another may begin.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    holder: Holder,
    running: Arc<Running>,
}

/// Why there is no place.
pub(super) enum Taken {
    /// As many run as may.
    All,
    /// As many of this holder run as may of one: so many.
    Own(usize),
}

impl Places {
    /// Makes `n` places, all of them free.
    pub(super) fn new(n: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(n)), running: Arc::default() }
    }

    /// Takes a place, of which the holder may have so many.
    pub(super) fn take(&self, holder: Holder, at_most: usize) -> Result<Place, Taken> {
        let permit = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Taken::All)?;
        let mut running = lock(&self.running);
        let n = running.get(&holder).copied().unwrap_or_default();
        if n >= at_most {
            return Err(Taken::Own(n));
        }
        running.insert(holder.clone(), n + 1);
        Ok(Place { _permit: permit, holder, running: Arc::clone(&self.running) })
    }

    /// Returns the links that have places.
    pub(super) fn links(&self) -> Vec<LinkId> {
        let running = lock(&self.running);
        let links = running.keys().filter_map(|holder| match holder {
            Holder::Link(id) => Some(*id),
            Holder::User(_) => None,
        });
        links.collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = lock(&self.running);
        if let Some(n) = running.get_mut(&self.holder) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                running.remove(&self.holder);
            }
        }
    }
}

fn lock(running: &Running) -> MutexGuard<'_, HashMap<Holder, usize>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}
