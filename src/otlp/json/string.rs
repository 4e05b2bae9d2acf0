//! Strings of JSON: what their escapes mean.

use std::borrow::Cow;

use crate::otlp::wire::Stop;

/// A character takes so many bytes as an escape at the most.
const ESCAPE_BYTES: usize = 6;

/// A string between its quotes, as it stands in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawString<'a> {
    pub(super) raw: &'a [u8],
    /// Whether it holds a backslash.
    pub(super) is_escaped: bool,
    pub(super) offset: usize,
}

impl<'a> RawString<'a> {
    /// Returns the string without its escapes.
    #[inline]
    pub(super) fn unescaped(&self) -> Result<Cow<'a, [u8]>, Stop> {
        if !self.is_escaped {
            return Ok(Cow::Borrowed(self.raw));
        }
        let mut text = Vec::new();
        self.unescape(|part| text.extend_from_slice(part))?;
        Ok(Cow::Owned(text))
    }

    /// Does the same where a longer text than `max_len` means nothing: then the string is only looked through.
    pub(super) fn unescaped_within(&self, max_len: usize) -> Result<Option<Cow<'a, [u8]>>, Stop> {
        if self.raw.len() > max_len.saturating_mul(ESCAPE_BYTES) {
            return self.look_through().map(|()| None);
        }
        self.unescaped().map(Some)
    }

    /// Looks for escapes that do not exist, without a copy.
    pub(super) fn look_through(&self) -> Result<(), Stop> {
        if self.is_escaped { self.unescape(|_| ()).map(drop) } else { Ok(()) }
    }

    /// Makes the error for this string.
    #[cold]
    pub(super) fn malformed(&self, what: &'static str) -> Stop {
        Stop::Malformed { offset: self.offset, what }
    }

    /// Gives out the string without its escapes, part by part, none of which begins or ends within a character of an
    /// escape; tells whether half a surrogate pair was replaced by U+FFFD.
    pub(super) fn unescape(&self, mut put: impl FnMut(&[u8])) -> Result<bool, Stop> {
        let mut repaired = false;
        let mut rest = self.raw;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            let (plain, escape) = rest.split_at(at);
            put(plain);
            let [_, kind, tail @ ..] = escape else { return Err(self.malformed("an escape cut short")) };
            rest = tail;
            match kind {
                b'"' | b'\\' | b'/' => put(&[*kind]),
                b'n' => put(b"\n"),
                b't' => put(b"\t"),
                b'r' => put(b"\r"),
                b'b' => put(b"\x08"),
                b'f' => put(b"\x0c"),
                b'u' => {
                    let (character, used) = self.unicode(tail)?;
                    repaired |= character.is_none();
                    let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                    put(character.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = tail.get(used..).unwrap_or_default();
                }
                _ => return Err(self.malformed("an escape that does not exist")),
            }
        }
        put(rest);
        Ok(repaired)
    }

    // Reads what follows `\u`, with the other half of a pair; tells how many bytes that were.
    fn unicode(&self, text: &[u8]) -> Result<(Option<char>, usize), Stop> {
        let first = hex4(text).ok_or_else(|| self.malformed("an escape without four hexadecimal digits"))?;
        if (0xd800..0xdc00).contains(&first)
            && text.get(4..6) == Some(b"\\u")
            && let Some(second @ 0xdc00..0xe000) = text.get(6..).and_then(hex4)
        {
            let character = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return Ok((char::from_u32(character), 10));
        }
        Ok((char::from_u32(first), 4))
    }
}

fn hex4(text: &[u8]) -> Option<u32> {
    let digits: &[u8; 4] = text.first_chunk()?;
    digits.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}
