//! The short way for attributes: they are half of what a request holds, and nearly all are written alike, to
//! the byte.
//!
//! Where it turns out that one is written otherwise, it is read again from its beginning; but never once a value was
//! entered that may hold others, or each level of those would be read twice as often as the one around it.

use super::{LEN, Reader};
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
        let scan = self.scan.clone();
        let done = self.key_and_value(number, depth)?;
        if !done {
            self.scan = scan;
        }
        Ok(done)
    }

    // Writes nothing where it returns `false`.
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
        let is_long = depth > 1;
        let start = self.begin_message(number, is_long);
        let key_at = self.out.len();
        self.out.push(plain.key_tag);
        self.length(key.raw.len());
        self.out.extend_from_slice(key.raw);
        let value_at = self.out.len();
        self.message(plain.value_number, plain.value, plain.value_message, depth)?;
        if !self.scan.take(b'}') {
            self.more_members([(plain.key_number, key_at), (plain.value_number, value_at)], depth)?;
        }
        self.end_message(start, is_long)?;
        Ok(true)
    }

    // Reads what stands behind key and value of an attribute.
    #[cold]
    fn more_members(&mut self, written: [(u32, usize); 2], depth: u32) -> Result<(), Stop> {
        if !self.scan.more(b'}')? {
            return Ok(());
        }
        let base = self.written.len();
        self.written.extend_from_slice(&written);
        let seen = written.iter().fold(0, |seen, (number, _)| seen | 1 << number);
        self.members(PLAIN_ATTRIBUTE.message, (base, seen), depth)?;
        self.written.truncate(base);
        Ok(())
    }

    fn string_attribute(&mut self, number: u32, key: &[u8], text: &[u8]) {
        let plain = &PLAIN_ATTRIBUTE;
        let value_len = delimited_len(text.len());
        self.tag(number, LEN);
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

#[cfg(test)]
mod tests {
    use super::super::tests::{attribute, refused};

    /// Puts a value below maps, each with something behind the value of its only key.
    fn nested(levels: usize, innermost: &str, before: &str, behind: &str) -> String {
        let open = format!(r#"{{"kvlistValue":{{"values":[{{{before}"value":"#).repeat(levels);
        format!("{open}{innermost}{}", format!("{behind}}}]}}}}").repeat(levels))
    }

    #[test]
    fn a_value_is_read_once_whatever_stands_behind_it() {
        // Read again at every level, this would take 2^63 steps.
        let check = |behind, written: &str| {
            let value = nested(63, r#"{"intValue":1}"#, r#""key":"a","#, behind);
            assert_eq!(attribute(&value), written, "{behind}");
        };
        let plain = nested(63, r#"{"intValue":"1"}"#, r#""key":"a","#, "");
        for behind in ["", r#","x":0"#, "\n, \"x\" : {\"value\":[]} ", r#","keyStrindex":0"#] {
            check(behind, &plain);
        }
        for behind in [r#","key":"b""#, r#","key":null,"key":"b""#] {
            check(behind, &nested(63, r#"{"intValue":"1"}"#, "", r#","key":"b""#));
        }
        check(r#","value":null"#, r#"{"kvlistValue":{"values":[{"key":"a"}]}}"#);
        check(r#","value":{"boolValue":true}"#, &nested(1, r#"{"boolValue":true}"#, r#""key":"a","#, ""));
    }

    #[test]
    fn a_long_value_is_not_moved_at_every_level() {
        let moved = |len: usize| {
            let text = format!(r#"{{"stringValue":"{}"}}"#, "n".repeat(len));
            nested(63, &text, r#""key":"a","#, r#","key":"b""#)
        };
        assert!(attribute(&moved(10_000)).contains("nnn"));
        refused(&format!(r#""attributes":[{{"key":"k","value":{}}}]"#, moved(1_000_000)));
    }
}
