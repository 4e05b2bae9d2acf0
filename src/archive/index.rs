//! The index of a sealed chunk: every frame's place and trailer, so that a reader need not walk the data.
//!
//! It repeats what the chunk says elsewhere; a chunk whose index is missing or damaged
//! is scanned instead. The member `index.bin`, integers little-endian: `TCI1`, CRC-32 of
//! the rest (4 bytes), number of frames (4), then per frame: offset of the frame in the chunk (8),
//! its length (4), offset of its data within the frame (4), number of the member (4),
//! signal (1; 1 = traces), length of the trailer's payload (4), the payload.

use std::ops::Range;

use super::trailer::Trailer;
use crate::ids::Signal;

/// The longest index or manifest that is read, in bytes; a chunk with a longer one is read without it.
pub const MAX_TABLE: u64 = 256 << 20;

/// The first bytes of an index; the digit is the version of the format.
const MAGIC: [u8; 4] = *b"TCI1";

/// What an entry takes besides the trailer's payload: offset, length, data offset, member, signal, payload length.
const ENTRY_LEN: usize = 8 + 4 + 4 + 4 + 1 + 4;

/// Where a frame lies in its chunk, and what it says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameRef {
    /// The frame in the chunk's file.
    ///
    /// Compressed: data and trailer, inside a member's body.
    /// Without compression: the two whole tar entries, of lines and of the trailer, padding included.
    pub span: Range<u64>,
    /// What a decompressor is fed, in the chunk's file.
    pub data: Range<u64>,
    /// The number of the data member that holds it, from 1.
    pub member: u32,
    /// What its lines are.
    pub signal: Signal,
    /// Its trailer.
    pub trailer: Trailer,
}

/// Returns how many bytes a frame takes in the index.
pub fn entry_len(frame: &FrameRef) -> u64 {
    (ENTRY_LEN + frame.trailer.encoded_len()) as u64
}

/// Returns the body of the index member.
pub fn encode(frames: &[FrameRef]) -> Vec<u8> {
    let mut rest = Vec::new();
    rest.extend_from_slice(&narrow(frames.len() as u64).to_le_bytes());
    for FrameRef { span, data, member, signal, trailer } in frames {
        rest.extend_from_slice(&span.start.to_le_bytes());
        rest.extend_from_slice(&narrow(span.end - span.start).to_le_bytes());
        rest.extend_from_slice(&narrow(data.start - span.start).to_le_bytes());
        rest.extend_from_slice(&member.to_le_bytes());
        rest.push(match signal {
            Signal::Traces => 1,
        });
        let length_at = rest.len();
        rest.extend_from_slice(&[0; 4]);
        trailer.encode(&mut rest);
        let payload = narrow((rest.len() - length_at - 4) as u64);
        if let Some(slot) = rest.get_mut(length_at..length_at + 4) {
            slot.copy_from_slice(&payload.to_le_bytes());
        }
    }
    let mut index = MAGIC.to_vec();
    index.extend_from_slice(&crc32fast::hash(&rest).to_le_bytes());
    index.append(&mut rest);
    index
}

/// Reads the body of an index member; `None` where it is damaged, of another version or no index.
pub fn decode(bytes: &[u8]) -> Option<Vec<FrameRef>> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    if magic != &MAGIC || u32::from_le_bytes(*crc) != crc32fast::hash(rest) {
        return None;
    }
    let mut cursor = rest;
    let n_frames = u32::from_le_bytes(take(&mut cursor)?);
    let mut frames = Vec::new();
    for _ in 0..n_frames {
        frames.push(decode_frame(&mut cursor)?);
    }
    cursor.is_empty().then_some(frames)
}

fn decode_frame(cursor: &mut &[u8]) -> Option<FrameRef> {
    let start = u64::from_le_bytes(take(cursor)?);
    let len = u32::from_le_bytes(take(cursor)?);
    let data_offset = u32::from_le_bytes(take(cursor)?);
    let member = u32::from_le_bytes(take(cursor)?);
    let signal = match take::<1>(cursor)? {
        [1] => Signal::Traces,
        _ => return None,
    };
    let payload_len = usize::try_from(u32::from_le_bytes(take(cursor)?)).ok()?;
    let (payload, tail) = cursor.split_at_checked(payload_len)?;
    *cursor = tail;
    let trailer = Trailer::decode(payload).ok()?;
    let span = start..start.checked_add(u64::from(len))?;
    let data_start = start.checked_add(u64::from(data_offset))?;
    let data = data_start..data_start.checked_add(u64::from(trailer.data_len))?;
    (data.end <= span.end).then_some(FrameRef { span, data, member, signal, trailer })
}

fn take<const N: usize>(cursor: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = cursor.split_first_chunk::<N>()?;
    *cursor = tail;
    Some(*head)
}

/// Frames are at most a few hundred megabytes, so their lengths fit.
fn narrow(length: u64) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<FrameRef> {
        (0..3)
            .map(|n| FrameRef {
                span: 512 + n * 100..512 + n * 100 + 90,
                data: 512 + n * 100 + 10..512 + n * 100 + 60,
                member: 1,
                signal: Signal::Traces,
                trailer: Trailer { sequence: 7, data_len: 50, ..Trailer::default() },
            })
            .collect()
    }

    #[test]
    fn reads_back_what_it_wrote() {
        assert_eq!(decode(&encode(&frames())), Some(frames()));
        assert_eq!(decode(&encode(&[])), Some(Vec::new()));
        let entries: u64 = frames().iter().map(entry_len).sum();
        assert_eq!(encode(&frames()).len() as u64, encode(&[]).len() as u64 + entries);
    }

    #[test]
    fn no_damage_goes_unseen() {
        let good = encode(&frames());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(decode(&bad), None, "byte {at}");
            assert_eq!(decode(&good[..at]), None, "cut at {at}");
        }
    }
}
