//! The protobuf wire format: bounds-checked reading of tags, numbers and ranges, and writing a message into another.
//!
//! A [`Reader`] never copies and never leaves its range; all positions are offsets into the whole body,
//! so an error can say where it is. It knows no message.
//!
//! Source: protobuf.dev, "Encoding".

use std::ops::Range;

/// How deep unknown groups may nest: no message of OTLP has any, so this is generous.
const MAX_GROUPS: usize = 64;

/// Why reading a body stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The bytes are not what they should be.
    Malformed {
        /// Where in the body.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// Values or groups nest deeper than the limit.
    TooDeep,
    /// The lines become longer than the limit.
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// There is no memory for the lines.
    NoRoom,
    /// A field came where one pass cannot merge it with an earlier one; the message is to be read again, with care.
    Repeats,
}

/// How a field's value is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// A number of 1 to 10 bytes.
    Varint,
    /// Eight bytes, little-endian.
    Fixed64,
    /// A length and as many bytes.
    Len,
    /// The start of a group.
    Open,
    /// The end of a group.
    Close,
    /// Four bytes, little-endian.
    Fixed32,
}

/// What stands before a value: which field it is and how it is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    /// The field's number, never zero.
    pub(crate) number: u32,
    /// The value's layout.
    pub(crate) wire: Wire,
}

/// Reads a range of a body from front to back.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    pos: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    /// Makes a reader of `range`, cut to what `bytes` holds.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], range: Range<usize>) -> Self {
        Self { bytes, pos: range.start, end: range.end.min(bytes.len()) }
    }

    /// Tells whether everything was read.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.pos >= self.end
    }

    /// Returns the offset of the next byte.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.pos
    }

    /// Makes the error for what stands here.
    #[cold]
    pub(crate) fn malformed(&self, what: &'static str) -> Stop {
        Stop::Malformed { offset: self.pos, what }
    }

    /// Reads a tag.
    #[inline]
    pub(crate) fn tag(&mut self) -> Result<Tag, Stop> {
        let start = self.pos;
        let key = self.varint()?;
        let wire = match key & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Len,
            3 => Wire::Open,
            4 => Wire::Close,
            5 => Wire::Fixed32,
            _ => return Err(Stop::Malformed { offset: start, what: "a wire type that does not exist" }),
        };
        let number = u32::try_from(key)
            .map_err(|_| Stop::Malformed { offset: start, what: "a field number out of range" })?
            >> 3;
        if number == 0 {
            return Err(Stop::Malformed { offset: start, what: "field number 0" });
        }
        Ok(Tag { number, wire })
    }

    /// Reads `tag` if it is what stands next; else nothing.
    #[inline]
    pub(crate) fn take_tag(&mut self, tag: Tag) -> Result<bool, Stop> {
        if self.is_empty() {
            return Ok(false);
        }
        let start = self.pos;
        let same = self.tag()? == tag;
        if !same {
            self.pos = start;
        }
        Ok(same)
    }

    /// Reads a variable-length number; as in other readers it may be padded, up to ten bytes.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Stop> {
        match self.bytes.get(self.pos) {
            Some(&byte) if byte < 0x80 && self.pos < self.end => {
                self.pos += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Stop> {
        let rest = self.bytes.get(self.pos..self.end).unwrap_or_default();
        let mut value = 0;
        for (n, &byte) in rest.iter().take(10).enumerate() {
            if n == 9 && byte > 1 {
                return Err(self.malformed("a number of more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (7 * n);
            if byte < 0x80 {
                self.pos += n + 1;
                return Ok(value);
            }
        }
        Err(self.malformed("a number that does not end"))
    }

    /// Reads a length and returns the range of the bytes it counts.
    #[inline]
    pub(crate) fn range(&mut self) -> Result<Range<usize>, Stop> {
        let len = self.varint()?;
        let left = self.end - self.pos;
        match usize::try_from(len) {
            Ok(len) if len <= left => {
                let start = self.pos;
                self.pos += len;
                Ok(start..self.pos)
            }
            _ => Err(self.malformed("a length beyond the end of its message")),
        }
    }

    /// Reads four bytes.
    #[inline]
    pub(crate) fn fixed32(&mut self) -> Result<u32, Stop> {
        self.array().map(u32::from_le_bytes)
    }

    /// Reads eight bytes.
    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, Stop> {
        self.array().map(u64::from_le_bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let bytes = self.bytes.get(self.pos..self.end).and_then(<[u8]>::first_chunk::<N>);
        let Some(&bytes) = bytes else { return Err(self.malformed("a number cut short")) };
        self.pos += N;
        Ok(bytes)
    }

    /// Passes over the value behind `tag`; groups may nest 64 deep.
    pub(crate) fn skip(&mut self, tag: Tag) -> Result<(), Stop> {
        match tag.wire {
            Wire::Varint => self.varint().map(drop),
            Wire::Fixed64 => self.fixed64().map(drop),
            Wire::Len => self.range().map(drop),
            Wire::Fixed32 => self.fixed32().map(drop),
            Wire::Open => self.skip_group(tag.number),
            Wire::Close => Err(self.malformed("the end of a group that was not begun")),
        }
    }

    // The open groups are kept in a list and not on the stack, so that a bomb of group starts costs nothing.
    fn skip_group(&mut self, number: u32) -> Result<(), Stop> {
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            let tag = self.tag()?;
            match tag.wire {
                Wire::Open if open.len() < MAX_GROUPS => open.push(tag.number),
                Wire::Open => return Err(Stop::TooDeep),
                Wire::Close if tag.number == innermost => drop(open.pop()),
                Wire::Close => return Err(self.malformed("the end of another group than the one begun")),
                Wire::Varint | Wire::Fixed64 | Wire::Len | Wire::Fixed32 => self.skip(tag)?,
            }
        }
        Ok(())
    }
}

/// Appends a message as field `number`.
pub(crate) fn put(number: u32, message: &[u8], out: &mut Vec<u8>) {
    varint(u64::from(number) << 3 | 2, out);
    varint(message.len() as u64, out);
    out.extend_from_slice(message);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip_all(bytes: &[u8]) -> Result<usize, Stop> {
        let mut reader = Reader::new(bytes, 0..bytes.len());
        let mut fields = 0;
        while !reader.is_empty() {
            let tag = reader.tag()?;
            reader.skip(tag)?;
            fields += 1;
        }
        Ok(fields)
    }

    fn refused(bytes: &[u8]) -> &'static str {
        match skip_all(bytes) {
            Err(Stop::Malformed { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn r37_unknown_fields_and_groups_are_passed_over() {
        let group = [0x0b, 0x08, 0x01, 0x13, 0x14, 0x12, 0x02, b'a', b'b', 0x0c];
        assert_eq!(skip_all(&group), Ok(1));
        assert_eq!(skip_all(&[0x08, 0x96, 0x01, 0x0d, 1, 2, 3, 4, 0x09, 1, 2, 3, 4, 5, 6, 7, 8]), Ok(3));
        assert_eq!(skip_all(&[0x8a, 0x80, 0x00, 0x80, 0x00]), Ok(1), "padded tag and length");
    }

    #[test]
    fn r37_unmatched_and_unended_groups_are_refused() {
        assert!(refused(&[0x0c]).contains("not begun"));
        assert!(refused(&[0x0b, 0x14]).contains("another group"));
        assert!(refused(&[0x0b, 0x08, 0x01]).contains("does not end"));
        assert_eq!(skip_all(&vec![0x0b; 100_000]), Err(Stop::TooDeep));
    }

    #[test]
    fn what_no_encoder_writes_is_refused() {
        assert!(refused(&[0x00]).contains("number 0"));
        assert!(refused(&[0x0e]).contains("wire type"));
        assert!(refused(&[0x80]).contains("does not end"));
        assert!(refused(&[0xff, 0xff, 0xff, 0xff, 0x7f, 0x00]).contains("wire type"));
        assert!(refused(&[0xf8, 0xff, 0xff, 0xff, 0x7f, 0x00]).contains("out of range"));
        assert!(refused(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).contains("64 bits"));
        assert!(refused(&[0x0a, 0x02, 0x00]).contains("beyond the end"));
        assert!(refused(&[0x09, 0x02, 0x00]).contains("cut short"));
    }

    #[test]
    fn a_reader_never_leaves_its_range() {
        let bytes = [0x08, 0x96, 0x01];
        let mut reader = Reader::new(&bytes, 0..2);
        assert_eq!(reader.tag(), Ok(Tag { number: 1, wire: Wire::Varint }));
        assert!(reader.varint().is_err());
    }
}
