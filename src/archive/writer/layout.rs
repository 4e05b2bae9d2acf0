//! Where the next bytes of a chunk go: members, frames, padding, headers. No I/O.
//!
//! Invariant: the staged bytes belong right behind the committed body, at
//! [`Layout::offset`]; they overwrite that body's padding and nothing else. The one
//! committed block that changes is the header of the member that grows.

use super::AppendError;
use crate::archive::frame::{Compression, Encoder};
use crate::archive::index::FrameRef;
use crate::archive::name::{ChunkName, data_member, frame_member};
use crate::archive::trailer::Facts;
use crate::archive::ustar::{self, BLOCK, BLOCK_LEN, Block, HeaderError, MAX_BODY};
use crate::ids::Signal;

/// A member that may still grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    signal: Signal,
    number: u32,
    header_at: u64,
}

impl Open {
    fn body_at(self) -> u64 {
        self.header_at + BLOCK_LEN
    }
}

/// A point in the growth of a chunk.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    /// The member that grows; none before the first, and never without compression.
    open: Option<Open>,
    /// Where the last body ends, its padding not counted.
    end: u64,
    n_members: u32,
    n_frames: usize,
    /// Where the member that was open at the last commit ended, once a later one was begun.
    outgrown: Option<u64>,
}

impl Cursor {
    /// Returns where the last body's padding ends.
    fn border(self) -> u64 {
        self.end + ustar::padding(self.end) as u64
    }
}

/// A block to be put over the one that is there.
pub(super) struct Rewrite {
    pub(super) offset: u64,
    pub(super) block: Block,
}

/// The layout of a growing chunk, and the staged bytes themselves.
pub(super) struct Layout {
    name: ChunkName,
    compression: Compression,
    member_bytes: u64,
    committed: Cursor,
    cursor: Cursor,
    staged: Vec<u8>,
    frames: Vec<FrameRef>,
}

impl Layout {
    pub(super) fn new(name: ChunkName, compression: Compression, member_bytes: u64) -> Self {
        // Half the limit of a header leaves room for a last frame of any size.
        let member_bytes = member_bytes.min(MAX_BODY / 2);
        let (committed, cursor) = (Cursor::default(), Cursor::default());
        Self { name, compression, member_bytes, committed, cursor, staged: Vec::new(), frames: Vec::new() }
    }

    pub(super) fn name(&self) -> &ChunkName {
        &self.name
    }

    /// Returns the length of the chunk as committed, padding included.
    pub(super) fn committed_len(&self) -> u64 {
        self.committed.border()
    }

    /// Returns by how much a commit would lengthen the chunk.
    pub(super) fn staged_len(&self) -> u64 {
        self.cursor.border() - self.committed.border()
    }

    pub(super) fn has_staged(&self) -> bool {
        self.cursor.n_frames > self.committed.n_frames
    }

    /// Returns the committed frames.
    pub(super) fn frames(&self) -> &[FrameRef] {
        self.frames.get(..self.committed.n_frames).unwrap_or_default()
    }

    pub(super) fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Forgets what was staged since `to`.
    pub(super) fn roll_back(&mut self, to: Cursor) {
        self.cursor = to;
        self.frames.truncate(to.n_frames);
        self.trim();
    }

    pub(super) fn discard_staged(&mut self) {
        self.roll_back(self.committed);
    }

    /// Stages one frame. After an error the caller rolls back.
    pub(super) fn append(
        &mut self,
        encoder: &mut Encoder,
        signal: Signal,
        lines: &[u8],
        facts: Facts,
    ) -> Result<(), AppendError> {
        self.trim();
        let sequence = u32::try_from(self.cursor.n_frames).map_err(|_| AppendError::TooManyFrames)?;
        let frame = match self.compression {
            Compression::None => self.append_plain(encoder, signal, lines, facts, sequence)?,
            Compression::Zstd | Compression::Gzip => self.append_compressed(encoder, signal, lines, facts, sequence)?,
        };
        self.frames.push(frame);
        self.cursor.n_frames += 1;
        Ok(())
    }

    /// Stages a frame at the end of the open member.
    fn append_compressed(
        &mut self,
        encoder: &mut Encoder,
        signal: Signal,
        lines: &[u8],
        facts: Facts,
        sequence: u32,
    ) -> Result<FrameRef, AppendError> {
        let member = self.member_for(signal)?;
        let start = self.cursor.end;
        let trailer = encoder.encode(lines, facts, sequence, &mut self.staged)?;
        self.cursor.end = self.staged_end();
        let data_len = u64::from(trailer.data_len);
        // A gzip frame carries its trailer in front of its data, a zstd frame behind it.
        let data = match self.compression {
            Compression::Gzip => self.cursor.end - data_len..self.cursor.end,
            Compression::Zstd | Compression::None => start..start + data_len,
        };
        Ok(FrameRef { span: start..self.cursor.end, data, member, signal, trailer })
    }

    /// Stages two whole members: lines, and what is known about them.
    fn append_plain(
        &mut self,
        encoder: &mut Encoder,
        signal: Signal,
        lines: &[u8],
        facts: Facts,
        sequence: u32,
    ) -> Result<FrameRef, AppendError> {
        let start = self.cursor.end;
        let member = self.cursor.n_members + 1;
        let header = self.header(&data_member(signal, member, ""), lines.len() as u64)?;
        self.staged.extend_from_slice(&header);
        let trailer = encoder.encode(lines, facts, sequence, &mut self.staged)?;
        let data = start + BLOCK_LEN..self.staged_end();
        self.pad();
        let mut payload = Vec::new();
        trailer.encode(&mut payload);
        let header = self.header(&frame_member(signal, member), payload.len() as u64)?;
        self.staged.extend_from_slice(&header);
        self.staged.extend_from_slice(&payload);
        self.pad();
        self.cursor.end = self.staged_end();
        self.cursor.n_members = member;
        Ok(FrameRef { span: start..self.cursor.end, data, member, signal, trailer })
    }

    /// Returns the number of the member that the next frame goes to, a new one where the open one is full.
    fn member_for(&mut self, signal: Signal) -> Result<u32, HeaderError> {
        if let Some(open) = self.cursor.open
            && open.signal == signal
            && self.cursor.end - open.body_at() < self.member_bytes
        {
            return Ok(open.number);
        }
        self.close_member()?;
        let number = self.cursor.n_members + 1;
        let open = Open { signal, number, header_at: self.cursor.end };
        self.staged.extend_from_slice(&self.member_header(open, open.body_at())?);
        self.cursor = Cursor { open: Some(open), end: self.staged_end(), n_members: number, ..self.cursor };
        Ok(number)
    }

    fn close_member(&mut self) -> Result<(), HeaderError> {
        let Some(open) = self.cursor.open.take() else { return Ok(()) };
        if self.is_committed(open) {
            self.cursor.outgrown = Some(self.cursor.end);
        } else {
            self.put_header(open)?;
        }
        self.pad();
        self.cursor.end = self.staged_end();
        Ok(())
    }

    /// Makes the staged bytes ready to be written at [`Self::offset`] and returns the committed header's new version.
    pub(super) fn finish(&mut self) -> Result<Option<Rewrite>, HeaderError> {
        self.trim();
        if let Some(open) = self.cursor.open
            && !self.is_committed(open)
        {
            self.put_header(open)?;
        }
        self.pad();
        let Some(open) = self.committed.open else { return Ok(None) };
        let end = self.cursor.outgrown.unwrap_or(self.cursor.end);
        self.rewrite(open, end).map(Some)
    }

    /// Returns the header that a chunk has to be given back when it is cut to its committed length.
    pub(super) fn committed_header(&self) -> Result<Option<Rewrite>, HeaderError> {
        self.committed.open.map(|open| self.rewrite(open, self.committed.end)).transpose()
    }

    /// Returns the bytes that [`Self::finish`] made ready.
    pub(super) fn staged(&self) -> &[u8] {
        &self.staged
    }

    /// Returns where the staged bytes belong: where the committed body ends.
    pub(super) fn offset(&self) -> u64 {
        self.committed.end
    }

    /// Takes over what was staged: it is durable.
    pub(super) fn commit(&mut self) {
        self.cursor.outgrown = None;
        self.committed = self.cursor;
        self.staged.clear();
    }

    fn is_committed(&self, open: Open) -> bool {
        open.header_at < self.committed.end
    }

    fn staged_end(&self) -> u64 {
        self.committed.end + self.staged.len() as u64
    }

    /// Drops the padding that the last `finish` put behind the open member.
    fn trim(&mut self) {
        let len = self.cursor.end - self.committed.end;
        self.staged.truncate(usize::try_from(len).unwrap_or(usize::MAX));
    }

    fn pad(&mut self) {
        let padding = ustar::padding(self.staged_end());
        self.staged.resize(self.staged.len() + padding, 0);
    }

    /// Puts the header of a staged member in its place, now that the end of its body is known.
    fn put_header(&mut self, open: Open) -> Result<(), HeaderError> {
        let header = self.member_header(open, self.cursor.end)?;
        let at = usize::try_from(open.header_at - self.committed.end).unwrap_or(usize::MAX);
        if let Some(slot) = at.checked_add(BLOCK).and_then(|end| self.staged.get_mut(at..end)) {
            slot.copy_from_slice(&header);
        }
        Ok(())
    }

    fn rewrite(&self, open: Open, end: u64) -> Result<Rewrite, HeaderError> {
        Ok(Rewrite { offset: open.header_at, block: self.member_header(open, end)? })
    }

    fn member_header(&self, open: Open, end: u64) -> Result<Block, HeaderError> {
        self.header(&data_member(open.signal, open.number, self.compression.ending()), end - open.body_at())
    }

    fn header(&self, member: &str, size: u64) -> Result<Block, HeaderError> {
        ustar::header(&self.name.member(member), size, self.name.started_secs())
    }
}
