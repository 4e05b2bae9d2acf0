//! The manifest of a sealed chunk: its last member, JSON for people and other programs.

use serde::{Deserialize, Serialize};

use super::index::FrameRef;
use super::name::ChunkName;
use super::trailer::union;
use crate::clock::Timestamp;

/// The version of the chunk format that this program writes, and the latest it reads.
pub const FORMAT: u32 = 1;

/// The most services that a manifest lists.
const MAX_SERVICES: usize = 1_000;

/// The most bytes that their list takes in a manifest; so its header is found close to the end of a chunk.
const MAX_SERVICES_JSON: usize = 64 << 10;

/// What an element of a list takes in indented JSON beside itself: a comma, a line end, the indent.
const ELEMENT_LEN: usize = 6;

/// Who sealed a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SealedBy {
    /// The writer that began it.
    Writer,
    /// Recovery, out of what a crash had left.
    Recovery,
}

/// Bytes that recovery could not vouch for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Damage {
    /// Where they began in the file that was recovered.
    pub offset: u64,
    /// How many there were.
    pub len: u64,
    /// The file in the quarantine that holds them; absent where they were zeros only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<String>,
}

/// A time range of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// Earliest start.
    pub start: Timestamp,
    /// Latest end.
    pub end: Timestamp,
}

/// What a sealed chunk holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Version of the format: [`FORMAT`].
    pub format: u32,
    /// The chunk's stem.
    pub chunk: String,
    /// When the chunk was begun, by its writer's clock.
    pub started: Timestamp,
    /// When it was sealed, by the clock of who sealed it.
    pub sealed: Timestamp,
    /// Who sealed it.
    pub sealed_by: SealedBy,
    /// Number of frames.
    pub frames: u64,
    /// Number of lines.
    pub lines: u64,
    /// Number of items (spans).
    pub items: u64,
    /// Length of all lines in bytes, uncompressed.
    pub raw_bytes: u64,
    /// Length of the chunk's file up to the index, in bytes.
    pub data_bytes: u64,
    /// Time range of the spans; absent where none has a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<TimeRange>,
    /// Distinct service names, sorted; the first 1,000 that fit into 64 KiB of JSON, so there may be others.
    pub services: Vec<String>,
    /// What recovery left out; empty for a chunk sealed by its writer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<Damage>,
}

impl Manifest {
    /// Sums up the frames of a chunk.
    ///
    /// `data_bytes` is where the index begins.
    pub fn of(
        chunk: &ChunkName,
        frames: &[FrameRef],
        data_bytes: u64,
        sealed: Timestamp,
        sealed_by: SealedBy,
        damage: Vec<Damage>,
    ) -> Self {
        let sum = |count: fn(&FrameRef) -> u32| frames.iter().map(|frame| u64::from(count(frame))).sum();
        let times = frames.iter().fold(None, |range, frame| union(range, frame.trailer.facts.times));
        Self {
            format: FORMAT,
            chunk: chunk.to_string(),
            started: chunk.started(),
            sealed,
            sealed_by,
            frames: frames.len() as u64,
            lines: sum(|frame| frame.trailer.facts.lines),
            items: sum(|frame| frame.trailer.facts.items),
            raw_bytes: sum(|frame| frame.trailer.raw_len),
            data_bytes,
            times: times.map(|(start, end)| TimeRange { start, end }),
            services: services(frames),
            damage,
        }
    }

    /// Returns the member's body: indented JSON and a line end.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings, numbers and lists of them cannot fail to serialise.
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

/// Returns the names of services that a manifest lists.
fn services(frames: &[FrameRef]) -> Vec<String> {
    let mut names: Vec<&str> =
        frames.iter().flat_map(|frame| frame.trailer.facts.services.iter().map(String::as_str)).collect();
    names.sort_unstable();
    names.dedup();
    let (mut services, mut room) = (Vec::new(), MAX_SERVICES_JSON);
    for name in names {
        // As it is written: escapes make a name up to six times as long.
        let len = serde_json::to_vec(name).map_or(usize::MAX, |json| json.len() + ELEMENT_LEN);
        if let Some(left) = room.checked_sub(len) {
            room = left;
            services.push(name.to_owned());
        }
        if services.len() == MAX_SERVICES {
            break;
        }
    }
    services
}
