//! What the items of a group share: read first, wherever it stands in the group.

use std::ops::Range;

use super::{Tally, Walk, delimited};
use crate::otlp::assemble::Envelope;
use crate::otlp::batch::MAX_SERVICES_BYTES;
use crate::otlp::output::Output;
use crate::otlp::schema::{Field, Kind, Message, Role};
use crate::otlp::wire::{Reader, Stop};

/// The most pieces that a shared message may come in. Senders write one; whoever appends to what others wrote adds one
/// each time. Their places are kept uncounted, which is a megabyte.
const MAX_PIECES: usize = 1 << 16;

/// A group (by resource or by scope) after a first, shallow pass.
#[derive(Debug)]
pub(super) struct Group {
    message: &'static Message,
    /// The encodings of the shared message, to be merged.
    pub(super) shared: Vec<Range<usize>>,
    schema_url: Option<Range<usize>>,
}

impl Group {
    /// Reads the fields of the group and passes over its children.
    pub(super) fn scan(message: &'static Message, bytes: &[u8], range: Range<usize>) -> Result<Self, Stop> {
        let mut group = Self { message, shared: Vec::new(), schema_url: None };
        let mut reader = Reader::new(bytes, range);
        while !reader.is_empty() {
            let tag = reader.tag()?;
            match message.field(tag.number).map(|field| field.role) {
                Some(Role::Shared) if group.shared.len() >= MAX_PIECES => {
                    return Err(reader.malformed("a resource or scope in too many pieces"));
                }
                Some(Role::Shared) => group.shared.push(delimited(tag, &mut reader)?),
                Some(Role::SchemaUrl) => group.schema_url = Some(delimited(tag, &mut reader)?),
                Some(Role::Children) => {
                    delimited(tag, &mut reader)?;
                }
                _ => reader.skip(tag)?,
            }
        }
        Ok(group)
    }

    /// Returns the shared message's table.
    pub(super) fn shared_message(&self) -> Option<&'static Message> {
        match self.by_role(Role::Shared)?.kind {
            Kind::Message(message) => Some(message),
            _ => None,
        }
    }

    /// Returns how many bytes the shared message has in the body.
    pub(super) fn shared_len(&self) -> usize {
        self.shared.iter().map(Range::len).sum()
    }

    /// Writes what stands before and behind the group's children, `None` where either, or the lists that
    /// writing it takes, do not fit into `max_len` bytes.
    pub(super) fn envelope(
        &self,
        bytes: &[u8],
        max_depth: u32,
        max_len: usize,
    ) -> Result<Option<(Envelope, Tally)>, Stop> {
        let mut open = Output::default();
        let mut close = Output::default();
        open.bound(max_len);
        close.bound(max_len);
        let mut tally = Tally::default();
        if let (false, Some(field), Some(message)) =
            (self.shared.is_empty(), self.by_role(Role::Shared), self.shared_message())
        {
            let mut walk = Walk::new(bytes, &mut open, max_depth);
            walk.nested(field, |walk| walk.message(message, &self.shared))?;
            tally = walk.tally;
        }
        if let Some(field) = self.by_role(Role::Children) {
            open.key(&field.key);
        }
        open.replace(0, b'{');
        close.byte(b']');
        if let (Some(range), Some(field)) = (self.schema_url.clone(), self.by_role(Role::SchemaUrl))
            && !range.is_empty()
        {
            tally.repaired_strings += u64::from(close.string(&field.key, bytes, range, b"\""));
        }
        close.byte(b'}');
        if open.is_cut() || close.is_cut() {
            return Ok(None);
        }
        Ok(Some((Envelope { open: open.take(), close: close.take() }, tally)))
    }

    fn by_role(&self, role: Role) -> Option<&'static Field> {
        self.message.fields.iter().find(|field| field.role == role)
    }
}

/// Returns the value of the resource attribute `service.name`, or `""` where it is absent or no string; `None` where
/// it is too long for any list.
pub(super) fn service_name(
    resource: &'static Message,
    bytes: &[u8],
    fragments: &[Range<usize>],
) -> Result<Option<String>, Stop> {
    for fragment in fragments {
        let mut attributes = Values::new(resource, Role::ResourceAttributes, bytes, fragment.clone());
        while let Some((field, attribute)) = attributes.next()? {
            let Kind::Message(key_value) = field.kind else { continue };
            let key = Values::new(key_value, Role::AttributeKey, bytes, attribute.clone()).last()?;
            let key = key.and_then(|(_, range)| bytes.get(range));
            if key == Some(b"service.name") {
                return attribute_text(key_value, bytes, attribute);
            }
        }
    }
    Ok(Some(String::new()))
}

// A value that came in several pieces, or as several members of the `oneof`, is what the last piece says.
fn attribute_text(key_value: &'static Message, bytes: &[u8], attribute: Range<usize>) -> Result<Option<String>, Stop> {
    let mut text: Option<&[u8]> = None;
    let mut values = Values::new(key_value, Role::AttributeValue, bytes, attribute);
    while let Some((field, value)) = values.next()? {
        let Kind::Message(any_value) = field.kind else { continue };
        let string = any_value.number_of(Role::StringValue);
        let mut reader = Reader::new(bytes, value);
        while !reader.is_empty() {
            let tag = reader.tag()?;
            if tag.number == string {
                text = bytes.get(delimited(tag, &mut reader)?);
            } else {
                reader.skip(tag)?;
                if any_value.field(tag.number).is_some() {
                    text = None;
                }
            }
        }
    }
    let text = text.unwrap_or_default();
    Ok((text.len() <= MAX_SERVICES_BYTES).then(|| String::from_utf8_lossy(text).into_owned()))
}

/// The values of the field that plays a role in a message.
pub(super) struct Values<'a> {
    reader: Reader<'a>,
    field: Option<&'static Field>,
    number: u32,
}

impl<'a> Values<'a> {
    pub(super) fn new(message: &'static Message, role: Role, bytes: &'a [u8], range: Range<usize>) -> Self {
        let number = message.number_of(role);
        Self { reader: Reader::new(bytes, range), field: message.field(number), number }
    }

    /// Returns the next value's range.
    pub(super) fn next(&mut self) -> Result<Option<(&'static Field, Range<usize>)>, Stop> {
        while !self.reader.is_empty() {
            let tag = self.reader.tag()?;
            match self.field {
                Some(field) if tag.number == self.number => {
                    return delimited(tag, &mut self.reader).map(|range| Some((field, range)));
                }
                _ => self.reader.skip(tag)?,
            }
        }
        Ok(None)
    }

    fn last(mut self) -> Result<Option<(&'static Field, Range<usize>)>, Stop> {
        let mut last = None;
        while let Some(value) = self.next()? {
            last = Some(value);
        }
        Ok(last)
    }
}
