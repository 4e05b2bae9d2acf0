//! Reads a chunk of unknown state: what can be vouched for, and what cannot. Never changes it.
//!
//! What is believed: a frame whose trailer and data match their checksums, wherever it
//! lies, and a tar header whose checksum holds. What is not: the size in the header of a
//! growing member, which a crash may leave ahead of its data or behind it. Bytes that
//! neither a frame nor a header accounts for are gaps; after one the walk goes on at the
//! next frame, or at the next header on the grid of 512 bytes, whichever comes first.
//!
//! Lines are JSON and hold no control character but line ends, so neither a tar header nor a frame's magic can stand in
//! lines that are stored as they are, whatever a client sent. Compressed lines and the filter of a trailer may be any
//! bytes. They are looked into only where the frame around them is damaged, and what is found there must have the
//! checksums of a frame or of a header: at worst lines that the client could have sent as well, or a gap more.

mod contents;
mod find;
mod sealed;
mod walk;
mod window;

use super::fs::File;

pub use contents::{Gap, MemberRef, Newer, Scan, ScanError};
pub use sealed::{compression, frames, manifest};
pub(super) use window::Window;

/// Reads the first `len` bytes of a chunk and checks every frame.
///
/// Holds about 8 MiB of the file in memory; up to the longest frame (some 130 MiB) where one is damaged.
///
/// # Errors
/// [`ScanError::Read`] where the file cannot be read. A later format is told in [`Scan::newer`].
pub fn scan(file: &dyn File, len: u64) -> Result<Scan, ScanError> {
    walk::Walk::from_start(file, len).run()
}

/// Goes on where an earlier scan of the same growing file ended.
///
/// What is committed never changes, so the frames found before are not read again.
///
/// # Errors
/// As [`scan`].
pub fn scan_from(previous: Scan, file: &dyn File, len: u64) -> Result<Scan, ScanError> {
    walk::Walk::after(previous, file, len).run()
}

#[cfg(test)]
mod tests;
