//! What tells snapshots apart.

use ring::digest::{Context, Digest};

/// How much of the SHA-256 digest tells snapshots apart: 128 bits.
pub(in crate::archive) const DIGEST_LEN: usize = 16;

/// Feeds a text with its length, so that two lists of texts never digest alike.
pub(super) fn hash_text(context: &mut Context, text: &str) {
    context.update(&(text.len() as u64).to_le_bytes());
    context.update(text.as_bytes());
}

/// Returns the first bytes of a digest; `N` is at most its 32.
pub(super) fn head<const N: usize>(digest: &Digest) -> [u8; N] {
    digest.as_ref().first_chunk::<N>().copied().unwrap_or([0; N])
}
