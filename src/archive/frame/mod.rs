//! Frames: the self-contained pieces that a member grows by.
//!
//! - zstd: one zstd frame with content checksum and content size, then a skippable frame
//!   (magic `0x184D2A5C`) whose payload is the [`Trailer`]. Every decoder passes over it.
//! - gzip: one gzip member; its header's extra field (`TC`) carries the trailer's payload,
//!   so here the trailer stands in front of the data it describes.
//! - none: the lines themselves; the trailer is a tar member of its own behind them.
//!
//! Sources: RFC 8878 (zstd, skippable frames), RFC 1952 (gzip, extra field).

use std::io::{self, Read};
use std::ops::Range;

use memchr::memmem;
use thiserror::Error;
use zstd::zstd_safe::CParameter;

use super::trailer::{Facts, MAGIC, MAX_PAYLOAD, Trailer, TrailerError};

/// The longest run of lines in one frame, in bytes: what a reader must be ready to hold.
pub const MAX_RAW: usize = 128 << 20;

/// The longest frame, in bytes: lines that do not compress grow by less than 1 MiB, then comes the trailer.
pub const MAX_FRAME: usize = MAX_RAW + (1 << 20) + MAX_PAYLOAD + 1024;

/// The first bytes of the skippable frame that holds a trailer.
const SKIPPABLE: [u8; 4] = 0x184D_2A5C_u32.to_le_bytes();

/// Bytes of a skippable frame before its payload: magic and length.
const SKIPPABLE_HEADER: usize = 8;

/// A gzip header with an extra field: deflate, no time, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255];

/// Bytes of a gzip frame before the trailer's payload: header, extra length, subfield id and length.
const GZIP_PREFIX: usize = GZIP_HEADER.len() + 2 + 4;

/// Bytes behind the deflate stream: CRC-32 and length of the content.
const GZIP_FOOTER: usize = 8;

/// zstd's fastest standard level: higher ones cost a third more CPU and save nothing on such lines.
const ZSTD_LEVEL: i32 = 1;

/// The level `gzip` itself uses unless told otherwise.
const GZIP_LEVEL: u32 = 6;

/// How lines are compressed on the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// zstd, level 1.
    #[default]
    Zstd,
    /// gzip.
    Gzip,
    /// None: plain lines.
    None,
}

impl Compression {
    /// Every compression.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Gzip, Self::None];

    /// Returns what a member's name ends with behind `.jsonl`.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
            Self::None => "",
        }
    }

    /// Reads the compression off a member's or file's name; `None` where it holds no lines.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|c| name.strip_suffix(c.ending()).and_then(|stem| stem.strip_suffix(".jsonl")).is_some())
    }
}

/// Why lines did not become a frame.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// More lines than one frame may hold.
    #[error("cannot make a frame of {0} bytes: {MAX_RAW} is the limit")]
    TooLong(usize),
    /// The compressor failed.
    #[error("cannot compress a frame")]
    Compress(#[source] io::Error),
}

/// Why bytes are not a whole frame.
#[derive(Debug, Error)]
pub enum FrameError {
    /// No intact frame starts where one should.
    #[error("no intact frame here")]
    Damaged,
    /// The frame is of a later format.
    #[error(transparent)]
    Newer(TrailerError),
    /// The lines are not what the trailer says.
    #[error("cannot decompress a frame")]
    Decompress(#[source] io::Error),
    /// The lines have another length than the trailer says.
    #[error("a frame holds {found} bytes of lines, its trailer says {stated}")]
    Length {
        /// What came out.
        found: usize,
        /// What should have.
        stated: u32,
    },
}

/// Makes frames, one compression context reused from call to call.
pub struct Encoder {
    compressor: Compressor,
    scratch: Vec<u8>,
}

enum Compressor {
    Zstd(zstd::bulk::Compressor<'static>),
    Gzip(flate2::Compress),
    None,
}

impl Encoder {
    /// Makes an encoder.
    ///
    /// # Errors
    /// Where the compressor's context cannot be allocated.
    pub fn new(compression: Compression) -> io::Result<Self> {
        let compressor = match compression {
            Compression::Zstd => {
                let mut zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
                zstd.set_parameter(CParameter::ChecksumFlag(true))?;
                Compressor::Zstd(zstd)
            }
            Compression::Gzip => Compressor::Gzip(flate2::Compress::new(flate2::Compression::new(GZIP_LEVEL), false)),
            Compression::None => Compressor::None,
        };
        Ok(Self { compressor, scratch: Vec::new() })
    }

    /// Returns the compression that the encoder was made for.
    pub fn compression(&self) -> Compression {
        match self.compressor {
            Compressor::Zstd(_) => Compression::Zstd,
            Compressor::Gzip(_) => Compression::Gzip,
            Compressor::None => Compression::None,
        }
    }

    /// Appends the frame of `lines` to `out` and returns its trailer.
    ///
    /// Without compression what is appended are the lines alone; the caller writes the trailer.
    ///
    /// # Errors
    /// [`EncodeError`]; `out` is then as it was.
    pub fn encode(
        &mut self,
        lines: &[u8],
        facts: Facts,
        sequence: u32,
        out: &mut Vec<u8>,
    ) -> Result<Trailer, EncodeError> {
        let too_long = || EncodeError::TooLong(lines.len());
        let raw_len = u32::try_from(lines.len()).ok().filter(|_| lines.len() <= MAX_RAW).ok_or_else(too_long)?;
        let scratch = &mut self.scratch;
        scratch.clear();
        let data: &[u8] = match &mut self.compressor {
            Compressor::Zstd(zstd) => {
                scratch.reserve(zstd::zstd_safe::compress_bound(lines.len()));
                zstd.compress_to_buffer(lines, scratch).map_err(EncodeError::Compress)?;
                scratch
            }
            Compressor::Gzip(deflate) => {
                deflate_all(deflate, lines, scratch).map_err(EncodeError::Compress)?;
                scratch
            }
            Compressor::None => lines,
        };
        let data_len = u32::try_from(data.len()).map_err(|_| too_long())?;
        let trailer = Trailer { sequence, data_len, data_crc: crc32fast::hash(data), raw_len, facts };
        match self.compressor {
            Compressor::Zstd(_) => {
                out.extend_from_slice(data);
                append_skippable(&trailer, out);
            }
            Compressor::Gzip(_) => {
                append_gzip_header(&trailer, out);
                out.extend_from_slice(data);
            }
            Compressor::None => out.extend_from_slice(data),
        }
        Ok(trailer)
    }
}

/// Appends the deflate stream of `lines` and the gzip footer to `out`.
fn deflate_all(deflate: &mut flate2::Compress, lines: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    deflate.reset();
    loop {
        // Totals count from the reset, so the rest of the input starts there.
        let done = usize::try_from(deflate.total_in()).map_err(io::Error::other)?;
        out.reserve(lines.len() / 4 + 1024);
        let rest = lines.get(done..).unwrap_or_default();
        let status = deflate.compress_vec(rest, out, flate2::FlushCompress::Finish).map_err(io::Error::other)?;
        if status == flate2::Status::StreamEnd {
            break;
        }
    }
    out.extend_from_slice(&crc32fast::hash(lines).to_le_bytes());
    out.extend_from_slice(&u32::try_from(lines.len()).map_err(io::Error::other)?.to_le_bytes());
    Ok(())
}

/// Appends the skippable frame that holds a trailer.
fn append_skippable(trailer: &Trailer, out: &mut Vec<u8>) {
    out.extend_from_slice(&SKIPPABLE);
    let length_at = out.len();
    out.extend_from_slice(&[0; 4]);
    trailer.encode(out);
    let payload = out.len() - length_at - 4;
    // A payload is at most `MAX_PAYLOAD` long.
    let payload = u32::try_from(payload).unwrap_or(u32::MAX);
    if let Some(slot) = out.get_mut(length_at..length_at + 4) {
        slot.copy_from_slice(&payload.to_le_bytes());
    }
}

/// Appends the header of a gzip member with the trailer in its extra field.
fn append_gzip_header(trailer: &Trailer, out: &mut Vec<u8>) {
    let mut payload = Vec::new();
    trailer.encode(&mut payload);
    // A payload is at most `MAX_PAYLOAD` long, which leaves room for the subfield's header in 64 KiB.
    let len = u16::try_from(payload.len()).unwrap_or(u16::MAX - 4);
    out.extend_from_slice(&GZIP_HEADER);
    out.extend_from_slice(&(len + 4).to_le_bytes());
    out.extend_from_slice(b"TC");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&payload);
}

/// A frame found in a member's bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// All of it, trailer included.
    pub span: Range<usize>,
    /// What a decompressor is fed.
    pub data: Range<usize>,
    /// What it says about itself.
    pub trailer: Trailer,
}

/// Finds the first intact frame that starts at or after `from` in the body of a compressed member.
///
/// Intact means that trailer and data match their CRC-32. Bytes between `from` and the
/// frame belong to no intact frame. Finds nothing without compression: there the trailer
/// is a member of its own.
///
/// # Errors
/// [`FrameError::Newer`] where a frame of a later format comes first.
pub fn locate(compression: Compression, body: &[u8], from: usize) -> Result<Option<Located>, FrameError> {
    let mut search = from;
    // Frames do not overlap, so those that are damaged are no longer than the body together. Only made-up
    // trailers that all claim the same data are; reading it once for each of them would never end.
    let mut budget = 2 * body.len();
    while let Some(found) = memmem::find(body.get(search..).unwrap_or_default(), MAGIC.get(..3).unwrap_or_default()) {
        let at = search + found;
        let candidate = match compression {
            Compression::Zstd => zstd_frame(body, at),
            Compression::Gzip => gzip_frame(body, at),
            Compression::None => None,
        };
        match candidate {
            Some(Err(newer)) => return Err(FrameError::Newer(newer)),
            Some(Ok(frame)) if frame.span.start >= from => {
                if is_intact(body, &frame) {
                    return Ok(Some(frame));
                }
                let Some(left) = budget.checked_sub(frame.data.len()) else { return Ok(None) };
                (budget, search) = (left, at + 1);
            }
            _ => search = at + 1,
        }
    }
    Ok(None)
}

fn is_intact(body: &[u8], frame: &Located) -> bool {
    body.get(frame.data.clone()).is_some_and(|data| crc32fast::hash(data) == frame.trailer.data_crc)
}

/// Decodes a payload where its checksum holds; damage is no candidate, a later format is an error.
fn payload(body: &[u8], at: usize, len: usize) -> Option<Result<Trailer, TrailerError>> {
    let bytes = body.get(at..at.checked_add(len).filter(|_| len <= MAX_PAYLOAD)?)?;
    match Trailer::decode(bytes) {
        Ok(trailer) => Some(Ok(trailer)),
        Err(newer @ TrailerError::Newer(_)) => Some(Err(newer)),
        Err(_) => None,
    }
}

/// Reads the frame whose trailer's payload starts at `at`, the data in front of it.
fn zstd_frame(body: &[u8], at: usize) -> Option<Result<Located, TrailerError>> {
    let skippable_at = at.checked_sub(SKIPPABLE_HEADER)?;
    let (magic, len) = body.get(skippable_at..at)?.split_first_chunk::<4>()?;
    if magic != &SKIPPABLE {
        return None;
    }
    let len = usize::try_from(u32::from_le_bytes(len.try_into().ok()?)).ok()?;
    let trailer = match payload(body, at, len)? {
        Ok(trailer) => trailer,
        Err(newer) => return Some(Err(newer)),
    };
    let start = skippable_at.checked_sub(usize::try_from(trailer.data_len).ok()?)?;
    Some(Ok(Located { span: start..at + len, data: start..skippable_at, trailer }))
}

/// Reads the frame whose trailer's payload starts at `at`, the data behind it.
fn gzip_frame(body: &[u8], at: usize) -> Option<Result<Located, TrailerError>> {
    let start = at.checked_sub(GZIP_PREFIX)?;
    let prefix = body.get(start..at)?;
    let rest = prefix.strip_prefix(&GZIP_HEADER)?;
    let [extra_low, extra_high, b'T', b'C', low, high] = *rest else { return None };
    let len = usize::from(u16::from_le_bytes([low, high]));
    if usize::from(u16::from_le_bytes([extra_low, extra_high])) != len + 4 {
        return None;
    }
    let trailer = match payload(body, at, len)? {
        Ok(trailer) => trailer,
        Err(newer) => return Some(Err(newer)),
    };
    let data = at + len;
    let end = data.checked_add(usize::try_from(trailer.data_len).ok()?)?;
    Some(Ok(Located { span: start..end, data: data..end, trailer }))
}

/// Decompresses a frame's data and appends its lines to `out`.
///
/// Never allocates more than the trailer's length of lines, itself at most [`MAX_RAW`].
///
/// # Errors
/// [`FrameError`] where the data does not hold what the trailer says; `out` is then cut to what it was.
pub fn decode(compression: Compression, data: &[u8], trailer: &Trailer, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let before = out.len();
    let result = decode_onto(compression, data, trailer, out);
    if result.is_err() {
        out.truncate(before);
    }
    result
}

fn decode_onto(compression: Compression, data: &[u8], trailer: &Trailer, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let before = out.len();
    let limit = u64::from(trailer.raw_len).min(MAX_RAW as u64) + 1;
    match compression {
        Compression::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(data).map_err(FrameError::Decompress)?;
            decoder.single_frame().take(limit).read_to_end(out).map_err(FrameError::Decompress)?;
        }
        Compression::Gzip => {
            let deflated = data.len().checked_sub(GZIP_FOOTER).and_then(|end| data.get(..end));
            let deflated = deflated.ok_or(FrameError::Damaged)?;
            flate2::bufread::DeflateDecoder::new(deflated)
                .take(limit)
                .read_to_end(out)
                .map_err(FrameError::Decompress)?;
        }
        Compression::None => out.extend_from_slice(data),
    }
    let found = out.len() - before;
    if usize::try_from(trailer.raw_len).is_ok_and(|stated| stated == found) {
        Ok(())
    } else {
        Err(FrameError::Length { found, stated: trailer.raw_len })
    }
}

#[cfg(test)]
mod tests;
