//! How many wrong tokens an address may show before further ones are refused unseen. Pure.
//!
//! Every address has a bucket: a token that is looked at takes from it, one that proves right gives back.
//! Who is beyond the number of buckets shares one, so memory is bounded whoever asks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Wrong tokens in a row: a script with an old token, a few people behind one address.
const BURST: f64 = 20.0;

/// Wrong tokens a second afterwards; each costs the API server two reviews.
const PER_SECOND: f64 = 2.0;

/// Buckets: those that are full again are forgotten.
const MAX_BUCKETS: usize = 4096;

/// The buckets of all addresses.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    buckets: HashMap<IpAddr, Bucket>,
    /// Of all addresses that have none of their own.
    shared: Bucket,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Duration,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { left: BURST, at: Duration::ZERO }
    }
}

impl Bucket {
    fn refill(&mut self, now: Duration) {
        self.left = (self.left + now.saturating_sub(self.at).as_secs_f64() * PER_SECOND).min(BURST);
        self.at = now;
    }
}

impl Throttle {
    /// Tells whether another unknown token of an address may be looked at, and takes it from its bucket.
    pub(super) fn take(&mut self, address: IpAddr, now: Duration) -> bool {
        let bucket = self.bucket(address, now);
        bucket.refill(now);
        let may = bucket.left >= 1.0;
        if may {
            bucket.left -= 1.0;
        }
        may
    }

    /// Gives back what a token took that proved right, or could not be looked at.
    pub(super) fn give_back(&mut self, address: IpAddr, now: Duration) {
        let bucket = self.bucket(address, now);
        bucket.left = (bucket.left + 1.0).min(BURST);
    }

    fn bucket(&mut self, address: IpAddr, now: Duration) -> &mut Bucket {
        let network = network(address);
        if self.buckets.len() >= MAX_BUCKETS && !self.buckets.contains_key(&network) {
            self.buckets.retain(|_, bucket| {
                bucket.refill(now);
                bucket.left < BURST
            });
            if self.buckets.len() >= MAX_BUCKETS {
                return &mut self.shared;
            }
        }
        self.buckets.entry(network).or_insert(Bucket { left: BURST, at: now })
    }
}

/// Returns what one client commands: an IPv4 address, or a /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Counts how many of `n` tokens of an address are looked at.
    fn looked_at(throttle: &mut Throttle, from: &str, n: usize, second: u64) -> usize {
        (0..n).filter(|_| throttle.take(address(from), Duration::from_secs(second))).count()
    }

    #[test]
    fn wrong_tokens_are_looked_at_slowly_and_for_each_address() {
        let mut throttle = Throttle::default();
        assert_eq!(looked_at(&mut throttle, "10.0.0.1", 10_000, 0), 20);
        assert_eq!(looked_at(&mut throttle, "::ffff:10.0.0.1", 10_000, 1), 2);
        assert_eq!(looked_at(&mut throttle, "10.0.0.2", 10_000, 1), 20);
        assert_eq!(looked_at(&mut throttle, "2001:db8::1", 15, 1), 15);
        assert_eq!(looked_at(&mut throttle, "2001:db8::2", 15, 1), 5);
    }

    #[test]
    fn right_tokens_cost_nothing() {
        let mut throttle = Throttle::default();
        for _ in 0..1000 {
            assert!(throttle.take(address("10.0.0.1"), Duration::ZERO));
            throttle.give_back(address("10.0.0.1"), Duration::ZERO);
        }
    }

    #[test]
    fn more_addresses_than_buckets_share_one() {
        let mut throttle = Throttle::default();
        let n = (0..10_000_u32).filter(|n| throttle.take(IpAddr::V4((*n).into()), Duration::ZERO)).count();
        assert_eq!((n, throttle.buckets.len()), (MAX_BUCKETS + 20, MAX_BUCKETS));
        // What is full again makes room.
        assert_eq!(looked_at(&mut throttle, "10.9.9.9", 30, 60), 20);
    }
}
