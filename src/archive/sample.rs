//! What tests of the archive share: segments with a marker, and a reader that knows the format only from its description.

use std::path::Path;

use super::frame::{self, Compression};
use super::fs::{Fs, SimFs};
use super::name::ChunkName;
use super::scan;
use super::trailer::Trailer;
use super::ustar::{self, BLOCK, Block, Parsed};
use crate::clock::Timestamp;
use crate::ids::{Incarnation, TraceId};
use crate::otlp::Segment;

/// Names a chunk by its sequence number.
pub(crate) fn chunk_name(sequence: u32) -> ChunkName {
    let started = Timestamp::from_unix_nanos(1_795_257_045_123_000_000);
    ChunkName::new(started, "checkout-collector-0".parse().unwrap(), Incarnation(0x7f3a), sequence)
}

/// Makes a segment of one line that can be told from every other; `len` bytes of it do not compress.
pub(crate) fn segment(marker: u64, len: usize) -> Segment {
    let mut state = marker;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap())
    });
    let noise: String = noise.take(len).collect();
    Segment {
        lines: format!("{{\"marker\":{marker},\"noise\":\"{noise}\"}}\n").into_bytes(),
        line_count: 1,
        items: 1,
        times: Some((Timestamp::from_unix_nanos(marker), Timestamp::from_unix_nanos(marker + 1))),
        services: vec![format!("service-{}", marker % 3)],
        has_other_services: false,
        trace_ids: TraceId::from_bytes(&u128::from(marker + 1).to_be_bytes()).into_iter().collect(),
    }
}

/// Lists the members of an archive; panics where a tar tool would complain. The end mark may be missing.
pub(crate) fn members(archive: &[u8]) -> Vec<(String, &[u8])> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < archive.len() {
        let block: &Block = archive[at..].first_chunk::<BLOCK>().expect("a whole block");
        match ustar::parse(block) {
            Parsed::File { name, size } => {
                let size = usize::try_from(size).unwrap();
                let body = &archive[at + BLOCK..at + BLOCK + size];
                found.push((name, body));
                at = (at + BLOCK + size).next_multiple_of(BLOCK);
                assert!(at <= archive.len(), "padding is missing");
            }
            Parsed::Zeros => {
                assert!(
                    archive[at..] == ustar::END,
                    "only the end mark may follow the members, at {at} of {}",
                    archive.len()
                );
                break;
            }
            other => panic!("no header at {at}: {other:?}"),
        }
    }
    found
}

/// Returns the markers of an archive's lines in order; panics on anything that is not intact.
pub(crate) fn markers(archive: &[u8]) -> Vec<u64> {
    let members = members(archive);
    let mut lines = Vec::new();
    for (at, (name, body)) in members.iter().enumerate() {
        match Compression::of_name(name) {
            Some(Compression::None) => {
                let trailer = Trailer::decode(members[at + 1].1).expect("lines are followed by their trailer");
                assert_eq!(trailer.data_crc, crc32fast::hash(body));
                lines.extend_from_slice(body);
            }
            Some(compression) => append_frames(compression, body, &mut lines),
            None => {}
        }
    }
    lines.split_inclusive(|&byte| byte == b'\n').map(marker).collect()
}

fn append_frames(compression: Compression, body: &[u8], lines: &mut Vec<u8>) {
    let mut at = 0;
    while at < body.len() {
        let found = frame::locate(compression, body, at).unwrap().expect("frames fill a member");
        assert_eq!(found.span.start, at, "frames follow one another");
        frame::decode(compression, &body[found.data.clone()], &found.trailer, lines).unwrap();
        at = found.span.end;
    }
}

/// Returns the markers of every frame that a scan of the file can vouch for.
pub(crate) fn recoverable(fs: &SimFs, path: &Path) -> Vec<u64> {
    let content = fs.content(path).unwrap();
    let scan = scan::scan(&*fs.open(path).unwrap(), content.len() as u64).unwrap();
    let compression = scan.compression().unwrap_or_default();
    let mut lines = Vec::new();
    for frame in &scan.frames {
        let data = usize::try_from(frame.data.start).unwrap()..usize::try_from(frame.data.end).unwrap();
        frame::decode(compression, &content[data], &frame.trailer, &mut lines).unwrap();
    }
    lines.split_inclusive(|&byte| byte == b'\n').map(marker).collect()
}

/// Reads a line that must be one of [`segment`]'s.
fn marker(line: &[u8]) -> u64 {
    #[derive(serde::Deserialize)]
    struct Line {
        marker: u64,
        noise: String,
    }
    let read: Line = serde_json::from_slice(line).expect("a whole line");
    assert_eq!(segment(read.marker, read.noise.len()).lines, line);
    read.marker
}
