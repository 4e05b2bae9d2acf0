//! When a watch begins again that failed.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::runtime::utils::{Backoff, ResetTimerBackoff, StreamBackoff};
use kube::runtime::watcher::{self, Event};

use super::answer;

/// The wait after the first failure, as client-go's reflectors have it.
const FIRST: Duration = Duration::from_millis(800);

/// The longest wait: so late after an outage changes are seen at the most.
///
/// Reflectors wait for up to a minute, because every node of a cluster has several of them. An installation has about
/// ten watches for each of its few processes, however many captures there are.
const LONGEST: Duration = Duration::from_secs(10);

/// The longest wait where something may not be watched: a right is rarely given soon, and each try is logged.
const LONGEST_FORBIDDEN: Duration = Duration::from_secs(30);

/// A watch that failed so long after the time before was well in between, also where it brought nothing.
const WELL_AFTER: Duration = Duration::from_mins(2);

/// After so many doublings the longest wait is reached.
const MAX_DOUBLINGS: u32 = 7;

/// Lets a watch wait after each failure: about twice as long as the time before, up to ten seconds.
///
/// # Cancel safety
/// Safe: a stream that is polled again later goes on.
pub fn begin_again<T: 'static>(
    events: impl Stream<Item = watcher::Result<Event<T>>> + Send + 'static,
) -> impl Stream<Item = watcher::Result<Event<T>>> + Send + 'static {
    let waits = Waits::default();
    let seen = Arc::clone(&waits.seen);
    StreamBackoff::new(events.inspect(move |event| seen.note(event)), ResetTimerBackoff::new(waits, WELL_AFTER))
}

/// What a watch brought last.
#[derive(Debug, Default)]
struct Seen {
    /// Whether the last failure was for want of a right.
    is_forbidden: AtomicBool,
    /// Whether something came since it began: that it begins is told before anything was asked of the server.
    has_told: AtomicBool,
}

impl Seen {
    fn note<T>(&self, event: &watcher::Result<Event<T>>) {
        match event {
            Ok(event) => self.has_told.store(!matches!(event, Event::Init), Ordering::Relaxed),
            Err(error) => self.is_forbidden.store(answer::is_forbidden(error), Ordering::Relaxed),
        }
    }
}

/// The waits of one watch, between half and all of what doubles: watches that failed together come back apart.
#[derive(Debug, Default)]
struct Waits {
    failures: u32,
    seen: Arc<Seen>,
    random: RandomState,
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let longest = if self.seen.is_forbidden.load(Ordering::Relaxed) { LONGEST_FORBIDDEN } else { LONGEST };
        let whole = FIRST.saturating_mul(1 << self.failures.min(MAX_DOUBLINGS)).min(longest);
        self.failures = self.failures.saturating_add(1);
        let thousandths = u32::try_from(self.random.hash_one(self.failures) % 501).unwrap_or_default();
        Some(whole / 1000 * (500 + thousandths))
    }
}

impl Backoff for Waits {
    /// Called with every event.
    fn reset(&mut self) {
        if self.seen.has_told.load(Ordering::Relaxed) {
            self.failures = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[track_caller]
    fn check(reason: &str, longest: Duration) {
        let mut waits = Waits::default();
        let status = Status::failure("as the test wants it", reason);
        for _ in 0..2 {
            for doublings in 0..20 {
                // Each try begins with this, and fails.
                waits.seen.note(&Ok(Event::<()>::Init));
                waits.reset();
                waits.seen.note::<()>(&Err(watcher::Error::WatchError(Box::new(status.clone()))));
                let (wait, whole) = (waits.next().unwrap(), (FIRST * (1 << doublings)).min(longest));
                assert!(wait >= whole / 2 && wait <= whole, "{wait:?} {whole:?}");
            }
            waits.seen.note(&Ok(Event::<()>::InitDone));
            waits.reset();
        }
    }

    #[test]
    fn waits_double_up_to_a_few_seconds_or_longer_where_a_right_is_missing() {
        check("ServiceUnavailable", Duration::from_secs(10));
        check("Forbidden", Duration::from_secs(30));
    }
}
