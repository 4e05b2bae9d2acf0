//! Tells what a stream is by its first block.

use super::messages::begins_with_message;
use crate::archive::frame::Compression;
use crate::archive::ustar::{self, Block, Parsed};

/// What a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing.
    Empty,
    /// A tar.
    Tar,
    /// JSON lines, or messages behind their lengths.
    Lines(Compression),
}

/// Tells what begins with `head`, the first 512 bytes or all there is; `None` for anything else.
pub(super) fn sniff(head: &[u8]) -> Option<Content> {
    if head.is_empty() {
        return Some(Content::Empty);
    }
    if head.starts_with(&[0x1f, 0x8b]) {
        return Some(Content::Lines(Compression::Gzip));
    }
    // A zstd frame, or a skippable one.
    if matches!(head, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]) {
        return Some(Content::Lines(Compression::Zstd));
    }
    if is_tar(head) {
        return Some(Content::Tar);
    }
    if begins_with_message(head) {
        return Some(Content::Lines(Compression::None));
    }
    let first = head.iter().find(|b| !b.is_ascii_whitespace());
    matches!(first, Some(b'{') | None).then_some(Content::Lines(Compression::None))
}

/// Tells whether `head` begins with a tar header, or is the end mark of an empty tar.
pub(super) fn is_tar(head: &[u8]) -> bool {
    first_block(head).is_some_and(|parsed| parsed != Parsed::Garbage)
}

/// Tells whether `head` begins with a tar header: zeros alone may also be the beginning of anything else.
pub(super) fn begins_with_header(head: &[u8]) -> bool {
    first_block(head).is_some_and(|parsed| !matches!(parsed, Parsed::Garbage | Parsed::Zeros))
}

fn first_block(head: &[u8]) -> Option<Parsed> {
    head.first_chunk::<{ ustar::BLOCK }>().map(|block: &Block| ustar::parse(block))
}
