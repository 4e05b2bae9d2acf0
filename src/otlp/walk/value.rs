//! Writing values that are not messages.

use std::ops::Range;

use super::{WRONG_WIRE_TYPE, Walk, delimited};
use crate::ids::TraceId;
use crate::otlp::schema::{Field, Key, Kind, Role};
use crate::otlp::wire::{Reader, Stop, Tag, Wire};

impl Walk<'_> {
    /// Writes a singular field, or nothing where it holds the default; tells whether it is a valid id.
    #[expect(clippy::inline_always, reason = "called, its result goes through memory")]
    #[inline(always)]
    pub(super) fn scalar(&mut self, field: &'static Field, tag: Tag, reader: &mut Reader<'_>) -> Result<bool, Stop> {
        match field.kind {
            Kind::Text | Kind::Bytes => {
                let range = delimited(tag, reader)?;
                if !(range.is_empty() && field.omits_default()) {
                    self.quoted(field, &field.key, range);
                }
                Ok(false)
            }
            Kind::Id(len) => {
                let range = delimited(tag, reader)?;
                Ok(self.id(field, len, range))
            }
            Kind::Reference => {
                self.tally.references += u64::from(varint(tag, reader)? != 0);
                Ok(false)
            }
            _ => {
                let number = number(field.kind, tag.wire, reader)?;
                self.note(field, number);
                // Negative zero is not the default: protobuf compares the bits.
                if !(number == 0 && field.omits_default()) {
                    self.out.key(&field.key);
                    self.number(field, number);
                }
                Ok(false)
            }
        }
    }

    /// Writes one element of a repeated field, or several where they are packed, each with a comma behind it.
    pub(super) fn scalars(&mut self, field: &'static Field, tag: Tag, reader: &mut Reader<'_>) -> Result<(), Stop> {
        if matches!(field.kind, Kind::Text | Kind::Bytes | Kind::Id(_)) {
            let range = delimited(tag, reader)?;
            self.quoted(field, &Key::QUOTE, range);
            self.out.byte(b',');
            return Ok(());
        }
        if tag.wire != Wire::Len {
            return self.element_number(field, tag.wire, reader);
        }
        let Some(wire) = own_wire(field.kind) else { return Err(reader.malformed(WRONG_WIRE_TYPE)) };
        let mut packed = Reader::new(self.bytes, reader.range()?);
        while !packed.is_empty() {
            self.element_number(field, wire, &mut packed)?;
        }
        Ok(())
    }

    fn element_number(&mut self, field: &'static Field, wire: Wire, reader: &mut Reader<'_>) -> Result<(), Stop> {
        let number = number(field.kind, wire, reader)?;
        if matches!(field.kind, Kind::Fixed64 | Kind::Int64) {
            self.out.byte(b'"');
        }
        self.number(field, number);
        self.out.byte(b',');
        Ok(())
    }

    // The opening quote comes with what stands before.
    #[inline]
    fn quoted(&mut self, field: &'static Field, before: &'static Key, range: Range<usize>) {
        let bytes = self.bytes;
        if matches!(field.kind, Kind::Text) {
            self.tally.repaired_strings += u64::from(self.out.string(before, bytes, range, b"\""));
        } else {
            self.out.key(before);
            self.out.base64(bytes.get(range).unwrap_or_default());
        }
    }

    // An id of another length or of zeros only is none: absent, and its message may fall with it.
    #[inline]
    fn id(&mut self, field: &'static Field, len: usize, range: Range<usize>) -> bool {
        let bytes = self.bytes.get(range).unwrap_or_default();
        if bytes.len() != len || bytes.iter().all(|&byte| byte == 0) {
            return false;
        }
        self.out.key(&field.key);
        self.out.hex(bytes);
        if field.role == Role::TraceId {
            self.facts.trace_id = TraceId::from_bytes(bytes);
        }
        true
    }

    #[inline]
    fn note(&mut self, field: &'static Field, number: u64) {
        match field.role {
            Role::Start => self.facts.start = number,
            Role::End => self.facts.end = number,
            _ => {}
        }
    }

    #[expect(clippy::inline_always, reason = "called, its result goes through memory")]
    #[inline(always)]
    fn number(&mut self, field: &'static Field, number: u64) {
        match field.kind {
            Kind::Double => self.out.double(f64::from_bits(number)),
            Kind::Bool => self.out.raw(if number == 0 { b"false" } else { b"true" }),
            Kind::Enum(_) => self.out.signed(number.cast_signed()),
            Kind::Int64 => {
                self.out.signed(number.cast_signed());
                self.out.byte(b'"');
            }
            Kind::Fixed64 => {
                self.out.unsigned(number);
                self.out.byte(b'"');
            }
            _ => self.out.unsigned(number),
        }
    }
}

/// Returns how a single number of this kind is laid out.
fn own_wire(kind: Kind) -> Option<Wire> {
    match kind {
        Kind::Uint32 | Kind::Enum(_) | Kind::Int64 | Kind::Bool | Kind::Reference => Some(Wire::Varint),
        Kind::Fixed32 => Some(Wire::Fixed32),
        Kind::Fixed64 | Kind::Double => Some(Wire::Fixed64),
        Kind::Text | Kind::Bytes | Kind::Id(_) | Kind::Message(_) | Kind::Unknown => None,
    }
}

/// Reads a number as 64 bits, whatever they mean to its kind; all of them are zero for the default and nothing else.
#[expect(clippy::inline_always, reason = "called, its result goes through memory")]
#[inline(always)]
fn number(kind: Kind, wire: Wire, reader: &mut Reader<'_>) -> Result<u64, Stop> {
    match (kind, wire) {
        (Kind::Uint32, Wire::Varint) => Ok(u64::from(low_half(reader.varint()?))),
        (Kind::Enum(_), Wire::Varint) => Ok(i64::from(low_half(reader.varint()?).cast_signed()).cast_unsigned()),
        (Kind::Int64, Wire::Varint) => reader.varint(),
        (Kind::Bool, Wire::Varint) => Ok(u64::from(reader.varint()? != 0)),
        (Kind::Fixed32, Wire::Fixed32) => Ok(u64::from(reader.fixed32()?)),
        (Kind::Fixed64 | Kind::Double, Wire::Fixed64) => reader.fixed64(),
        _ => Err(reader.malformed(WRONG_WIRE_TYPE)),
    }
}

fn varint(tag: Tag, reader: &mut Reader<'_>) -> Result<u64, Stop> {
    if tag.wire == Wire::Varint { reader.varint() } else { Err(reader.malformed(WRONG_WIRE_TYPE)) }
}

/// Protobuf cuts a longer number to the 32 bits of its field.
#[inline]
fn low_half(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}
