//! Decompresses request bodies, bounded, with one code for both transports.
//!
//! Every scheme that a stock OpenTelemetry Collector can send is read, to the end: all members of a
//! gzip body, all frames of a zstd body. Bytes behind the end are bad data. The bound is checked
//! while inflating, and each growth of the output is asked for before it is allocated.

use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use thiserror::Error;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

use super::admission::{Overloaded, Permit};

/// The first allocation for inflated bytes.
const FIRST_STEP: usize = 64 << 10;

/// The largest window a zstd frame may ask for, as a power of two: 64 MiB.
///
/// The decoder allocates the window from the header alone, so a forged header must not ask for gigabytes.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// A zstd context above this size is not kept: a window of 8 MiB, the largest of the common levels, and its tables.
const KEPT_ZSTD_BYTES: usize = 9 << 20;

/// How framed snappy begins: the stream identifier chunk.
///
/// Source: snappy, `framing_format.txt`, section 4.1.
const SNAPPY_STREAM: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Identity,
    /// gzip, any number of members.
    Gzip,
    /// zlib, or raw deflate as some clients send under that name.
    Deflate,
    /// zstd, any number of frames.
    Zstd,
    /// Snappy, the block format over HTTP and framed over gRPC, told apart by the stream identifier.
    Snappy,
    /// lz4 frames.
    Lz4,
}

/// Why a body could not be inflated.
#[derive(Debug, Error)]
pub enum InflateError {
    /// It is larger than the limit; retrying never helps.
    #[error("the inflated body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// It does not fit into memory now; retrying helps.
    #[error("cannot hold the inflated body")]
    Overloaded(#[source] Overloaded),
    /// It is not what it says it is; retrying never helps.
    #[error("cannot inflate the {scheme} body")]
    Corrupt {
        /// The compression's name.
        scheme: &'static str,
        /// What the decoder says.
        #[source]
        source: io::Error,
    },
}

/// Inflates bodies one after the other, keeping its zstd context.
#[derive(Default)]
pub(super) struct Inflater {
    zstd: Option<DCtx<'static>>,
}

/// Inflated bytes under their two bounds.
struct Output<'a> {
    bytes: &'a mut Vec<u8>,
    limit: usize,
    permit: &'a mut Permit,
}

impl Compression {
    /// The names that `grpc-accept-encoding` and `Accept-Encoding` list.
    pub const NAMES: &'static str = "identity,gzip,zstd,deflate,snappy,lz4";

    /// Finds the compression by its name in `grpc-encoding` or `Content-Encoding`, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let names = [
            ("identity", Self::Identity),
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("zstd", Self::Zstd),
            ("deflate", Self::Deflate),
            ("zlib", Self::Deflate),
            ("snappy", Self::Snappy),
            ("x-snappy-framed", Self::Snappy),
            ("lz4", Self::Lz4),
        ];
        names.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, compression)| compression)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
        }
    }
}

impl Inflater {
    /// Appends what `body` inflates to, at most `limit` bytes, to `bytes`, which is empty.
    ///
    /// # Errors
    /// [`InflateError`]; `bytes` then holds what was read until then.
    pub(super) fn inflate(
        &mut self,
        compression: Compression,
        body: &[u8],
        bounds: (usize, &mut Permit),
        bytes: &mut Vec<u8>,
    ) -> Result<(), InflateError> {
        let (limit, permit) = bounds;
        let mut output = Output { bytes, limit, permit };
        let read = match compression {
            Compression::Identity => output.fill_from(body, Read::read),
            Compression::Gzip => output.fill_from(MultiGzDecoder::new(body), Read::read),
            Compression::Deflate => deflate(body, &mut output),
            Compression::Zstd => self.zstd(body, &mut output),
            Compression::Snappy => snappy(body, &mut output),
            Compression::Lz4 => lz4(body, &mut output),
        };
        read.map_err(|fault| match fault {
            Fault::TooLarge => InflateError::TooLarge { limit },
            Fault::Overloaded(overloaded) => InflateError::Overloaded(overloaded),
            Fault::Corrupt(source) => InflateError::Corrupt { scheme: compression.name(), source },
        })
    }

    fn zstd(&mut self, body: &[u8], output: &mut Output<'_>) -> Result<(), Fault> {
        // Taken out, so that a context that failed is not used again.
        let mut context = match self.zstd.take() {
            Some(context) => context,
            None => zstd_context()?,
        };
        let mut input = InBuffer::around(body);
        loop {
            let (mut hint, position) = (0, input.pos());
            let written = output.step(|space| {
                let mut buffer = OutBuffer::around(space);
                hint = context.decompress_stream(&mut buffer, &mut input).map_err(zstd_error)?;
                Ok(buffer.pos())
            })?;
            let stuck = written == 0 && input.pos() == position;
            if hint == 0 && input.pos() == body.len() {
                break;
            }
            if stuck {
                return Err(truncated());
            }
        }
        if context.sizeof() <= KEPT_ZSTD_BYTES {
            context.reset(ResetDirective::SessionOnly).map_err(zstd_error)?;
            self.zstd = Some(context);
        }
        Ok(())
    }
}

/// What goes wrong on the way, before the compression's name is added.
enum Fault {
    TooLarge,
    Overloaded(Overloaded),
    Corrupt(io::Error),
}

impl From<io::Error> for Fault {
    fn from(source: io::Error) -> Self {
        Self::Corrupt(source)
    }
}

impl Output<'_> {
    /// Lets `read` fill some free space once, and returns how many bytes it wrote.
    fn step(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> Result<usize, Fault> {
        let (start, mut end) = (self.bytes.len(), self.bytes.capacity());
        if start == end {
            // One more than the limit is enough to see that it is exceeded.
            let most = self.limit.saturating_add(1).max(start.saturating_add(1));
            end = start.saturating_mul(2).max(FIRST_STEP).min(most);
            self.grow_to(end)?;
        }
        // Not all of a large buffer at once: the zeroes would be written a second time by the decoder.
        let end = end.min(start.saturating_add(FIRST_STEP));
        self.bytes.resize(end, 0);
        let result = read(self.bytes.get_mut(start..).unwrap_or_default());
        let written = result.as_ref().map_or(0, |&written| written);
        self.bytes.truncate(start.saturating_add(written));
        result?;
        if self.bytes.len() > self.limit { Err(Fault::TooLarge) } else { Ok(written) }
    }

    /// Steps until `read` has nothing more.
    fn fill_from<R>(&mut self, mut reader: R, read: fn(&mut R, &mut [u8]) -> io::Result<usize>) -> Result<(), Fault> {
        while self.step(|space| read(&mut reader, space))? > 0 {}
        Ok(())
    }

    /// Asks for memory and only then allocates it.
    fn grow_to(&mut self, capacity: usize) -> Result<(), Fault> {
        let more = capacity.saturating_sub(self.bytes.capacity());
        self.permit.grow(more).map_err(Fault::Overloaded)?;
        self.bytes.reserve_exact(capacity.saturating_sub(self.bytes.len()));
        Ok(())
    }
}

fn zstd_context() -> Result<DCtx<'static>, Fault> {
    let mut context = DCtx::try_create().ok_or_else(|| io::Error::other("no memory for a zstd context"))?;
    context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(zstd_error)?;
    Ok(context)
}

fn zstd_error(code: zstd::zstd_safe::ErrorCode) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, zstd::zstd_safe::get_error_name(code))
}

fn truncated() -> Fault {
    Fault::Corrupt(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream is cut off"))
}

fn trailing() -> Fault {
    Fault::Corrupt(io::Error::new(io::ErrorKind::InvalidData, "bytes follow the end of the stream"))
}

/// Inflates zlib, or raw deflate where the header of zlib is missing.
fn deflate(body: &[u8], output: &mut Output<'_>) -> Result<(), Fault> {
    let mut decoder = Decompress::new(has_zlib_header(body));
    let mut rest = body;
    loop {
        let (mut status, mut used) = (Status::Ok, 0);
        let written = output.step(|space| {
            let (read_before, written_before) = (decoder.total_in(), decoder.total_out());
            status = decoder.decompress(rest, space, FlushDecompress::None).map_err(io::Error::from)?;
            used = usize::try_from(decoder.total_in() - read_before).unwrap_or(usize::MAX);
            Ok(usize::try_from(decoder.total_out() - written_before).unwrap_or(usize::MAX))
        })?;
        rest = rest.get(used..).unwrap_or_default();
        match status {
            Status::StreamEnd if rest.is_empty() => return Ok(()),
            Status::StreamEnd => return Err(trailing()),
            Status::Ok | Status::BufError if written == 0 && used == 0 => return Err(truncated()),
            Status::Ok | Status::BufError => {}
        }
    }
}

/// Source: RFC 1950, section 2.2: method 8, and both bytes a multiple of 31.
fn has_zlib_header(body: &[u8]) -> bool {
    matches!(body, &[cmf, flags, ..] if cmf & 0x0f == 8 && u16::from_be_bytes([cmf, flags]) % 31 == 0)
}

fn snappy(body: &[u8], output: &mut Output<'_>) -> Result<(), Fault> {
    // Framing writers write nothing at all where there was nothing to compress.
    if body.is_empty() {
        return Ok(());
    }
    if body.starts_with(SNAPPY_STREAM) {
        return output.fill_from(snap::read::FrameDecoder::new(body), Read::read);
    }
    let len = snap::raw::decompress_len(body).map_err(io::Error::from)?;
    if len > output.limit {
        return Err(Fault::TooLarge);
    }
    output.grow_to(len)?;
    output.bytes.resize(len, 0);
    snap::raw::Decoder::new().decompress(body, output.bytes).map_err(io::Error::from)?;
    Ok(())
}

fn lz4(body: &[u8], output: &mut Output<'_>) -> Result<(), Fault> {
    // The decoder takes a body that ends between two blocks for a whole one.
    let mut rest = body;
    while !rest.is_empty() || body.is_empty() {
        rest = after_lz4_frame(rest).ok_or_else(truncated)?;
    }
    let mut decoder = lz4_flex::frame::FrameDecoder::new(body);
    // It says "end" after each frame.
    while output.step(|space| decoder.read(space))? > 0 || !decoder.get_ref().is_empty() {}
    Ok(())
}

/// Returns what follows the first frame, `None` where that is cut off or no frame.
///
/// Source: lz4, `lz4_Frame_format.md`, "General Structure of LZ4 Frame format".
fn after_lz4_frame(body: &[u8]) -> Option<&[u8]> {
    let (&[0x04, 0x22, 0x4d, 0x18, flags, _], mut rest) = body.split_first_chunk()? else { return None };
    let len_if = |bit: u8, len: usize| if flags & bit == 0 { 0 } else { len };
    // Content size, dictionary, checksum of the header.
    rest = rest.get(len_if(0x08, 8) + len_if(0x01, 4) + 1..)?;
    loop {
        let (&size, blocks) = rest.split_first_chunk()?;
        match u32::from_le_bytes(size) & 0x7fff_ffff {
            0 => return blocks.get(len_if(0x04, 4)..),
            size => rest = blocks.get(usize::try_from(size).ok()?.checked_add(len_if(0x10, 4))?..)?,
        }
    }
}

#[cfg(test)]
mod tests;
