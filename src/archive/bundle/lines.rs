//! The lines of a snapshot that a filter leaves, decoded.

use super::chunk::Opened;
use super::{BundleError, Bundles};
use crate::archive::frame::{self, Compression};
use crate::archive::name::{ChunkName, ChunkState};
use crate::archive::snapshot::{Filter, Piece, Snapshot, Taken};
use crate::archive::trailer::{Facts, Trailer};
use crate::otlp::lines::LineFilter;
use crate::units::ByteSize;

/// The most that the selected lines of one trace may take, so that a request's memory is bounded.
pub const MAX_LINES: ByteSize = ByteSize(64 << 20);

/// The lines that a filter leaves of one frame.
pub(super) struct Selected<'a> {
    /// The chunk's place in the snapshot.
    pub(super) chunk: usize,
    /// Whole lines, at least one.
    pub(super) lines: &'a [u8],
    /// How many lines.
    pub(super) n_lines: u32,
    /// How many items (spans) they hold.
    pub(super) items: u32,
}

impl Bundles {
    /// Hands the selected lines of every frame of a snapshot to `each`, in order.
    pub(super) fn select(
        &self,
        snapshot: &Snapshot,
        filter: &Filter,
        mut each: impl FnMut(Selected<'_>) -> Result<(), BundleError>,
    ) -> Result<(), BundleError> {
        let Filter { since, until, service, trace_id } = filter.clone();
        let filter = LineFilter { since, until, service, trace_id };
        let (mut lines, mut kept, mut total) = (Vec::new(), Vec::new(), 0_u64);
        for (place, chunk) in snapshot.chunks.iter().enumerate() {
            let name = &chunk.name;
            let Taken::Frames { compression, pieces } = &chunk.taken else { continue };
            let opened = self.open_chunk(name, ChunkState::InProgress)?;
            let opened = opened.ok_or(BundleError::Gone { missing: 1, total: snapshot.chunks.len() as u64 })?;
            for piece in pieces {
                self.decode(name, &opened, (*compression, piece), &mut lines)?;
                kept.clear();
                let kept_of = keep(&filter, &lines, &mut kept);
                let (n_lines, items) = kept_of.map_err(|reason| BundleError::Line { chunk: name.clone(), reason })?;
                total += kept.len() as u64;
                if total > MAX_LINES.0 {
                    return Err(BundleError::TraceTooLarge { limit: MAX_LINES });
                }
                if n_lines > 0 {
                    each(Selected { chunk: place, lines: &kept, n_lines, items })?;
                }
            }
        }
        Ok(())
    }

    /// Replaces `lines` by those of a frame.
    fn decode(
        &self,
        chunk: &ChunkName,
        opened: &Opened,
        (compression, piece): (Compression, &Piece),
        lines: &mut Vec<u8>,
    ) -> Result<(), BundleError> {
        let Piece { start, data_at, data_len, data_crc, raw_len, .. } = *piece;
        let mut data = vec![0; usize::try_from(data_len).unwrap_or(0)];
        self.read(chunk, opened, start + u64::from(data_at), &mut data)?;
        if crc32fast::hash(&data) != data_crc {
            return Err(BundleError::Changed);
        }
        let trailer = Trailer { sequence: 0, data_len, data_crc, raw_len, facts: Facts::default() };
        lines.clear();
        let decoded = frame::decode(compression, &data, &trailer, lines);
        decoded.map_err(|source| BundleError::Frame { chunk: chunk.clone(), source })
    }
}

/// Appends what the filter leaves of the lines; returns how many lines and items that is.
fn keep(filter: &LineFilter, lines: &[u8], kept: &mut Vec<u8>) -> Result<(u32, u32), String> {
    let (mut n_lines, mut items) = (0, 0);
    for line in lines.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        let before = kept.len();
        let n = filter.apply(line, kept).map_err(|error| error.to_string())?;
        if n == 0 {
            kept.truncate(before);
            continue;
        }
        if kept.last() != Some(&b'\n') {
            kept.push(b'\n');
        }
        (n_lines, items) = (n_lines + 1, items + n);
    }
    Ok((n_lines, items))
}
