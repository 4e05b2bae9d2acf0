//! How many streams run at a time: altogether, and of each link.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use crate::api::link::LinkId;

/// How many streams of each link run; links without any are not in it.
type Running = Mutex<HashMap<LinkId, usize>>;

/// The places of streams.
pub(super) struct Streams {
    all: Arc<Semaphore>,
    of_link: usize,
    links: Arc<Running>,
}

/// The place of one stream; dropped, another may begin.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    link: Option<(LinkId, Arc<Running>)>,
}

impl Streams {
    pub(super) fn new(all: usize, of_link: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), of_link, links: Arc::default() }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// A [`Problem`] where as many run as may.
    pub(super) fn take(&self, link: Option<LinkId>) -> Result<Place, Problem> {
        let permit = Arc::clone(&self.all).try_acquire_owned().map_err(|_| {
            Problem::unavailable("TooManyDownloads", "as many downloads run as are allowed at a time: try again later")
        })?;
        let Some(id) = link else { return Ok(Place { _permit: permit, link: None }) };
        let mut links = lock(&self.links);
        let running = links.entry(id).or_default();
        if *running >= self.of_link {
            let detail = format!("{} downloads of this link run already: wait for one of them", self.of_link);
            return Err(Problem::too_many("TooManyDownloadsOfLink", detail));
        }
        *running += 1;
        Ok(Place { _permit: permit, link: Some((id, Arc::clone(&self.links))) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((id, links)) = self.link.take() else { return };
        let mut links = lock(&links);
        if let Some(running) = links.get_mut(&id) {
            *running = running.saturating_sub(1);
            if *running == 0 {
                links.remove(&id);
            }
        }
    }
}

fn lock(links: &Running) -> MutexGuard<'_, HashMap<LinkId, usize>> {
    links.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_altogether_and_for_each_link() {
        let streams = Streams::new(3, 2);
        let (a, b) = (LinkId::draw().unwrap(), LinkId::draw().unwrap());
        let first = streams.take(Some(a)).ok();
        let second = streams.take(Some(a)).ok();
        assert_eq!(streams.take(Some(a)).err().map(|problem| problem.reason), Some("TooManyDownloadsOfLink"));
        let third = streams.take(Some(b)).ok();
        assert_eq!(streams.take(None).err().map(|problem| problem.reason), Some("TooManyDownloads"));
        drop((first, second, third));
        assert!(streams.take(Some(a)).is_ok() && lock(&streams.links).len() <= 1);
    }
}
