//! The text under construction, and how values are written into it as JSON.
//!
//! The buffer is kept filled with zeros a little ahead of the text, so that a key or eight bytes of a string are
//! copied as a block of fixed size and only then the length is moved: several times cheaper than appending to
//! a `Vec` byte by byte, and it needs no unsafe code.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::schema::Key;
use super::swar::{self, BLOCK};

/// How far the zeros run ahead when the buffer grows: enough to be rare, and still in the first cache.
const STEP: usize = 2048;

/// As many digits are made at once.
const DIGITS: usize = 8;

/// Lists that take no more than this are not counted: the fields of any but the oddest message fit in.
const FREE_LIST_BYTES: usize = 16 << 10;

/// From here on a number has more than eight digits.
const EIGHT_DIGITS: u64 = 100_000_000;

/// JSON text that grows at its end.
#[derive(Debug)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    len: usize,
    /// The buffer and what is held beside it do not grow beyond this many bytes.
    max_capacity: usize,
    /// How many bytes are held beside it.
    held: usize,
    /// How many bytes there should have been for what did not fit, 0 where all did; else the text is of no use.
    lacking: usize,
}

impl Default for Output {
    fn default() -> Self {
        Self { bytes: Vec::new(), len: 0, max_capacity: usize::MAX, held: 0, lacking: 0 }
    }
}

impl Output {
    /// Returns how long the text is.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns how many bytes the buffer takes.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Lets the buffer, and what is held beside it, grow to so many bytes; what is there is left.
    #[inline]
    pub(crate) fn bound(&mut self, max_capacity: usize) {
        self.max_capacity = max_capacity;
        self.lacking = 0;
    }

    /// Tells whether something did not fit since the bound was set: then the text is of no use.
    #[inline]
    pub(crate) fn is_cut(&self) -> bool {
        self.lacking != 0
    }

    /// Returns the next bound to try where something did not fit: at least what was lacking, and twice the last one,
    /// so that a text is written a few times at the most.
    pub(crate) fn wider(&self) -> usize {
        self.lacking.max(self.max_capacity.saturating_mul(2))
    }

    /// Counts `bytes` of a list that is needed to write the text; `false` where it does not fit: then it must not be made.
    pub(crate) fn hold(&mut self, bytes: usize) -> bool {
        let needed = self.capacity().saturating_add((self.held + bytes).saturating_sub(FREE_LIST_BYTES));
        let fits = needed <= self.max_capacity;
        if fits {
            self.held += bytes;
        } else {
            self.lacking = self.lacking.max(needed);
        }
        fits
    }

    /// Counts a list no more.
    pub(crate) fn release(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
    }

    /// Returns the text from an offset on.
    pub(crate) fn text_from(&self, start: usize) -> &[u8] {
        self.bytes.get(start..self.len).unwrap_or_default()
    }

    /// Takes the text out and leaves an empty one.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.bytes.truncate(self.len);
        self.len = 0;
        std::mem::take(&mut self.bytes)
    }

    /// Makes room for that many bytes at once.
    pub(crate) fn reserve(&mut self, additional: usize) {
        self.bytes.reserve(additional);
    }

    /// Cuts the text back to `len` bytes.
    #[inline]
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Appends one byte.
    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.copy(&[byte], 1);
    }

    /// Appends a key.
    #[inline]
    pub(crate) fn key(&mut self, key: &Key) {
        self.copy(&key.padded, key.len);
    }

    /// Appends so many bytes as they are.
    #[inline]
    pub(crate) fn bytes<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.copy(bytes, N);
    }

    /// Appends bytes as they are.
    #[inline(never)]
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.room(bytes.len());
        if let Some(to) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            to.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    /// Replaces the byte at `at`, which is part of the text.
    #[inline]
    pub(crate) fn replace(&mut self, at: usize, byte: u8) {
        if let Some(old) = self.bytes.get_mut(at) {
            *old = byte;
        }
    }

    /// Turns the last byte, a comma after an element, into `byte`.
    #[inline]
    pub(crate) fn replace_last(&mut self, byte: u8) {
        self.replace(self.len.saturating_sub(1), byte);
    }

    /// Appends an integer that may be negative.
    #[inline]
    pub(crate) fn signed(&mut self, value: i64) {
        if value < 0 {
            self.byte(b'-');
        }
        self.unsigned(value.unsigned_abs());
    }

    /// Appends an integer.
    ///
    /// Digits are made eight at a time and copied as one block: a time, which has nineteen, takes a third of the
    /// instructions of making them two at a time and copying as many as there are.
    #[inline]
    pub(crate) fn unsigned(&mut self, value: u64) {
        self.room(3 * DIGITS);
        let to = self.bytes.get_mut(self.len..).unwrap_or_default();
        let (high, low) = (value / EIGHT_DIGITS, value % EIGHT_DIGITS);
        self.len += if high == 0 {
            leading_digits(to, low)
        } else if high < EIGHT_DIGITS {
            let len = leading_digits(to, high);
            following_digits(to, len, low)
        } else {
            let len = leading_digits(to, high / EIGHT_DIGITS);
            let len = following_digits(to, len, high % EIGHT_DIGITS);
            following_digits(to, len, low)
        };
    }

    /// Appends a double: the shortest text that reads back as the same, or what OTLP writes for what JSON lacks.
    pub(crate) fn double(&mut self, value: f64) {
        if value.is_finite() {
            self.raw(zmij::Buffer::new().format_finite(value).as_bytes());
        } else if value.is_nan() {
            self.raw(b"\"NaN\"");
        } else if value > 0.0 {
            self.raw(b"\"Infinity\"");
        } else {
            self.raw(b"\"-Infinity\"");
        }
    }

    /// Appends bytes in lower-case hexadecimal and the closing quote; ids have 8 or 16.
    #[inline]
    pub(crate) fn hex(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<8>();
        debug_assert!(rest.is_empty(), "the tables' test holds ids to whole blocks");
        for block in blocks {
            self.copy(&swar::hex(block), 16);
        }
        self.byte(b'"');
    }

    /// Appends bytes in base64 and the closing quote.
    pub(crate) fn base64(&mut self, bytes: &[u8]) {
        let len = bytes.len().div_ceil(3) * 4;
        self.room(len);
        // In place, because the bytes may be as many as a request has.
        if let Some(to) = self.bytes.get_mut(self.len..self.len + len) {
            self.len += STANDARD.encode_slice(bytes, to).unwrap_or(0);
        }
        self.byte(b'"');
    }

    /// Appends `before`, the contents of a string, escaped, and `after`; tells whether the string had to be repaired.
    ///
    /// `body` is what the string is a part of: reading blocks that reach beyond the string spares the tail loop.
    /// All three move the end once, which is what the next append waits for.
    #[inline]
    pub(crate) fn string<const N: usize>(
        &mut self,
        before: &Key,
        body: &[u8],
        range: Range<usize>,
        after: &[u8; N],
    ) -> bool {
        let blocks = range.len().next_multiple_of(BLOCK);
        self.room(Key::ROOM + blocks + N);
        if self.copy_plain(before, body, &range, after).is_some() {
            return false;
        }
        self.key(before);
        let repaired = self.escape(body.get(range).unwrap_or_default());
        self.bytes(after);
        repaired
    }

    // Copies a string that is ASCII without anything to escape, and what stands around it; else nothing.
    // Copying and looking in one pass, sixteen bytes at a time, halved the instructions per string against eight.
    #[inline]
    fn copy_plain<const N: usize>(
        &mut self,
        before: &Key,
        body: &[u8],
        range: &Range<usize>,
        after: &[u8; N],
    ) -> Option<()> {
        let mut left = range.len();
        let from = body.get(range.start..range.start + left.next_multiple_of(BLOCK))?;
        let to = self.bytes.get_mut(self.len..)?;
        *to.first_chunk_mut()? = before.padded;
        let to = to.get_mut(before.len..)?;
        for (block, target) in from.as_chunks::<BLOCK>().0.iter().zip(to.as_chunks_mut::<BLOCK>().0) {
            *target = *block;
            if !swar::is_plain(block, left) {
                return None;
            }
            left = left.saturating_sub(BLOCK);
        }
        *to.get_mut(range.len()..)?.first_chunk_mut()? = *after;
        self.len += before.len + range.len() + N;
        Some(())
    }

    // Writes runs of what needs no escape as a whole; tells whether invalid UTF-8 was replaced.
    #[cold]
    fn escape(&mut self, bytes: &[u8]) -> bool {
        let mut repaired = false;
        // In place, because a string may be as long as a request.
        for chunk in bytes.utf8_chunks() {
            self.escape_valid(chunk.valid().as_bytes());
            if !chunk.invalid().is_empty() {
                self.raw("\u{fffd}".as_bytes());
                repaired = true;
            }
        }
        repaired
    }

    fn escape_valid(&mut self, mut rest: &[u8]) {
        while let Some(at) = rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            let (plain, special) = rest.split_at(at);
            self.raw(plain);
            if let [first, tail @ ..] = special {
                self.escaped(*first);
                rest = tail;
            }
            if self.is_cut() {
                return;
            }
        }
        self.raw(rest);
    }

    fn escaped(&mut self, byte: u8) {
        match byte {
            b'"' => self.raw(b"\\\""),
            b'\\' => self.raw(b"\\\\"),
            b'\n' => self.raw(b"\\n"),
            b'\r' => self.raw(b"\\r"),
            b'\t' => self.raw(b"\\t"),
            _ => {
                let [.., high, low] = swar::hex(&u64::from(byte).to_be_bytes());
                self.raw(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }

    // Writes the whole block and moves the end by `len`.
    #[inline]
    fn copy<const N: usize>(&mut self, block: &[u8; N], len: usize) {
        if let Some(to) = self.bytes.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut::<N>) {
            *to = *block;
            self.len += len;
        } else {
            self.raw(block.get(..len).unwrap_or_default());
        }
    }

    // After this, `additional` bytes behind the text are there to be written.
    #[inline]
    fn room(&mut self, additional: usize) {
        if self.bytes.len() - self.len < additional {
            self.grow(additional);
        }
    }

    // Where it may not grow, what is appended is left out: so only this cold way asks for the bound.
    #[cold]
    fn grow(&mut self, additional: usize) {
        let (capacity, needed) = (self.bytes.capacity(), self.len + additional + STEP);
        if needed > capacity {
            let held = self.held.saturating_sub(FREE_LIST_BYTES);
            let max_capacity = self.max_capacity.saturating_sub(held);
            if needed > max_capacity {
                self.lacking = self.lacking.max(needed.saturating_add(held));
                return;
            }
            let doubled = capacity.saturating_mul(2).clamp(needed, max_capacity);
            self.bytes.reserve_exact(doubled - self.bytes.len());
        }
        self.bytes.resize(needed, 0);
    }
}

/// Writes a number of up to eight digits to the front; returns how many it has.
///
/// They are counted by branches, though the zeros in front could be: a branch is foreseen, and the next append need
/// not wait for all the multiplications to know where it begins.
#[inline]
fn leading_digits(to: &mut [u8], value: u64) -> usize {
    let Some(to) = to.first_chunk_mut() else { return 0 };
    if value < 10 {
        *to = (value | u64::from(b'0')).to_le_bytes();
        return 1;
    }
    let len = match value {
        0..100 => 2,
        100..1_000 => 3,
        1_000..10_000 => 4,
        10_000..100_000 => 5,
        100_000..1_000_000 => 6,
        1_000_000..10_000_000 => 7,
        _ => DIGITS,
    };
    *to = (u64::from_le_bytes(swar::decimal(value)) >> (8 * (DIGITS - len))).to_le_bytes();
    len
}

/// Writes the next eight digits behind `len`; returns how many there are then.
#[inline]
fn following_digits(to: &mut [u8], len: usize, value: u64) -> usize {
    let Some(to) = to.get_mut(len..).and_then(<[u8]>::first_chunk_mut) else { return len };
    *to = swar::decimal(value);
    len + DIGITS
}

#[cfg(test)]
mod tests;
