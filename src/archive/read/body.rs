//! The body of a member, within the tar that holds it.

use std::io::{self, Read};

/// A member's body: reads end where it ends.
pub(super) struct Body<'r> {
    /// What is read, with all that follows the body.
    pub(super) input: &'r mut dyn Read,
    /// What the header promised and was not read yet.
    pub(super) left: u64,
}

impl<'r> Body<'r> {
    /// Takes the next `size` bytes for the body.
    pub(super) fn new(input: &'r mut dyn Read, size: u64) -> Self {
        Self { input, left: size }
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.input.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.left -= n as u64;
        Ok(n)
    }
}
