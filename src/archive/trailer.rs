//! What a frame says about itself: counts, time range, services, trace ids, checksums.
//!
//! The payload, integers little-endian:
//!
//! | at | bytes | meaning |
//! | --- | --- | --- |
//! | 0 | 4 | `TCF1` |
//! | 4 | 4 | CRC-32 of the payload from byte 8 to its end |
//! | 8 | 4 | number of the frame within the chunk, from 0 |
//! | 12 | 4 | length of the data in bytes |
//! | 16 | 4 | CRC-32 of the data |
//! | 20 | 4 | length of the lines in bytes, uncompressed |
//! | 24 | 4 | lines |
//! | 28 | 4 | items (spans) |
//! | 32 | 8 | earliest start, nanoseconds since the Unix epoch |
//! | 40 | 8 | latest end; below the start where no span has a time |
//! | 48 | 1 | flags: bit 0, the list of services is complete |
//! | 49 | 2 | number of services, each as length (2 bytes) and UTF-8 text |
//! | … | 4 | length of the Bloom filter of trace ids, then its bytes |
//!
//! A name too long for the list, or with control characters, is left out of it. So what a client sent cannot steer the
//! terminal of whoever looks at a chunk, and puts neither a NUL nor the magic of a skippable frame into a trailer's text.
//!
//! The data is what a decompressor is fed: the compressed frame with zstd, the deflate
//! stream and its footer with gzip, the lines themselves without compression.

use thiserror::Error;

use super::bloom::{Bloom, MAX_BLOOM};
use crate::clock::Timestamp;
use crate::otlp::{MAX_SERVICES_BYTES, Segment};

/// The first bytes of a payload; the digit is the version of the format.
pub const MAGIC: [u8; 4] = *b"TCF1";

/// The longest list of services in bytes; with the filter it has to fit a gzip header field of 64 KiB.
const MAX_SERVICES_LEN: usize = MAX_SERVICES_BYTES;

/// The longest payload in bytes.
pub const MAX_PAYLOAD: usize = 64 + MAX_SERVICES_LEN + MAX_BLOOM;

/// The length of a payload without services and filter.
const FIXED_LEN: usize = 55;

/// The part that the payload's own checksum does not cover.
const UNCOVERED: usize = 8;

/// What is known about a frame's lines.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// How many lines.
    pub lines: u32,
    /// How many items (spans).
    pub items: u32,
    /// Earliest start and latest end; `None` where no span has a time.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Distinct service names, sorted; `""` stands for a resource without one.
    pub services: Vec<String>,
    /// Whether `services` names all of them.
    pub services_complete: bool,
    /// The trace ids.
    pub trace_ids: Bloom,
}

impl Facts {
    /// Gathers what is known about several segments that become one frame.
    pub fn of(segments: &[&Segment]) -> Self {
        let mut facts = Self { services_complete: true, ..Self::default() };
        let mut ids = Vec::new();
        let mut services: Vec<&str> = Vec::new();
        for segment in segments {
            facts.lines = facts.lines.saturating_add(segment.line_count);
            facts.items = facts.items.saturating_add(segment.items);
            facts.times = union(facts.times, segment.times);
            services.extend(segment.services.iter().map(String::as_str));
            facts.services_complete &= !segment.has_other_services;
            ids.extend_from_slice(&segment.trace_ids);
        }
        services.sort_unstable();
        services.dedup();
        let mut room = MAX_SERVICES_LEN;
        for service in services {
            match room.checked_sub(2 + service.len()) {
                Some(left) if !service.contains(char::is_control) => {
                    room = left;
                    facts.services.push(service.to_owned());
                }
                _ => facts.services_complete = false,
            }
        }
        facts.trace_ids = Bloom::of(&ids);
        facts
    }

    /// Tells whether the frame may hold spans of this service; `false` is certain.
    pub fn may_have_service(&self, service: &str) -> bool {
        !self.services_complete || self.services.iter().any(|known| known == service)
    }

    /// Tells whether the frame may hold spans that overlap `[since, until)`; `false` is certain.
    pub fn may_overlap(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> bool {
        self.times.is_none_or(|(start, end)| since.is_none_or(|s| end >= s) && until.is_none_or(|u| start < u))
    }
}

/// Returns the smallest range that holds both.
pub fn union(a: Option<(Timestamp, Timestamp)>, b: Option<(Timestamp, Timestamp)>) -> Option<(Timestamp, Timestamp)> {
    match (a, b) {
        (Some((a_start, a_end)), Some((b_start, b_end))) => Some((a_start.min(b_start), a_end.max(b_end))),
        (one, None) | (None, one) => one,
    }
}

/// A frame's trailer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trailer {
    /// Number of the frame within its chunk, from 0.
    pub sequence: u32,
    /// Length of the data in bytes.
    pub data_len: u32,
    /// CRC-32 (IEEE) of the data.
    pub data_crc: u32,
    /// Length of the lines in bytes.
    pub raw_len: u32,
    /// What the lines hold.
    pub facts: Facts,
}

/// Why bytes are not a trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TrailerError {
    /// They do not begin with the magic: something else, or torn.
    #[error("no frame trailer here")]
    Absent,
    /// The magic is that of a later version.
    #[error("the frame trailer has format version `{0}`, this program reads version `1`: use a newer tracecapture")]
    Newer(char),
    /// The checksum does not match.
    #[error("the frame trailer's checksum does not match")]
    Damaged,
}

impl Trailer {
    /// Appends the payload to `out`; at most [`MAX_PAYLOAD`] bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let Self { sequence, data_len, data_crc, raw_len, facts } = self;
        let begin = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0; 4]);
        for word in [*sequence, *data_len, *data_crc, *raw_len, facts.lines, facts.items] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        let none = (Timestamp::from_unix_nanos(1), Timestamp::from_unix_nanos(0));
        let (start, end) = facts.times.unwrap_or(none);
        out.extend_from_slice(&start.as_unix_nanos().to_le_bytes());
        out.extend_from_slice(&end.as_unix_nanos().to_le_bytes());
        out.push(u8::from(facts.services_complete));
        // `Facts::of` keeps the list and the filter far below what these widths can say.
        out.extend_from_slice(&u16::try_from(facts.services.len()).unwrap_or(u16::MAX).to_le_bytes());
        for service in &facts.services {
            out.extend_from_slice(&u16::try_from(service.len()).unwrap_or(u16::MAX).to_le_bytes());
            out.extend_from_slice(service.as_bytes());
        }
        let filter = facts.trace_ids.as_bytes();
        out.extend_from_slice(&u32::try_from(filter.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(filter);
        let crc = crc32fast::hash(out.get(begin + UNCOVERED..).unwrap_or_default());
        if let Some(slot) = out.get_mut(begin + 4..begin + UNCOVERED) {
            slot.copy_from_slice(&crc.to_le_bytes());
        }
    }

    /// Returns how many bytes [`Self::encode`] appends.
    pub fn encoded_len(&self) -> usize {
        let services: usize = self.facts.services.iter().map(|service| 2 + service.len()).sum();
        FIXED_LEN + services + self.facts.trace_ids.as_bytes().len()
    }

    /// Reads a payload, which has to fill `bytes`.
    ///
    /// # Errors
    /// [`TrailerError`]; the same bytes give the same error.
    pub fn decode(bytes: &[u8]) -> Result<Self, TrailerError> {
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(TrailerError::Absent)?;
        match magic {
            &MAGIC => {}
            [b'T', b'C', b'F', version @ b'2'..=b'9'] => return Err(TrailerError::Newer(char::from(*version))),
            _ => return Err(TrailerError::Absent),
        }
        let (crc, covered) = rest.split_first_chunk::<4>().ok_or(TrailerError::Damaged)?;
        if crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
            return Err(TrailerError::Damaged);
        }
        // Behind a matching checksum only a program error could be malformed; it must not panic all the same.
        Fields(covered).trailer().ok_or(TrailerError::Damaged)
    }
}

/// A cursor over the covered part of a payload.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn trailer(mut self) -> Option<Trailer> {
        let [sequence, data_len, data_crc, raw_len, lines, items] =
            [self.u32()?, self.u32()?, self.u32()?, self.u32()?, self.u32()?, self.u32()?];
        let (start, end) = (self.u64()?, self.u64()?);
        let times = (start <= end).then_some((Timestamp::from_unix_nanos(start), Timestamp::from_unix_nanos(end)));
        let services_complete = self.take(1)? == [1];
        let n_services = self.u16()?;
        let mut services = Vec::new();
        for _ in 0..n_services {
            let len = usize::from(self.u16()?);
            services.push(String::from_utf8(self.take(len)?.to_vec()).ok()?);
        }
        let filter_len = usize::try_from(self.u32()?).ok()?;
        let trace_ids = Bloom::from_bytes(self.take(filter_len)?);
        let facts = Facts { lines, items, times, services, services_complete, trace_ids };
        self.0.is_empty().then_some(Trailer { sequence, data_len, data_crc, raw_len, facts })
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TraceId;
    use proptest::prelude::*;

    fn trailer(services: Vec<String>, n_ids: u128, times: Option<(u64, u64)>) -> Trailer {
        let segment = Segment {
            lines: Vec::new(),
            line_count: 3,
            items: 5,
            times: times.map(|(a, b)| (Timestamp::from_unix_nanos(a), Timestamp::from_unix_nanos(b))),
            services,
            has_other_services: false,
            trace_ids: (1..=n_ids).filter_map(|n| TraceId::from_bytes(&n.to_be_bytes())).collect(),
        };
        Trailer { sequence: 7, data_len: 11, data_crc: 13, raw_len: 17, facts: Facts::of(&[&segment]) }
    }

    fn encoded(trailer: &Trailer) -> Vec<u8> {
        let mut bytes = Vec::new();
        trailer.encode(&mut bytes);
        bytes
    }

    #[test]
    fn the_trailer_of_a_single_span_costs_tens_of_bytes() {
        assert!(encoded(&trailer(vec!["checkout".to_owned()], 1, Some((1, 2)))).len() < 80);
    }

    #[test]
    fn a_list_of_services_too_long_says_so_and_then_excludes_nothing() {
        let many = (0..2_000).map(|n| format!("service-{n:060}")).collect();
        let trailer = trailer(many, 100_000, None);
        assert!(encoded(&trailer).len() <= MAX_PAYLOAD);
        assert!(!trailer.facts.services_complete && trailer.facts.may_have_service("other"));
    }

    #[test]
    fn what_segments_do_not_name_is_not_excluded() {
        let segment = |service: &str, has_other_services| Segment {
            services: vec![service.to_owned()],
            has_other_services,
            ..Segment::default()
        };
        let facts = |other| Facts::of(&[&segment("a", false), &segment("b", other)]);
        assert!(facts(true).may_have_service("other") && !facts(false).may_have_service("other"));
        assert_eq!(facts(true).services, ["a", "b"]);
    }

    #[test]
    fn a_name_with_control_characters_is_not_listed() {
        for odd in ["a\0", "\u{1b}[2J", "a\nb", "\u{7f}", "\u{85}", "\u{18}M*\\"] {
            let facts = trailer(vec![odd.to_owned(), "shop".to_owned()], 1, None).facts;
            assert_eq!(facts.services, ["shop"], "{odd:?}");
            assert!(!facts.services_complete && facts.may_have_service(odd), "{odd:?}");
        }
        assert!(trailer(vec!["größe 😀".to_owned()], 1, None).facts.services_complete);
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = encoded(&trailer(Vec::new(), 1, None));
        bytes[3] = b'2';
        assert_eq!(Trailer::decode(&bytes), Err(TrailerError::Newer('2')));
        bytes[3] = b'x';
        assert_eq!(Trailer::decode(&bytes), Err(TrailerError::Absent));
    }

    #[test]
    fn time_ranges_exclude_only_what_is_certain() {
        let at = |nanos| Some(Timestamp::from_unix_nanos(nanos));
        let facts = trailer(Vec::new(), 1, Some((10, 20))).facts;
        assert!(facts.may_overlap(at(20), None) && !facts.may_overlap(at(21), None));
        assert!(facts.may_overlap(None, at(11)) && !facts.may_overlap(None, at(10)));
        assert!(trailer(Vec::new(), 1, None).facts.may_overlap(at(99), at(1)));
    }

    proptest! {
        #[test]
        fn every_trailer_reads_back(
            services in proptest::collection::vec(".{0,40}", 0..20),
            n_ids in 0_u128..300,
            times in proptest::option::of((0_u64..1000, 1000_u64..2000)),
        ) {
            let trailer = trailer(services, n_ids, times);
            prop_assert_eq!(encoded(&trailer).len(), trailer.encoded_len());
            prop_assert_eq!(Trailer::decode(&encoded(&trailer)), Ok(trailer));
        }

        #[test]
        fn a_flipped_bit_never_goes_unseen(at in 0_usize..60, bit in 0_u8..8) {
            let mut bytes = encoded(&trailer(vec!["checkout".to_owned()], 2, Some((1, 2))));
            bytes[at] ^= 1 << bit;
            prop_assert!(Trailer::decode(&bytes).is_err());
        }
    }
}
