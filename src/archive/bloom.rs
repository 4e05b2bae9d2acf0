//! A filter that tells which trace ids a frame does *not* hold.

use crate::ids::TraceId;

/// Bits per distinct trace id: with [`PROBES`] probes about 1 in 100 absent ids is taken for present.
const BITS_PER_ID: usize = 10;

/// How many bits each id sets: `BITS_PER_ID * ln 2`, rounded.
const PROBES: u64 = 7;

/// The largest filter in bytes: a gzip frame carries it in a header field of 64 KiB.
///
/// A frame with more ids than fit gets a fuller filter, so more false alarms, never a missed id.
pub const MAX_BLOOM: usize = 32 * 1024;

/// A Bloom filter over trace ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bloom {
    bits: Vec<u8>,
}

impl Bloom {
    /// Makes the filter of these ids; repeated ones cost nothing.
    pub fn of(ids: &[TraceId]) -> Self {
        let mut distinct = ids.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let bytes = (distinct.len() * BITS_PER_ID).div_ceil(8).min(MAX_BLOOM);
        let mut filter = Self { bits: vec![0; bytes] };
        for id in &distinct {
            for (byte, mask) in probes(id, bytes) {
                if let Some(slot) = filter.bits.get_mut(byte) {
                    *slot |= mask;
                }
            }
        }
        filter
    }

    /// Takes the filter's bytes as they stand in a trailer.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self { bits: bytes.to_vec() }
    }

    /// Returns the filter's bytes, at most [`MAX_BLOOM`].
    pub fn as_bytes(&self) -> &[u8] {
        &self.bits
    }

    /// Tells whether the id may be among those the filter was made of; `false` is certain.
    pub fn may_contain(&self, id: &TraceId) -> bool {
        !self.bits.is_empty()
            && probes(id, self.bits.len()).all(|(byte, mask)| self.bits.get(byte).is_some_and(|slot| slot & mask != 0))
    }
}

/// Yields the bits of an id in a filter of `bytes` bytes, by double hashing.
///
/// Source: Kirsch and Mitzenmacher, "Less Hashing, Same Performance", 2006.
fn probes(id: &TraceId, bytes: usize) -> impl Iterator<Item = (usize, u8)> {
    let (high, low) = id.as_bytes().split_at(8);
    let word = |half: &[u8]| half.iter().fold(0, |word, &b| word << 8 | u64::from(b));
    // Ids of some tracers are random in one half only, so both halves go into both hashes.
    let first = mix(word(high).rotate_left(32) ^ word(low));
    let second = mix(first ^ word(high)) | 1;
    let n_bits = bytes as u64 * 8;
    (0..PROBES).map(move |probe| {
        let bit = first.wrapping_add(probe.wrapping_mul(second)) % n_bits.max(1);
        (usize::try_from(bit / 8).unwrap_or(0), 1 << (bit % 8))
    })
}

/// Spreads every input bit over the whole word.
///
/// Source: the finaliser of `SplitMix64`, Steele, Lea and Flood, 2014.
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(range: std::ops::Range<u128>) -> Vec<TraceId> {
        range.map(|n| TraceId::from_bytes(&(n + 1).to_be_bytes()).unwrap()).collect()
    }

    #[test]
    fn holds_every_id_it_was_made_of() {
        for n in [1, 2, 100, 50_000] {
            let present = ids(0..n);
            let filter = Bloom::of(&present);
            assert!(present.iter().all(|id| filter.may_contain(id)), "{n}");
            assert!(filter.as_bytes().len() <= MAX_BLOOM);
        }
    }

    #[test]
    fn refuses_nearly_all_others_even_if_ids_are_counted_up() {
        let filter = Bloom::of(&ids(0..1_000));
        let alarms = ids(1_000_000..1_010_000).iter().filter(|id| filter.may_contain(id)).count();
        assert!(alarms < 300, "{alarms} false alarms in 10,000");
    }

    #[test]
    fn an_empty_filter_holds_nothing() {
        assert!(!Bloom::of(&[]).may_contain(&ids(0..1)[0]));
    }
}
