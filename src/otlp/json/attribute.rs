//! The short way for attributes: they are half of what a request holds, and nearly all are written alike, to
//! the byte.

use super::{Reader, value};
use crate::otlp::schema::PLAIN_ATTRIBUTE;
use crate::otlp::wire::Stop;

impl Reader<'_, '_> {
    /// Reads an attribute without anything special and appends it as field `number`.
    ///
    /// Returns `false`, and nothing happened, where it is written in any other way.
    pub(super) fn plain_attribute(&mut self, number: u32, depth: u32) -> Result<bool, Stop> {
        if !self.is_utf8 || depth >= self.max_depth {
            return Ok(false);
        }
        let (scan, len, read) = (self.scan.clone(), self.out.len(), self.read);
        let done = self.key_and_value(number, depth)?;
        if !done {
            self.scan = scan;
            self.out.truncate(len);
            self.read = read;
        }
        Ok(done)
    }

    fn key_and_value(&mut self, number: u32, depth: u32) -> Result<bool, Stop> {
        let plain = &PLAIN_ATTRIBUTE;
        if !self.scan.take_exactly(&plain.before_key) {
            return Ok(false);
        }
        let key = self.scan.rest_of_string()?;
        if key.is_escaped {
            return Ok(false);
        }
        if self.scan.take_exactly(&plain.before_string) {
            let text = self.scan.rest_of_string()?;
            if text.is_escaped || !self.scan.take_end(plain.behind) {
                return Ok(false);
            }
            self.string_attribute(number, key.raw, text.raw);
            return Ok(true);
        }
        if !self.scan.take_exactly(&plain.value.key) || self.scan.peek() == Some(b'n') {
            return Ok(false);
        }
        self.tag(number, value::LEN);
        let start = self.out.len();
        self.out.extend_from_slice(&[0, plain.key_tag]);
        self.length(key.raw.len());
        self.out.extend_from_slice(key.raw);
        self.message(plain.value_number, plain.value, plain.value_message, depth)?;
        self.set_short_length(start)?;
        Ok(self.scan.take(b'}'))
    }

    fn string_attribute(&mut self, number: u32, key: &[u8], text: &[u8]) {
        let plain = &PLAIN_ATTRIBUTE;
        let value_len = delimited_len(text.len());
        self.tag(number, value::LEN);
        self.length(delimited_len(key.len()) + delimited_len(value_len));
        self.out.push(plain.key_tag);
        self.length(key.len());
        self.out.extend_from_slice(key);
        self.out.push(plain.value_tag);
        self.length(value_len);
        self.out.push(plain.string_tag);
        self.length(text.len());
        self.out.extend_from_slice(text);
    }
}

/// Returns how many bytes a field of `len` bytes takes with its tag and its length.
#[inline]
fn delimited_len(len: usize) -> usize {
    let bits = usize::BITS - len.leading_zeros();
    let length_len = usize::try_from(bits.div_ceil(7).max(1)).unwrap_or(1);
    1 + length_len + len
}
