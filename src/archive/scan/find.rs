//! What bytes and names may be: frames, headers, members, manifests.

use memchr::memmem;

use super::contents::Newer;
use crate::archive::frame::{self, Compression, FrameError, Located};
use crate::archive::manifest::{FORMAT, Manifest};
use crate::archive::name::{INDEX_MEMBER, MANIFEST_MEMBER};
use crate::archive::trailer::TrailerError;
use crate::archive::ustar::{self, BLOCK, Parsed};
use crate::ids::Signal;

/// What a member's name says.
pub(super) enum Role {
    Lines { signal: Signal, number: u32, compression: Compression },
    Index,
    Manifest,
    Unknown,
}

/// What a search came upon first.
pub(super) enum Found {
    Frame(Located),
    Header(u64),
    /// Nothing in so many bytes.
    Nothing(u64),
    /// A frame that says it is of a later format, whose magic ends so many bytes further on.
    Newer(Newer, u64),
}

/// Finds the first frame or header in `bytes`, which begin at `at` in the file.
pub(super) fn first_of(known: Option<Compression>, bytes: &[u8], at: u64) -> Found {
    let compressions = match known {
        Some(Compression::None) => &[][..],
        Some(Compression::Zstd) => &[Compression::Zstd],
        Some(Compression::Gzip) => &[Compression::Gzip],
        None => &[Compression::Zstd, Compression::Gzip],
    };
    let mut first: Option<Located> = None;
    for &compression in compressions {
        match frame::locate(compression, bytes, 0) {
            Ok(Some(found)) if first.as_ref().is_none_or(|f| found.span.start < f.span.start) => first = Some(found),
            Err(FrameError::Newer(TrailerError::Newer(version))) => {
                let end = behind_magic(version, bytes);
                let newer = Found::Newer(Newer::Frame(version), end as u64);
                return header_before(end, bytes, at).map_or(newer, Found::Header);
            }
            Ok(_) | Err(_) => {}
        }
    }
    let limit = first.as_ref().map_or(bytes.len(), |frame| frame.span.start);
    match header_before(limit, bytes, at) {
        Some(header) => Found::Header(header),
        None => first.map_or(Found::Nothing(bytes.len() as u64), Found::Frame),
    }
}

/// Returns how many bytes end behind the first magic of that version; all of them where there is none.
fn behind_magic(version: char, bytes: &[u8]) -> usize {
    let magic = format!("TCF{version}");
    memmem::find(bytes, magic.as_bytes()).map_or(bytes.len(), |at| at + magic.len())
}

/// Finds the first header on the grid that begins before `limit`.
fn header_before(limit: usize, bytes: &[u8], at: u64) -> Option<u64> {
    let mut offset = ustar::padding(at);
    while offset < limit {
        let block = bytes.get(offset..)?.first_chunk::<BLOCK>()?;
        if matches!(ustar::parse(block), Parsed::File { .. } | Parsed::Other { .. }) {
            return Some(at + offset as u64);
        }
        offset += BLOCK;
    }
    None
}

/// Tells what a member of this name holds.
pub(super) fn role(name: &str) -> Role {
    let file = name.rsplit('/').next().unwrap_or(name);
    match file {
        INDEX_MEMBER => return Role::Index,
        MANIFEST_MEMBER => return Role::Manifest,
        _ => {}
    }
    let lines = Compression::of_name(file).and_then(|compression| {
        let number = file.strip_suffix(compression.ending())?.strip_suffix(".jsonl")?;
        let number = number.strip_prefix(Signal::Traces.as_str())?.strip_prefix('-')?.parse().ok()?;
        Some(Role::Lines { signal: Signal::Traces, number, compression })
    });
    lines.unwrap_or(Role::Unknown)
}

/// Reads a manifest: none where it is damaged, an error where it is of a later format.
pub(super) fn read_manifest(json: &[u8]) -> Result<Option<Manifest>, Newer> {
    /// What every format's manifest has.
    #[derive(serde::Deserialize)]
    struct Version {
        format: u32,
    }
    match serde_json::from_slice::<Version>(json) {
        Ok(Version { format }) if format > FORMAT => Err(Newer::Manifest(format)),
        _ => Ok(serde_json::from_slice(json).ok()),
    }
}

/// Tells whether all bytes are zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| b == 0)
}
