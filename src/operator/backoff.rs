//! How long a capture whose visit failed waits for the next one.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// The wait after the first failure: long enough for a conflict to settle.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait: an API server that comes back is used again within minutes.
pub(super) const LONGEST: Duration = Duration::from_mins(5);

/// After so many doublings the longest wait is reached.
const MAX_DOUBLINGS: u32 = 9;

/// The failures in a row of each capture, by UID: an object made anew under an old name starts afresh.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: HashMap<String, u32>,
}

impl Backoff {
    /// Counts a failure; returns how long to wait.
    pub(super) fn failed(&mut self, uid: &str) -> Duration {
        let failures = self.failures.entry(uid.to_owned()).or_default();
        *failures = failures.saturating_add(1);
        delay(uid, *failures)
    }

    /// Forgets the failures of a capture: its visit succeeded, or it is gone.
    pub(super) fn forget(&mut self, uid: &str) {
        self.failures.remove(uid);
    }
}

/// Returns the wait after this many failures in a row: doubled each time, and between half and all of it.
///
/// The share is drawn from the UID, so that captures that failed together do not come back together.
pub(super) fn delay(uid: &str, failures: u32) -> Duration {
    let whole = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(MAX_DOUBLINGS)).min(LONGEST);
    let mut hasher = DefaultHasher::new();
    (uid, failures).hash(&mut hasher);
    let thousandths = u32::try_from(hasher.finish() % 501).unwrap_or_default();
    whole / 1000 * (500 + thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes() {
        let mut backoff = Backoff::default();
        for whole in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let (wait, whole) = (backoff.failed("u-1"), Duration::from_secs(whole));
            assert!(wait >= whole / 2 && wait <= whole, "{wait:?} {whole:?}");
        }
    }

    #[test]
    fn success_and_another_uid_start_afresh() {
        let mut backoff = Backoff::default();
        for _ in 0..8 {
            backoff.failed("u-1");
        }
        assert!(backoff.failed("u-2") <= FIRST);
        backoff.forget("u-1");
        assert!(backoff.failed("u-1") <= FIRST);
    }

    #[test]
    fn captures_that_fail_together_come_back_apart() {
        let waits: Vec<_> = (0..20).map(|n| delay(&format!("u-{n}"), 5)).collect();
        assert!(waits.iter().any(|wait| wait != &waits[0]));
    }
}
