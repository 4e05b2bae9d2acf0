//! Protobuf bytes to OTLP JSON in one forward pass, without building objects.
//!
//! [`Walk`] writes one message. It first tries the *fast* way: fields in the order they come. Protobuf lets a
//! field come twice, and then the last wins, or messages merge, or lists go on: where that happens the fast way
//! gives up and the message is walked again the [careful](careful) way, which looks at all fields of a message
//! before it writes any. Only whole spans, resources and scopes are walked again, so no input costs more than
//! both ways once.

mod attribute;
mod careful;
mod envelope;
mod request;
mod value;

use std::ops::Range;

use super::assemble::Facts;
use super::output::Output;
use super::schema::{Field, Kind, Label, Message, Nature};
use super::wire::{Reader, Stop, Tag, Wire};

pub(crate) use request::transcode;

/// What was left out or repaired below the level of items.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) dropped_links: u64,
    pub(crate) repaired_strings: u64,
    pub(crate) references: u64,
}

/// Writes one message of a body.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    bytes: &'a [u8],
    out: &'a mut Output,
    max_depth: u32,
    /// What was left out or repaired so far.
    pub(crate) tally: Tally,
    /// What the last item said about itself.
    pub(crate) facts: Facts,
}

impl<'a> Walk<'a> {
    /// Makes a walk over `bytes` that writes to `out`.
    pub(crate) fn new(bytes: &'a [u8], out: &'a mut Output, max_depth: u32) -> Self {
        Self { bytes, out, max_depth, tally: Tally::default(), facts: Facts::default() }
    }

    /// Writes the message whose encodings stand at `fragments`, merged; tells whether its ids are valid.
    pub(crate) fn message(&mut self, message: &'static Message, fragments: &[Range<usize>]) -> Result<bool, Stop> {
        if let [only] = fragments {
            let start = self.out.len();
            match self.fast(message, only.clone(), 0) {
                Err(Stop::Repeats) => {
                    self.out.truncate(start);
                    self.tally = Tally::default();
                    self.facts = Facts::default();
                }
                other => return other,
            }
        }
        self.careful(message, fragments, 0)
    }

    fn fast(&mut self, message: &'static Message, range: Range<usize>, depth: u32) -> Result<bool, Stop> {
        let depth = self.deeper(message, depth)?;
        let start = self.out.len();
        let mut reader = Reader::new(self.bytes, range);
        let mut seen = 0;
        let mut valid = 0;
        while !reader.is_empty() {
            let tag = reader.tag()?;
            let Some(field) = message.field(tag.number) else {
                reader.skip(tag)?;
                continue;
            };
            let bit = 1_u64 << tag.number;
            let excluded = if field.label == Label::Oneof { message.oneof } else { bit };
            if seen & excluded != 0 {
                return Err(Stop::Repeats);
            }
            seen |= bit;
            if field.is_repeated() {
                self.run(field, tag, &mut reader, depth)?;
            } else if let Kind::Message(inner) = field.kind {
                let range = delimited(tag, &mut reader)?;
                self.nested(field, |walk| walk.fast(inner, range, depth))?;
            } else if self.scalar(field, tag, &mut reader)? {
                valid |= bit;
            }
        }
        self.close(message, start, seen);
        Ok(valid & message.required == message.required)
    }

    // Writes the elements of a repeated field that stand next to each other.
    fn run(&mut self, field: &'static Field, tag: Tag, reader: &mut Reader<'_>, depth: u32) -> Result<(), Stop> {
        let start = self.begin_list(field);
        loop {
            if let Kind::Message(inner) = field.kind {
                let range = delimited(tag, reader)?;
                if inner.nature == Nature::Attribute {
                    self.element(inner, |walk| walk.attribute(inner, range, depth))?;
                } else {
                    self.element(inner, |walk| walk.fast(inner, range, depth))?;
                }
            } else {
                self.scalars(field, tag, reader)?;
            }
            if !reader.take_tag(tag)? {
                break;
            }
        }
        self.end_list(field, start);
        Ok(())
    }

    // Writes a message as the value of a singular field; one without contents is left out, as a default is.
    #[inline]
    fn nested(
        &mut self,
        field: &'static Field,
        write: impl FnOnce(&mut Self) -> Result<bool, Stop>,
    ) -> Result<(), Stop> {
        let start = self.out.len();
        self.out.key(&field.key);
        let empty = self.out.len() + 2;
        write(self)?;
        if field.omits_default() && self.out.len() == empty {
            self.out.truncate(start);
        }
        Ok(())
    }

    // Writes a message as an element of a list, unless its ids are invalid.
    #[inline]
    fn element(
        &mut self,
        message: &'static Message,
        write: impl FnOnce(&mut Self) -> Result<bool, Stop>,
    ) -> Result<(), Stop> {
        let start = self.out.len();
        if write(self)? {
            self.out.byte(b',');
        } else {
            self.out.truncate(start);
            self.tally.dropped_links += u64::from(message.nature == Nature::Link);
        }
        Ok(())
    }

    #[inline]
    fn begin_list(&mut self, field: &'static Field) -> usize {
        let start = self.out.len();
        self.out.key(&field.key);
        start
    }

    // Every element ends with a comma; the last one becomes the bracket.
    #[inline]
    fn end_list(&mut self, field: &'static Field, start: usize) {
        if self.out.len() > start + field.key.len {
            self.out.replace_last(b']');
        } else if field.label == Label::RepeatedAlways {
            self.out.byte(b']');
        } else {
            self.out.truncate(start);
        }
    }

    // Adds the fields that readers miss, and turns the first field's comma into the brace.
    #[inline]
    fn close(&mut self, message: &'static Message, start: usize, seen: u64) {
        if message.always & !seen != 0 {
            self.add_absent(message, seen);
        }
        if self.out.len() == start {
            self.out.raw(b"{}");
        } else {
            self.out.replace(start, b'{');
            self.out.byte(b'}');
        }
    }

    fn add_absent(&mut self, message: &'static Message, seen: u64) {
        for (number, field) in message.numbered().filter(|(number, _)| message.always & !seen & (1 << number) != 0) {
            debug_assert!(number < 64, "held by the tables' test");
            self.out.key(&field.key);
            self.out.byte(if field.is_repeated() { b']' } else { b'"' });
        }
    }

    #[inline]
    fn deeper(&self, message: &'static Message, depth: u32) -> Result<u32, Stop> {
        let depth = depth + u32::from(message.nature == Nature::Value);
        if depth > self.max_depth { Err(Stop::TooDeep) } else { Ok(depth) }
    }
}

/// Reads the range of a value that must have a length.
#[inline]
fn delimited(tag: Tag, reader: &mut Reader<'_>) -> Result<Range<usize>, Stop> {
    if tag.wire == Wire::Len { reader.range() } else { Err(reader.malformed(WRONG_WIRE_TYPE)) }
}

/// What is said of a field whose wire type is not its kind's.
const WRONG_WIRE_TYPE: &str = "a field of another wire type than its own";

#[cfg(test)]
mod room_tests;
#[cfg(test)]
mod tests;
