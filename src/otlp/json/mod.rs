//! OTLP JSON to protobuf, leniently, driven by the tables of [`schema`](super::schema).
//!
//! What real senders write is accepted (numbers as strings and strings as numbers, `null` for anything absent,
//! identifiers in either case, unknown keys, keys twice); what cannot mean anything is bad data.
//! The result is well-formed protobuf; the lengths of long messages are padded to five bytes, so that little is
//! moved when the end of a message is known. Rules about spans are not applied here: an id that is none becomes bytes that are none.
//!
//! Source: OTLP specification 1.11.0, "JSON Protobuf Encoding"; protobuf.dev, "`ProtoJSON` Format".

mod attribute;
mod number;
mod scan;
mod string;
mod value;

use super::schema::{Field, Kind, Message, Nature, Role};
use super::swar;
use super::wire::Stop;
use scan::Scanner;

/// Objects and lists of unknown keys may nest this many times deeper than values: one value in a list of values
/// takes three.
const NESTING_PER_DEPTH: u32 = 3;

/// A byte may be moved this many times on average because a key before it came again. No sender writes a key twice;
/// but a value could be made so that, at each of its levels, every key does.
const MAX_MOVES: usize = 16;

/// So many bytes are moved however short the text is.
const FREE_MOVED_BYTES: usize = 1 << 20;

/// The wire type of what has a length.
const LEN: u8 = 2;

/// No key that is known has as many bytes.
const LONGEST_KEY: usize = 64;

/// The size of a long message's length.
const LENGTH_BYTES: usize = 5;

/// What was met beside the data.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Read {
    /// Strings in which invalid UTF-8 or half a surrogate pair was replaced.
    pub(crate) repaired_strings: u64,
    /// Whether a known field came under its `snake_case` name.
    pub(crate) snake_case_keys: bool,
}

/// How ids are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdText {
    /// As OTLP says: hexadecimal digits.
    Hex,
    /// Also as any other bytes of `ProtoJSON` are, which is how a stock protobuf library writes them: base64.
    HexOrBase64,
}

/// Appends a JSON document, which must be a `message`, to `out`.
///
/// # Errors
/// Why the text is no such document; `out` may then hold a part of it.
pub(crate) fn read(message: &'static Message, text: &[u8], max_depth: u32, out: &mut Vec<u8>) -> Result<Read, Stop> {
    read_with(message, IdText::Hex, (text, max_depth), out)
}

/// Does the same with ids as `ids` says.
pub(crate) fn read_with(
    message: &'static Message,
    ids: IdText,
    (text, max_depth): (&[u8], u32),
    out: &mut Vec<u8>,
) -> Result<Read, Stop> {
    let mut reader = Reader {
        scan: Scanner::new(text),
        out,
        written: Vec::new(),
        moved: 0,
        max_moved: text.len().saturating_mul(MAX_MOVES).max(FREE_MOVED_BYTES),
        is_utf8: std::str::from_utf8(text).is_ok(),
        max_depth,
        ids,
        read: Read::default(),
    };
    reader.object(message, 0)?;
    match reader.scan.peek() {
        None => Ok(reader.read),
        Some(_) => Err(reader.scan.malformed("something behind the document")),
    }
}

struct Reader<'a, 'o> {
    scan: Scanner<'a>,
    out: &'o mut Vec<u8>,
    /// The fields of the objects that are open, by number, and where each begins in `out`.
    written: Vec<(u32, usize)>,
    /// How many bytes were moved to take back what stood before them, and how many may be.
    moved: usize,
    max_moved: usize,
    /// Whether the whole text is UTF-8, so that no string needs to be looked at again.
    is_utf8: bool,
    max_depth: u32,
    ids: IdText,
    read: Read,
}

impl Reader<'_, '_> {
    fn object(&mut self, message: &'static Message, depth: u32) -> Result<(), Stop> {
        let depth = depth + u32::from(message.nature == Nature::Value);
        if depth > self.max_depth {
            return Err(Stop::TooDeep);
        }
        self.scan.expect(b'{', "something else than an object")?;
        if self.scan.take(b'}') {
            return Ok(());
        }
        let base = self.written.len();
        self.members(message, (base, 0), depth)?;
        self.written.truncate(base);
        Ok(())
    }

    /// Reads an object from a key on to its end; what was written of it stands in `written` from `base` on, and `seen`
    /// has the bits of those fields.
    #[expect(clippy::inline_always, reason = "every object comes by; a call more for each would be felt")]
    #[inline(always)]
    fn members(&mut self, message: &'static Message, (base, mut seen): (usize, u64), depth: u32) -> Result<(), Stop> {
        let mut expected = 0;
        loop {
            let found = match self.plain_key(message, &mut expected) {
                Some(found) => Some(found),
                None => self.any_key(message, &mut expected)?,
            };
            if let Some((number, field)) = found {
                if seen & (1 << number) != 0 {
                    self.forget(number, base)?;
                }
                seen |= 1 << number;
                if !self.scan.take_null()? {
                    self.written.push((number, self.out.len()));
                    self.member(number, field, depth)?;
                }
            } else {
                self.scan.skip_value(self.max_depth * NESTING_PER_DEPTH)?;
            }
            if !self.scan.more(b'}')? {
                return Ok(());
            }
        }
    }

    // Reads a key that is written as nearly all are, without escapes or space before the colon.
    // Senders keep to the order of the specification, so the field is first sought from where it is expected; one
    // comparison takes about ten instructions.
    #[inline]
    fn plain_key(&mut self, message: &'static Message, expected: &mut usize) -> Option<(u32, &'static Field)> {
        self.scan.peek();
        let window = self.scan.window()?;
        let count = message.fields.len();
        for next in *expected..*expected + count {
            let index = if next < count { next } else { next - count };
            let field = message.fields.get(index)?;
            if swar::begins_with(window, &field.quoted.padded, &field.quoted.mask)
                && !matches!(field.kind, Kind::Unknown)
            {
                self.scan.pass(field.quoted.len);
                *expected = index + 1;
                return u32::try_from(index + 1).ok().map(|number| (number, field));
            }
        }
        None
    }

    // Reads any key; without a field where the message has none of this name.
    fn any_key(
        &mut self,
        message: &'static Message,
        expected: &mut usize,
    ) -> Result<Option<(u32, &'static Field)>, Stop> {
        let Some(unescaped) = self.scan.key()?.unescaped_within(LONGEST_KEY)? else { return Ok(None) };
        let name = &*unescaped;
        let found = message.fields.iter().enumerate().find(|(_, field)| field.name.as_bytes() == name);
        let Some((index, field)) = found.filter(|(_, field)| !matches!(field.kind, Kind::Unknown)) else {
            self.read.snake_case_keys |= message.fields.iter().any(|field| is_snake_case_of(name, field.name));
            return Ok(None);
        };
        *expected = index + 1;
        Ok(u32::try_from(index + 1).ok().map(|number| (number, field)))
    }

    // Takes back what an earlier occurrence of the same key wrote: the last one wins.
    #[cold]
    fn forget(&mut self, number: u32, base: usize) -> Result<(), Stop> {
        let open = self.written.get(base..).unwrap_or_default();
        let Some(index) = open.iter().position(|&(other, _)| other == number).map(|index| base + index) else {
            return Ok(());
        };
        let (_, start) = self.written.remove(index);
        let end = self.written.get(index).map_or(self.out.len(), |&(_, next)| next);
        self.moved = self.moved.saturating_add(self.out.len() - end);
        if self.moved > self.max_moved {
            return Err(self.scan.malformed("keys that come again around long values, too often"));
        }
        self.out.drain(start..end);
        for (_, later) in self.written.iter_mut().skip(index) {
            *later -= end - start;
        }
        Ok(())
    }

    fn member(&mut self, number: u32, field: &'static Field, depth: u32) -> Result<(), Stop> {
        if !field.is_repeated() {
            return self.value(number, field, depth);
        }
        self.scan.expect(b'[', "something else than a list")?;
        if self.scan.take(b']') {
            return Ok(());
        }
        loop {
            if self.scan.take_null()? {
                self.absent_element(number, field);
            } else {
                self.value(number, field, depth)?;
            }
            if !self.scan.more(b']')? {
                return Ok(());
            }
        }
    }

    // A `null` among values keeps its place as an empty value; among anything else it is nothing.
    fn absent_element(&mut self, number: u32, field: &'static Field) {
        if let Kind::Message(inner) = field.kind
            && inner.nature == Nature::Value
        {
            self.tag(number, LEN);
            self.out.push(0);
        }
    }

    fn message(&mut self, number: u32, field: &'static Field, inner: &'static Message, depth: u32) -> Result<(), Stop> {
        if inner.nature == Nature::Attribute && self.plain_attribute(number, depth)? {
            return Ok(());
        }
        // Of items and what holds them, and of what is nested deep, nothing is moved.
        let is_long = field.role == Role::Children || depth > 1;
        let start = self.begin_message(number, is_long);
        self.object(inner, depth)?;
        self.end_message(start, is_long)
    }

    /// Writes what stands before a message; returns where its length is to be.
    #[inline]
    fn begin_message(&mut self, number: u32, is_long: bool) -> usize {
        self.tag(number, LEN);
        let start = self.out.len();
        self.out.extend_from_slice(if is_long { &[0; LENGTH_BYTES] } else { &[0] });
        start
    }

    #[inline]
    fn end_message(&mut self, start: usize, is_long: bool) -> Result<(), Stop> {
        if is_long { self.set_length(start) } else { self.set_short_length(start) }
    }

    // A length of one byte, as most are; a message that grew longer is moved to make room.
    #[inline]
    fn set_short_length(&mut self, start: usize) -> Result<(), Stop> {
        let end = self.out.len();
        if let (Ok(len @ 0..0x80), Some(length)) = (u8::try_from(end - start - 1), self.out.get_mut(start)) {
            *length = len;
            return Ok(());
        }
        self.out.extend_from_slice(&[0; LENGTH_BYTES - 1]);
        self.out.copy_within(start + 1..end, start + LENGTH_BYTES);
        self.set_length(start)
    }

    fn set_length(&mut self, start: usize) -> Result<(), Stop> {
        let len = self.out.len() - start - LENGTH_BYTES;
        let length = self.out.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<LENGTH_BYTES>);
        match (length, padded(len)) {
            (Some(length), Some(bytes)) => {
                *length = bytes;
                Ok(())
            }
            _ => Err(self.scan.malformed("a message of more than 32 GiB")),
        }
    }
}

/// Returns `len` as a varint of fixed size.
fn padded(len: usize) -> Option<[u8; LENGTH_BYTES]> {
    let mut bytes = [0; LENGTH_BYTES];
    for (n, byte) in bytes.iter_mut().enumerate() {
        let more = if n + 1 < LENGTH_BYTES { 0x80 } else { 0 };
        *byte = u8::try_from(len >> (7 * n) & 0x7f).ok()? | more;
    }
    (len >> (7 * LENGTH_BYTES) == 0).then_some(bytes)
}

/// Tells whether `key` is `name` in `snake_case`, and not the same in both.
fn is_snake_case_of(key: &[u8], name: &str) -> bool {
    let mut camel = name.bytes();
    let mut upper = false;
    for &byte in key {
        if byte == b'_' {
            upper = true;
            continue;
        }
        let wanted = if upper { byte.to_ascii_uppercase() } else { byte };
        upper = false;
        if camel.next() != Some(wanted) {
            return false;
        }
    }
    camel.next().is_none() && key.contains(&b'_')
}

#[cfg(test)]
mod tests;
