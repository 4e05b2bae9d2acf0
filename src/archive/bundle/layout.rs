//! An archive as a list of segments, found by offset.

use std::ops::Range;
use std::sync::Arc;

/// A run of an archive's bytes.
#[derive(Debug, Clone)]
pub(super) enum Segment {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// A range of a chunk's file; the chunk by its place in the snapshot.
    File {
        /// The chunk.
        chunk: usize,
        /// Where in its file.
        range: Range<u64>,
    },
    /// So many zeros.
    Zeros(u64),
}

impl Segment {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { range, .. } => range.end - range.start,
            Self::Zeros(len) => *len,
        }
    }
}

/// Segments and where each begins.
#[derive(Debug, Default)]
pub(super) struct Layout {
    segments: Vec<(u64, Segment)>,
    len: u64,
}

impl Layout {
    pub(super) fn content_len(&self) -> u64 {
        self.len
    }

    pub(super) fn push_bytes(&mut self, bytes: Arc<[u8]>) {
        self.push(Segment::Bytes(bytes));
    }

    pub(super) fn push_zeros(&mut self, len: u64) {
        self.push(Segment::Zeros(len));
    }

    /// Appends a range of a file; one that goes on where the last segment ended becomes part of it.
    pub(super) fn push_file(&mut self, chunk: usize, range: Range<u64>) {
        if let Some((_, Segment::File { chunk: last_chunk, range: last })) = self.segments.last_mut()
            && *last_chunk == chunk
            && last.end == range.start
        {
            self.len += range.end - range.start;
            last.end = range.end;
            return;
        }
        self.push(Segment::File { chunk, range });
    }

    pub(super) fn append(&mut self, other: Self) {
        for (_, segment) in other.segments {
            self.push(segment);
        }
    }

    fn push(&mut self, segment: Segment) {
        let len = segment.len();
        if len > 0 {
            self.segments.push((self.len, segment));
            self.len += len;
        }
    }

    /// Returns the segment that holds the byte at `offset`, and where in it that is.
    pub(super) fn find(&self, offset: u64) -> Option<(&Segment, u64)> {
        let next = self.segments.partition_point(|&(start, _)| start <= offset);
        let (start, segment) = self.segments.get(next.checked_sub(1)?)?;
        let within = offset - start;
        (within < segment.len()).then_some((segment, within))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_is_found_and_none_past_the_end() {
        let mut layout = Layout::default();
        layout.push_bytes(Arc::from(&b"abc"[..]));
        layout.push_zeros(0);
        layout.push_file(1, 10..12);
        layout.push_file(1, 12..15);
        layout.push_file(2, 15..16);
        layout.push_zeros(2);
        let found = |offset| match layout.find(offset) {
            Some((Segment::Bytes(_), at)) => format!("bytes+{at}"),
            Some((Segment::File { chunk, range }, at)) => format!("{chunk}:{}", range.start + at),
            Some((Segment::Zeros(_), at)) => format!("zeros+{at}"),
            None => "none".to_owned(),
        };
        let all: Vec<_> = (0..12).map(found).collect();
        let expected = "bytes+0 bytes+1 bytes+2 1:10 1:11 1:12 1:13 1:14 2:15 zeros+0 zeros+1 none";
        assert_eq!(all.join(" "), expected);
        assert_eq!((layout.content_len(), layout.segments.len()), (11, 4));
    }
}
