//! The careful way: every field of a message is looked at before one is written.
//!
//! What it keeps of a message, the places of its fields, is many times as long as short fields are. So they are counted
//! first, and held against the bound of the output like text: where they do not fit, the output is cut, and the message
//! is walked again once there is room.
//!
//! Source: protobuf.dev, "Encoding", "Last One Wins" and "Merging".

use std::ops::Range;

use super::{Walk, delimited};
use crate::otlp::schema::{Field, Kind, Label, Message};
use crate::otlp::wire::{Reader, Stop, Tag, Wire};

/// One field as it was met.
#[derive(Debug)]
struct Occurrence {
    tag: Tag,
    /// The value, from behind the tag to its end.
    value: Range<usize>,
}

impl Walk<'_> {
    /// Writes the message whose encodings stand at `fragments`, in the order of field numbers.
    ///
    /// Encodings that are to be merged are read one after the other where they are; nothing is copied, and at
    /// every level each byte is passed over twice.
    pub(super) fn careful(
        &mut self,
        message: &'static Message,
        fragments: &[Range<usize>],
        depth: u32,
    ) -> Result<bool, Stop> {
        let depth = self.deeper(message, depth)?;
        let mut count = 0;
        self.for_each_field(message, fragments, |_| count += 1)?;
        let list_bytes = count * size_of::<Occurrence>();
        if !self.out.hold(list_bytes) {
            return Ok(false);
        }
        let mut found = Vec::with_capacity(count);
        self.for_each_field(message, fragments, |occurrence| found.push(occurrence))?;
        let valid = self.merged(message, found, depth);
        self.out.release(list_bytes);
        valid
    }

    fn merged(&mut self, message: &'static Message, mut found: Vec<Occurrence>, depth: u32) -> Result<bool, Stop> {
        let start = self.out.len();
        self.settle_oneof(message, &mut found, depth)?;
        // By place within a number, and in place: keeping the order would take half as much again.
        found.sort_unstable_by_key(|occurrence| (occurrence.tag.number, occurrence.value.start));
        let mut seen = 0;
        let mut valid = 0;
        for group in found.chunk_by(|a, b| a.tag.number == b.tag.number) {
            let Some(number) = group.first().map(|occurrence| occurrence.tag.number) else { continue };
            let Some(field) = message.field(number) else { continue };
            seen |= 1 << number;
            if self.field(field, group, depth)? {
                valid |= 1 << number;
            }
        }
        self.close(message, start, seen);
        Ok(valid & message.required == message.required)
    }

    // Passes over the known fields, in order.
    fn for_each_field(
        &self,
        message: &'static Message,
        fragments: &[Range<usize>],
        mut visit: impl FnMut(Occurrence),
    ) -> Result<(), Stop> {
        for fragment in fragments {
            let mut reader = Reader::new(self.bytes, fragment.clone());
            while !reader.is_empty() {
                let tag = reader.tag()?;
                let start = reader.position();
                reader.skip(tag)?;
                if message.field(tag.number).is_some() {
                    visit(Occurrence { tag, value: start..reader.position() });
                }
            }
        }
        Ok(())
    }

    // Of a `oneof` only the last member counts, and of that member what came since another one was set.
    // What is lost is still read, for malformed bytes are bad data wherever they are.
    fn settle_oneof(&mut self, message: &'static Message, found: &mut Vec<Occurrence>, depth: u32) -> Result<(), Stop> {
        let is_member = |occurrence: &Occurrence| message.oneof & (1 << occurrence.tag.number) != 0;
        let Some(winner) = found.iter().rev().find(|o| is_member(o)).map(|o| o.tag.number) else { return Ok(()) };
        let lost = found.iter().rposition(|o| is_member(o) && o.tag.number != winner).map_or(0, |last| last + 1);
        let (start, tally) = (self.out.len(), self.tally);
        for occurrence in found.iter().take(lost).filter(|o| is_member(o)) {
            if let Some(field) = message.field(occurrence.tag.number) {
                self.field(field, std::slice::from_ref(occurrence), depth)?;
            }
            self.out.truncate(start);
        }
        let mut index = 0;
        found.retain(|occurrence| {
            index += 1;
            index > lost || !is_member(occurrence)
        });
        self.tally = tally;
        Ok(())
    }

    // Writes all occurrences of one field as the one field they mean; tells whether it is a valid id.
    fn field(&mut self, field: &'static Field, group: &[Occurrence], depth: u32) -> Result<bool, Stop> {
        if field.is_repeated() {
            return self.list(field, group, depth).map(|()| false);
        }
        if let Kind::Message(inner) = field.kind {
            return self.merged_field(field, inner, group, depth).map(|()| false);
        }
        let start = self.out.len();
        let mut valid = false;
        for occurrence in group {
            // The last one wins; those before it are read, written and taken back.
            self.out.truncate(start);
            valid = self.scalar(field, occurrence.tag, &mut self.reader(occurrence))?;
        }
        Ok(valid)
    }

    fn merged_field(
        &mut self,
        field: &'static Field,
        inner: &'static Message,
        group: &[Occurrence],
        depth: u32,
    ) -> Result<(), Stop> {
        let list_bytes = group.len() * size_of::<Range<usize>>();
        if !self.out.hold(list_bytes) {
            return Ok(());
        }
        let mut fragments = Vec::with_capacity(group.len());
        for occurrence in group {
            fragments.push(self.contents(occurrence)?);
        }
        self.nested(field, |walk| walk.careful(inner, &fragments, depth))?;
        self.out.release(list_bytes);
        Ok(())
    }

    fn list(&mut self, field: &'static Field, group: &[Occurrence], depth: u32) -> Result<(), Stop> {
        debug_assert!(matches!(field.label, Label::Repeated | Label::RepeatedAlways));
        let start = self.begin_list(field);
        for occurrence in group {
            if let Kind::Message(inner) = field.kind {
                let range = self.contents(occurrence)?;
                self.element(inner, |walk| walk.careful(inner, &[range], depth))?;
            } else {
                self.scalars(field, occurrence.tag, &mut self.reader(occurrence))?;
            }
        }
        self.end_list(field, start);
        Ok(())
    }

    fn contents(&self, occurrence: &Occurrence) -> Result<Range<usize>, Stop> {
        debug_assert!(occurrence.tag.wire != Wire::Close, "refused when the field was passed over");
        delimited(occurrence.tag, &mut self.reader(occurrence))
    }
}

impl<'a> Walk<'a> {
    fn reader(&self, occurrence: &Occurrence) -> Reader<'a> {
        Reader::new(self.bytes, occurrence.value.clone())
    }
}
