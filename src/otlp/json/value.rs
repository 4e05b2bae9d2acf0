//! Values of fields: what each kind accepts, and its protobuf.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{IdText, LEN, Reader, number};
use crate::otlp::schema::{Field, Kind};
use crate::otlp::swar;
use crate::otlp::wire::Stop;

/// The wire types of numbers, by kind.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const FIXED32: u8 = 5;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// No id has as many digits.
const LONGEST_ID: usize = 64;

/// Stands for an id that is none: no id has one byte, so whoever applies the rules of ids sees it.
const INVALID_ID: &[u8] = &[0];

const OUT_OF_RANGE: &str = "a number that its field cannot hold";

impl Reader<'_, '_> {
    /// Reads one value and appends it as field `number`.
    pub(super) fn value(&mut self, number: u32, field: &'static Field, depth: u32) -> Result<(), Stop> {
        match field.kind {
            Kind::Message(inner) => self.message(number, field, inner, depth),
            Kind::Text => self.text(number),
            Kind::Bytes => self.bytes(number),
            Kind::Id(len) => self.id(number, len),
            Kind::Uint32 => {
                let value: u32 = self.integer()?;
                self.tag(number, VARINT);
                self.varint(u64::from(value));
                Ok(())
            }
            Kind::Fixed32 => {
                let value: u32 = self.integer()?;
                self.tag(number, FIXED32);
                self.out.extend_from_slice(&value.to_le_bytes());
                Ok(())
            }
            Kind::Fixed64 => {
                let value: u64 = self.integer()?;
                self.tag(number, FIXED64);
                self.out.extend_from_slice(&value.to_le_bytes());
                Ok(())
            }
            Kind::Int64 => {
                let value: i64 = self.integer()?;
                self.signed(number, value);
                Ok(())
            }
            Kind::Reference => {
                let value: i32 = self.integer()?;
                self.signed(number, i64::from(value));
                Ok(())
            }
            Kind::Enum(names) => {
                let value = self.enumerated(names)?;
                self.signed(number, i64::from(value));
                Ok(())
            }
            Kind::Bool => self.boolean(number),
            Kind::Double => self.double(number),
            Kind::Unknown => Ok(()),
        }
    }

    #[inline]
    fn text(&mut self, number: u32) -> Result<(), Stop> {
        let string = self.scan.string()?;
        if self.is_utf8 && !string.is_escaped {
            self.delimited(number, string.raw);
            return Ok(());
        }
        // Straight to where it belongs: it may be as long as the whole text, and a copy would be counted nowhere.
        let start = self.begin_message(number, true);
        let (out, is_utf8, mut repaired) = (&mut *self.out, self.is_utf8, false);
        let half = string.unescape(|part| repaired |= put_text(out, part, is_utf8))?;
        self.read.repaired_strings += u64::from(repaired || half);
        self.end_message(start, true)
    }

    fn bytes(&mut self, number: u32) -> Result<(), Stop> {
        let string = self.scan.string()?;
        let text = string.unescaped()?;
        let alphabet = if text.iter().any(|byte| matches!(byte, b'-' | b'_')) { BASE64_URL } else { BASE64 };
        let start = self.begin_message(number, true);
        alphabet.decode_vec(&text, self.out).map_err(|_| string.malformed("bytes that are no base64"))?;
        self.end_message(start, true)
    }

    #[inline]
    fn id(&mut self, number: u32, len: usize) -> Result<(), Stop> {
        let string = self.scan.string()?;
        if string.raw.is_empty() {
            return Ok(());
        }
        let Some(text) = string.unescaped_within(LONGEST_ID)? else {
            self.delimited(number, INVALID_ID);
            return Ok(());
        };
        match unhex(&text) {
            Some((id, id_len)) if id_len == len => self.delimited(number, id.get(..len).unwrap_or(INVALID_ID)),
            // No text can be meant both ways: as many bytes make twice as many digits, but a third more in base64.
            _ if self.ids == IdText::HexOrBase64 => {
                let id = BASE64.decode(&text).ok().filter(|id| id.len() == len);
                self.delimited(number, id.as_deref().unwrap_or(INVALID_ID));
            }
            _ => self.delimited(number, INVALID_ID),
        }
        Ok(())
    }

    fn enumerated(&mut self, names: &[(&str, i32)]) -> Result<i32, Stop> {
        if self.scan.peek() != Some(b'"') {
            return self.integer();
        }
        let string = self.scan.string()?;
        if let Some((_, value)) = names.iter().find(|(name, _)| name.as_bytes() == string.raw) {
            return Ok(*value);
        }
        let value = Some(string.raw).filter(|text| number::is_number(text)).and_then(number::integer);
        value
            .and_then(|value| i32::try_from(value).ok())
            .ok_or_else(|| string.malformed("an enum that is neither a number nor a known name"))
    }

    fn boolean(&mut self, number: u32) -> Result<(), Stop> {
        let value = self.scan.peek() == Some(b't');
        self.scan.literal(if value { b"true" } else { b"false" })?;
        self.tag(number, VARINT);
        self.out.push(u8::from(value));
        Ok(())
    }

    fn double(&mut self, number: u32) -> Result<(), Stop> {
        let value = if self.scan.peek() == Some(b'"') {
            let string = self.scan.string()?;
            match string.raw {
                b"NaN" => f64::NAN,
                b"Infinity" => f64::INFINITY,
                b"-Infinity" => f64::NEG_INFINITY,
                text if number::is_number(text) => {
                    number::double(text).ok_or_else(|| string.malformed(OUT_OF_RANGE))?
                }
                _ => return Err(string.malformed("a string that is no number")),
            }
        } else {
            let text = self.scan.number()?;
            number::double(text).ok_or_else(|| self.scan.malformed(OUT_OF_RANGE))?
        };
        self.tag(number, FIXED64);
        self.out.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    // Reads an integer, as a number or as a string of one.
    #[inline]
    fn integer<T: TryFrom<u64> + TryFrom<i128>>(&mut self) -> Result<T, Stop> {
        if self.scan.peek() != Some(b'"') {
            if let Some(value) = self.scan.take_digits() {
                return T::try_from(value).map_err(|_| self.scan.malformed(OUT_OF_RANGE));
            }
            return self.any_integer();
        }
        let before = self.scan.clone();
        let string = self.scan.string()?;
        if let Some(value) = number::plain(string.raw) {
            return T::try_from(value).map_err(|_| self.scan.malformed(OUT_OF_RANGE));
        }
        self.scan = before;
        self.any_integer()
    }

    // What is no plain row of digits: negative, written as `1.0`, or none.
    #[inline(never)]
    fn any_integer<T: TryFrom<i128>>(&mut self) -> Result<T, Stop> {
        let text = if self.scan.peek() == Some(b'"') {
            let string = self.scan.string()?;
            if !number::is_number(string.raw) {
                return Err(string.malformed("a string that is no number"));
            }
            string.raw
        } else {
            self.scan.number()?
        };
        number::integer(text).and_then(|value| T::try_from(value).ok()).ok_or_else(|| self.scan.malformed(OUT_OF_RANGE))
    }

    #[inline]
    fn delimited(&mut self, number: u32, bytes: &[u8]) {
        self.tag(number, LEN);
        self.length(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    pub(super) fn length(&mut self, len: usize) {
        self.varint(u64::try_from(len).unwrap_or(u64::MAX));
    }

    #[inline]
    fn signed(&mut self, number: u32, value: i64) {
        self.tag(number, VARINT);
        self.varint(value.cast_unsigned());
    }

    #[inline]
    pub(super) fn tag(&mut self, number: u32, wire: u8) {
        self.varint(u64::from(number << 3) | u64::from(wire));
    }

    #[inline]
    pub(super) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
            value >>= 7;
        }
        self.out.push(u8::try_from(value).unwrap_or(0));
    }
}

/// Appends text, with U+FFFD for what is no UTF-8; tells whether there was such.
fn put_text(out: &mut Vec<u8>, text: &[u8], is_utf8: bool) -> bool {
    if is_utf8 {
        out.extend_from_slice(text);
        return false;
    }
    let mut repaired = false;
    for chunk in text.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
            repaired = true;
        }
    }
    repaired
}

/// Returns the bytes of an id and how many they are: hexadecimal digits of either case, 16 or 32 of them.
#[inline]
fn unhex(text: &[u8]) -> Option<([u8; 16], usize)> {
    let mut id = [0; 16];
    let (blocks, rest) = text.as_chunks::<8>();
    if !rest.is_empty() || blocks.len() > 4 {
        return None;
    }
    for (bytes, block) in id.as_chunks_mut::<4>().0.iter_mut().zip(blocks) {
        *bytes = swar::unhex(*block)?;
    }
    Some((id, text.len() / 2))
}
