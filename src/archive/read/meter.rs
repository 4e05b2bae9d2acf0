//! What a decoder takes of its input, and whose fault an error is.

use std::cell::Cell;
use std::io::{self, Read};

/// An input that counts what it gave, and remembers whether it failed itself.
///
/// A decoder reports both its input's errors and its own as the same type; only the latter are damage.
pub(super) struct Metered<'a> {
    pub(super) input: &'a mut dyn Read,
    pub(super) meter: &'a Meter,
}

/// What a decoder took of its input.
#[derive(Default)]
pub(super) struct Meter {
    consumed: Cell<u64>,
    has_failed: Cell<bool>,
}

impl Meter {
    /// Returns how many bytes were taken.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed.get()
    }

    /// Tells whether the input itself failed.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.get()
    }
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer) {
            Ok(n) => {
                self.meter.consumed.set(self.meter.consumed.get() + n as u64);
                Ok(n)
            }
            Err(error) => {
                self.meter.has_failed.set(error.kind() != io::ErrorKind::Interrupted);
                Err(error)
            }
        }
    }
}
