//! Quantiles of durations in bounded memory.

use std::collections::BTreeMap;

/// Buckets per doubling: a value is at most half a 64th from its bucket's middle.
const SUB_BUCKETS: u64 = 64;

/// The exponent below which every value has a bucket of its own.
const EXACT_BITS: u32 = 7;

/// Counts values in buckets of equal relative width.
///
/// A quantile is off by at most 0.8 % of its value, and exact below 128. At most 3,776
/// buckets can be filled, in practice a few hundred.
#[derive(Debug, Default, Clone)]
pub(super) struct Histogram {
    buckets: BTreeMap<u64, u64>,
    count: u64,
    /// Smallest and largest value; `None` where there is none.
    bounds: Option<(u64, u64)>,
}

impl Histogram {
    /// Counts a value.
    pub(super) fn record(&mut self, value: u64) {
        *self.buckets.entry(bucket_of(value)).or_default() += 1;
        self.count += 1;
        self.widen(value, value);
    }

    /// Adds what another one counted.
    pub(super) fn merge(&mut self, other: &Self) {
        let Self { buckets, count, bounds } = other;
        for (&bucket, &n) in buckets {
            *self.buckets.entry(bucket).or_default() += n;
        }
        self.count += count;
        if let &Some((min, max)) = bounds {
            self.widen(min, max);
        }
    }

    fn widen(&mut self, min: u64, max: u64) {
        let (known_min, known_max) = self.bounds.unwrap_or((min, max));
        self.bounds = Some((known_min.min(min), known_max.max(max)));
    }

    /// Returns the value that `percent` per cent of all are not above; `None` where there is none.
    pub(super) fn percentile(&self, percent: u64) -> Option<u64> {
        let (min, max) = self.bounds?;
        let rank = self.count.checked_mul(percent)?.div_ceil(100).max(1);
        let mut seen = 0;
        for (&bucket, &n) in &self.buckets {
            seen += n;
            if seen >= rank {
                // The middle of the first or last bucket may be beyond all that was counted.
                return Some(middle_of(bucket).clamp(min, max));
            }
        }
        None
    }
}

/// Numbers the bucket of a value: its exponent, then the six bits behind the leading one.
fn bucket_of(value: u64) -> u64 {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(EXACT_BITS);
    u64::from(shift) * SUB_BUCKETS + (value >> shift)
}

fn middle_of(bucket: u64) -> u64 {
    // Values below 128 are their own bucket; above, `value >> shift` lies in 64..128.
    let shift = (bucket / SUB_BUCKETS).saturating_sub(1);
    let lowest = (bucket - shift * SUB_BUCKETS) << shift;
    lowest + ((1 << shift) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_values_are_exact() {
        for value in 0..128 {
            assert_eq!(middle_of(bucket_of(value)), value);
        }
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50), None);
        (1..=100).for_each(|value| histogram.record(value));
        assert_eq!([50, 95, 99, 100].map(|p| histogram.percentile(p).unwrap()), [50, 95, 99, 100]);
    }

    proptest! {
        #[test]
        fn no_value_is_off_by_more_than_one_per_cent(value: u64) {
            let middle = middle_of(bucket_of(value));
            prop_assert!(middle.abs_diff(value) <= value / 100, "{value} became {middle}");
        }

        #[test]
        fn buckets_keep_the_order(a: u64, b: u64) {
            prop_assert!(a > b || bucket_of(a) <= bucket_of(b));
        }

        #[test]
        fn merged_is_counted_together(values in proptest::collection::vec(any::<u32>(), 2..50)) {
            let mut whole = Histogram::default();
            let mut parts = [Histogram::default(), Histogram::default()];
            for (n, &value) in values.iter().enumerate() {
                whole.record(u64::from(value));
                parts[n % 2].record(u64::from(value));
            }
            let [mut merged, other] = parts;
            merged.merge(&other);
            prop_assert_eq!(merged.percentile(95), whole.percentile(95));
        }
    }
}
