//! Admission by bytes in flight.
//!
//! Memory is bounded whatever clients do, because every byte is counted *before* it is kept: the
//! body as it arrives, what it inflates to, the lines made from it. Nothing ever waits for the
//! budget, so requests cannot block one another; one that does not fit is told to come back.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::gauge::Gauge;
use thiserror::Error;

/// Above this a request is large, in bytes.
const LARGE_BYTES: u64 = 256 << 10;

/// Large requests leave this part of the budget to small ones.
const SMALL_PART: u64 = 16;

/// The budget has no room; retrying helps once other requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too many bytes of requests in flight")]
pub struct Overloaded;

/// How many bytes are in flight; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    used: Gauge<u64, AtomicU64>,
}

impl Budget {
    /// Makes a budget that counts in `used`, so that a metric shows it.
    pub fn new(used: Gauge<u64, AtomicU64>) -> Self {
        Self { used }
    }

    /// Starts a request that holds nothing yet and sees a budget of `limit` bytes.
    pub fn permit(&self, limit: u64) -> Permit {
        Permit { budget: self.clone(), limit, bytes: 0 }
    }

    /// Returns the bytes in flight.
    pub fn used(&self) -> u64 {
        self.used.get()
    }
}

/// The bytes one request holds; dropping it gives them back.
#[derive(Debug)]
#[must_use = "a permit that is dropped gives its bytes back"]
pub struct Permit {
    budget: Budget,
    limit: u64,
    bytes: u64,
}

impl Permit {
    /// Takes `more` bytes.
    ///
    /// # Errors
    /// [`Overloaded`] where they do not fit; the permit is then as it was. Retrying helps.
    pub fn grow(&mut self, more: usize) -> Result<(), Overloaded> {
        let more = to_u64(more);
        let limit = self.limit_with(more);
        let add = |used: u64| used.checked_add(more).filter(|&sum| sum <= limit);
        // Only the sum matters, no other memory is published with it.
        self.budget.used.inner().fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).map_err(|_| Overloaded)?;
        self.bytes += more;
        Ok(())
    }

    /// Tells whether `more` bytes would fit now, without taking them.
    pub fn has_room_for(&self, more: u64) -> bool {
        self.budget.used().saturating_add(more) <= self.limit_with(more)
    }

    /// Tells whether this request alone, with `more` bytes, would be beyond the budget: then retrying never helps.
    pub fn outgrows(&self, more: usize) -> bool {
        self.bytes.saturating_add(to_u64(more)) > self.limit_with(to_u64(more))
    }

    /// Sets what the request holds, to either side: for memory that is already there or gone.
    pub fn settle(&mut self, bytes: usize) {
        let bytes = to_u64(bytes);
        let used = self.budget.used.inner();
        if bytes >= self.bytes {
            used.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }

    /// Returns the limit for a request that grows by `more`: lower for large ones, so that small ones get through.
    fn limit_with(&self, more: u64) -> u64 {
        if self.bytes.saturating_add(more) > LARGE_BYTES { self.limit - self.limit / SMALL_PART } else { self.limit }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.settle(0);
    }
}

/// Widens a length, which never loses anything on the platforms there are.
fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_comes_back_when_the_permit_goes() {
        let budget = Budget::default();
        let mut one = budget.permit(100);
        one.grow(60).unwrap();
        let mut other = budget.permit(100);
        assert_eq!(other.grow(41), Err(Overloaded));
        other.grow(40).unwrap();
        drop(one);
        assert_eq!(budget.used(), 40);
        drop(other);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn settling_follows_the_memory_also_over_the_limit() {
        let budget = Budget::default();
        let mut permit = budget.permit(100);
        permit.settle(150);
        assert_eq!((budget.used(), permit.has_room_for(1)), (150, false));
        permit.settle(10);
        assert_eq!((budget.used(), permit.has_room_for(90)), (10, true));
    }

    #[test]
    fn a_request_that_is_too_large_alone_is_told_apart_from_one_that_comes_at_a_bad_time() {
        let budget = Budget::default();
        let (mut one, mut other) = (budget.permit(100), budget.permit(100));
        one.grow(60).unwrap();
        assert_eq!((other.grow(50), other.outgrows(50)), (Err(Overloaded), false));
        assert_eq!((one.grow(41), one.outgrows(41)), (Err(Overloaded), true));
    }

    #[test]
    fn large_requests_leave_room_for_small_ones() {
        let budget = Budget::default();
        let mut large = budget.permit(16 << 20);
        assert_eq!(large.grow(16 << 20), Err(Overloaded));
        large.grow(15 << 20).unwrap();
        assert_eq!(budget.permit(16 << 20).grow(300 << 10), Err(Overloaded));
        assert_eq!(budget.permit(16 << 20).grow(200 << 10), Ok(()));
    }
}
