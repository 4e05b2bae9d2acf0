//! The one grammar of names in a data directory.
//!
//! A chunk's stem is `<start>_<writer>_<incarnation>_<sequence>`, for example
//! `20261121T103045.123Z_checkout-collector-0_7f3a_000042`. No field can hold `_`, all
//! but the last two of one writer have a fixed width, and the start comes first, so
//! that names sort by time. What follows the stem is the state of the chunk.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::clock::Timestamp;
use crate::ids::{Incarnation, Signal, WriterId};

/// The directory of chunks within a data directory.
pub const CHUNKS_DIR: &str = "chunks";

/// The directory of bytes that recovery could not vouch for, within a data directory.
pub const QUARANTINE_DIR: &str = "quarantine";

/// The last member but one of a sealed chunk.
pub const INDEX_MEMBER: &str = "index.bin";

/// The last member of a sealed chunk, and the first of a bundle.
pub const MANIFEST_MEMBER: &str = "manifest.json";

/// Why a text names no chunk.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not the name of a chunk")]
pub struct NotAChunk(pub String);

/// Names a chunk: who began it, when, in which life, as which of that life's chunks.
///
/// Orders by start first, so the oldest chunk is the least.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkName {
    started: Timestamp,
    writer: WriterId,
    incarnation: Incarnation,
    sequence: u32,
}

/// What a chunk's file name says about its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChunkState {
    /// `.tar`: complete, never changed again.
    Sealed,
    /// `.tar.inprogress`: its writer appends to it.
    InProgress,
    /// `.tar.recovering`: taken from its writer by recovery; whoever finds it may finish the work.
    Recovering,
}

impl ChunkState {
    /// Returns what follows the stem in the file name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Sealed => ".tar",
            Self::InProgress => ".tar.inprogress",
            Self::Recovering => ".tar.recovering",
        }
    }
}

impl ChunkName {
    /// Names a chunk; `started` loses what is finer than a millisecond.
    pub fn new(started: Timestamp, writer: WriterId, incarnation: Incarnation, sequence: u32) -> Self {
        Self { started: started.truncated_to_millis(), writer, incarnation, sequence }
    }

    /// Returns when the chunk was begun, by its writer's wall clock.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Returns when the chunk was begun in whole seconds since the Unix epoch, as its members' headers say it.
    pub fn started_secs(&self) -> u64 {
        self.started.as_unix_nanos() / 1_000_000_000
    }

    /// Returns the writer that began the chunk.
    pub fn writer(&self) -> &WriterId {
        &self.writer
    }

    /// Returns the life of the writer that began the chunk.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Returns the number of the chunk within its writer's life, from 1.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Returns the file name of the chunk in `state`.
    pub fn file_name(&self, state: ChunkState) -> String {
        format!("{self}{}", state.suffix())
    }

    /// Reads a file name of the chunks directory.
    ///
    /// # Errors
    /// [`NotAChunk`] for every other file; such files are left alone.
    pub fn parse_file_name(file_name: &str) -> Result<(Self, ChunkState), NotAChunk> {
        [ChunkState::InProgress, ChunkState::Recovering, ChunkState::Sealed]
            .into_iter()
            .find_map(|state| file_name.strip_suffix(state.suffix()).map(|stem| (stem, state)))
            .and_then(|(stem, state)| Some((stem.parse().ok()?, state)))
            .ok_or_else(|| NotAChunk(file_name.to_owned()))
    }

    /// Returns the tar name of a member: the stem, `/`, and `member`.
    pub fn member(&self, member: &str) -> String {
        format!("{self}/{member}")
    }
}

impl fmt::Display for ChunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { started, writer, incarnation, sequence } = self;
        write_compact(f, *started)?;
        write!(f, "_{writer}_{incarnation}_{sequence:06}")
    }
}

impl FromStr for ChunkName {
    type Err = NotAChunk;

    fn from_str(stem: &str) -> Result<Self, NotAChunk> {
        let invalid = || NotAChunk(stem.to_owned());
        let mut fields = stem.split('_');
        let mut next = || fields.next().ok_or_else(invalid);
        let (started, writer, incarnation, sequence) = (next()?, next()?, next()?, next()?);
        let name = Self {
            started: parse_compact(started).ok_or_else(invalid)?,
            writer: writer.parse().map_err(|_| invalid())?,
            incarnation: incarnation.parse().map_err(|_| invalid())?,
            sequence: sequence.parse().map_err(|_| invalid())?,
        };
        // One name has one spelling: a second one would be a second file for the same chunk.
        if name.to_string() == stem { Ok(name) } else { Err(invalid()) }
    }
}

/// Returns the file name of a data member: signal, number from 1, compression's ending.
pub fn data_member(signal: Signal, number: u32, ending: &str) -> String {
    format!("{}-{number:06}.jsonl{ending}", signal.as_str())
}

/// Returns the file name of the member that holds a frame's trailer, where lines are not compressed.
pub fn frame_member(signal: Signal, number: u32) -> String {
    format!("{}-{number:06}.frame", signal.as_str())
}

/// Writes `20261121T103045.123Z`.
fn write_compact(f: &mut fmt::Formatter<'_>, time: Timestamp) -> fmt::Result {
    let millis = time.as_unix_nanos() / 1_000_000;
    let instant = i64::try_from(millis).ok().and_then(|m| jiff::Timestamp::from_millisecond(m).ok());
    // Nanoseconds in 64 bits end in the year 2554, well inside what a civil date can say.
    let civil = instant.unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).datetime();
    write!(
        f,
        "{:04}{:02}{:02}T{:02}{:02}{:02}.{:03}Z",
        civil.year(),
        civil.month(),
        civil.day(),
        civil.hour(),
        civil.minute(),
        civil.second(),
        civil.millisecond()
    )
}

/// Reads `20261121T103045.123Z`.
fn parse_compact(text: &str) -> Option<Timestamp> {
    let field = |range: std::ops::Range<usize>| -> Option<i16> {
        let digits = text.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let small = |range| field(range).and_then(|value| i8::try_from(value).ok());
    let punctuation = text.len() == 20 && text.get(8..9)? == "T" && text.get(15..16)? == "." && text.get(19..)? == "Z";
    let nanos = i32::from(field(16..19)?) * 1_000_000;
    let civil = jiff::civil::DateTime::new(
        field(0..4)?,
        small(4..6)?,
        small(6..8)?,
        small(9..11)?,
        small(11..13)?,
        small(13..15)?,
        nanos,
    )
    .ok()?;
    let instant = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    let nanos = u64::try_from(instant.as_nanosecond()).ok()?;
    punctuation.then_some(Timestamp::from_unix_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(nanos: u64, sequence: u32) -> ChunkName {
        let writer = "checkout-collector-0".parse().unwrap();
        ChunkName::new(Timestamp::from_unix_nanos(nanos), writer, Incarnation(0x7f3a), sequence)
    }

    #[test]
    fn reads_as_the_design_writes_it() {
        let chunk = name(1_795_257_045_123_999_999, 42);
        let file = "20261121T103045.123Z_checkout-collector-0_7f3a_000042.tar.inprogress";
        assert_eq!(chunk.file_name(ChunkState::InProgress), file);
        assert_eq!(ChunkName::parse_file_name(file), Ok((chunk, ChunkState::InProgress)));
    }

    #[test]
    fn leaves_other_names_alone() {
        for other in [
            "",
            ".tar",
            "notes.tar",
            "20261121T103045.123Z_a_7f3a_42.tar",
            "20261121T103045.123Z_a_7f3a_0000042.tar",
            "20261121T103045.123Z_a_7F3A_000042.tar",
            "20261121T103045.123Z_../x_7f3a_000042.tar",
            "20261321T103045.123Z_a_7f3a_000042.tar",
            "20261121T103045.123Z_a_7f3a_000042_1.tar",
            "20261121T103045.123Z_a_7f3a_000042.tar.part",
            "+0261121T103045.123Z_a_7f3a_000042.tar",
        ] {
            assert!(ChunkName::parse_file_name(other).is_err(), "{other}");
        }
    }

    #[test]
    fn the_longest_member_name_fits_a_ustar_header() {
        let writer = "w".repeat(crate::ids::MAX_WRITER_LEN).parse().unwrap();
        let longest = ChunkName::new(Timestamp::default(), writer, Incarnation(0), u32::MAX);
        let member = data_member(Signal::Traces, 999_999, ".zst");
        assert!(longest.member(&member).len() <= 100);
    }

    proptest! {
        #[test]
        fn every_name_survives_its_text_and_sorts_by_time(a: u64, b: u64, sequence: u32) {
            let (first, second) = (name(a, sequence), name(b, sequence));
            prop_assert_eq!(first.to_string().parse(), Ok(first.clone()));
            prop_assert_eq!(first.cmp(&second), first.to_string().cmp(&second.to_string()));
        }
    }
}
