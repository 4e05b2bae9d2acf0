//! A sliding view of a file, so that a chunk of any length is read in bounded memory.

use super::contents::ScanError;
use crate::archive::fs::File;

/// What is read ahead: a member of 4 MiB and the next one's beginning.
pub(super) const WINDOW: usize = 8 << 20;

/// The bytes of a file from some offset on.
pub(in crate::archive) struct Window<'a> {
    file: &'a dyn File,
    len: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(in crate::archive) fn new(file: &'a dyn File, len: u64) -> Self {
        Self { file, len, start: 0, buffer: Vec::new() }
    }

    /// Returns the length of the file, or less where it proved shorter than was said.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Tells whether the buffered bytes reach the end of the file.
    pub(super) fn reaches_end(&self) -> bool {
        self.start + self.buffer.len() as u64 >= self.len
    }

    /// Returns the bytes from `at` on, at least `want` unless the file ends before.
    ///
    /// Bytes before `at` may be forgotten.
    pub(in crate::archive) fn fill(&mut self, at: u64, want: usize) -> Result<&[u8], ScanError> {
        let end = self.start + self.buffer.len() as u64;
        let wanted_end = at.saturating_add(want as u64).min(self.len);
        if at < self.start || wanted_end > end {
            self.slide(at);
            self.read(want.max(WINDOW))?;
        }
        Ok(self.bytes(at))
    }

    /// Returns what is buffered from `at` on.
    pub(super) fn bytes(&self, at: u64) -> &[u8] {
        let skip = at.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.buffer.get(skip..)).unwrap_or_default()
    }

    /// Makes `at` the first byte of the buffer.
    fn slide(&mut self, at: u64) {
        let kept = at.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        match kept.filter(|&skip| skip <= self.buffer.len()) {
            Some(skip) => drop(self.buffer.drain(..skip)),
            None => self.buffer.clear(),
        }
        self.start = at;
    }

    /// Reads on until the buffer holds `target` bytes or the file ends.
    fn read(&mut self, target: usize) -> Result<(), ScanError> {
        let left = usize::try_from(self.len.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let mut filled = self.buffer.len();
        self.buffer.resize(target.min(left).max(filled), 0);
        while let Some(room) = self.buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            let offset = self.start + filled as u64;
            let n = self.file.read_at(room, offset).map_err(|source| ScanError::Read { offset, source })?;
            if n == 0 {
                self.len = offset;
                self.buffer.truncate(filled);
            }
            filled += n;
        }
        Ok(())
    }
}
