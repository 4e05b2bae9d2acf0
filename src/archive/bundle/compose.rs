//! Entries out of chunks and chosen frames.

use std::ops::Range;
use std::sync::Arc;

use super::layout::Layout;
use crate::archive::frame::Compression;
use crate::archive::name::{ChunkName, data_member};
use crate::archive::snapshot::{Counts, Piece, Snapshot, Taken};
use crate::archive::ustar::{self, HeaderError};
use crate::ids::Signal;

/// Everything between the manifest and the end mark, and what it holds per chunk of the snapshot.
pub(super) struct Body {
    pub(super) layout: Layout,
    /// Per chunk of the snapshot: its bytes in the archive, and what is taken of it.
    pub(super) shares: Vec<(u64, Counts)>,
}

/// Lays out the entries of every chunk.
pub(super) fn chunks(snapshot: &Snapshot) -> Result<Body, HeaderError> {
    let (mut layout, mut shares) = (Layout::default(), Vec::new());
    for (place, chunk) in snapshot.chunks.iter().enumerate() {
        let before = layout.content_len();
        match &chunk.taken {
            Taken::Unreadable => {}
            Taken::Whole { content_len } => layout.push_file(place, 0..*content_len),
            Taken::Frames { compression: Compression::None, pieces } => {
                for piece in pieces {
                    layout.push_file(place, span(piece));
                }
            }
            Taken::Frames { compression, pieces } => {
                for frames in pieces.chunk_by(|a, b| a.member == b.member) {
                    member(&chunk.name, place, *compression, frames, &mut layout)?;
                }
            }
        }
        shares.push((layout.content_len() - before, chunk.counts));
    }
    Ok(Body { layout, shares })
}

/// Lays out one data member that consists of these frames.
fn member(
    chunk: &ChunkName,
    place: usize,
    compression: Compression,
    frames: &[Piece],
    layout: &mut Layout,
) -> Result<(), HeaderError> {
    let Some(first) = frames.first() else { return Ok(()) };
    let name = chunk.member(&data_member(Signal::Traces, first.member, compression.ending()));
    let size = frames.iter().map(|frame| u64::from(frame.len)).sum();
    layout.push_bytes(Arc::from(&ustar::header(&name, size, chunk.started_secs())?[..]));
    for frame in frames {
        layout.push_file(place, span(frame));
    }
    layout.push_zeros(ustar::padding(size) as u64);
    Ok(())
}

/// Lays out an entry whose body is at hand.
pub(super) fn entry(name: &str, modified: u64, body: Arc<[u8]>, layout: &mut Layout) -> Result<(), HeaderError> {
    let size = body.len() as u64;
    layout.push_bytes(Arc::from(&ustar::header(name, size, modified)?[..]));
    layout.push_bytes(body);
    layout.push_zeros(ustar::padding(size) as u64);
    Ok(())
}

fn span(piece: &Piece) -> Range<u64> {
    piece.start..piece.start + u64::from(piece.len)
}
