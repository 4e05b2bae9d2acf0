//! Reads a sealed chunk by its last members, without a walk over its data.

use std::io;

use super::find::read_manifest;
use super::{ScanError, scan};
use crate::archive::frame::Compression;
use crate::archive::fs::{File, read_exact_at};
use crate::archive::index::{self, FrameRef, MAX_TABLE};
use crate::archive::manifest::Manifest;
use crate::archive::name::{INDEX_MEMBER, MANIFEST_MEMBER};
use crate::archive::ustar::{self, BLOCK, BLOCK_LEN, Block, Parsed};

/// Where the manifest is looked for: its list of services, the longest part of it, fits several times.
const TAIL: u64 = 512 * 1024;

/// Returns the frames of a sealed chunk: from its index where that is intact, else by a scan.
///
/// With an index the data is not read; who decompresses a frame checks it.
///
/// # Errors
/// [`ScanError::Read`], where another try may help; [`ScanError::Newer`], where none does.
pub fn frames(file: &dyn File, len: u64) -> Result<Vec<FrameRef>, ScanError> {
    if let Some(frames) = indexed(file, len)? {
        return Ok(frames);
    }
    let found = scan(file, len)?;
    found.newer.map_or(Ok(found.frames), |newer| Err(newer.into()))
}

/// Returns the manifest of a sealed chunk; `None` where its end is not as a writer leaves it.
///
/// # Errors
/// As [`frames`].
pub fn manifest(file: &dyn File, len: u64) -> Result<Option<Manifest>, ScanError> {
    let from = len.saturating_sub(TAIL).next_multiple_of(BLOCK_LEN);
    let mut tail = vec![0; usize::try_from(len.saturating_sub(from)).unwrap_or(0)];
    read(file, &mut tail, from)?;
    let (blocks, _) = tail.as_chunks::<BLOCK>();
    for (n, block) in blocks.iter().enumerate().rev() {
        let Parsed::File { name, size } = ustar::parse(block) else { continue };
        let body = usize::try_from(size).ok().and_then(|size| tail.get((n + 1) * BLOCK..)?.get(..size));
        return match body.filter(|_| is_member(&name, MANIFEST_MEMBER)) {
            Some(json) => Ok(read_manifest(json)?),
            None => Ok(None),
        };
    }
    Ok(None)
}

/// Returns how a chunk's lines are compressed, by its first header; `None` where that is no data member's.
///
/// A chunk has one compression.
///
/// # Errors
/// [`ScanError::Read`]; another try may help.
pub fn compression(file: &dyn File, len: u64) -> Result<Option<Compression>, ScanError> {
    Ok(member_at(file, len, 0)?.and_then(|(name, _)| Compression::of_name(&name)))
}

/// Returns what the index says, where there is one and it stays inside the data.
fn indexed(file: &dyn File, len: u64) -> Result<Option<Vec<FrameRef>>, ScanError> {
    let Some(manifest) = manifest(file, len)? else { return Ok(None) };
    let at = manifest.data_bytes;
    let Some((name, size)) = member_at(file, len, at)? else { return Ok(None) };
    let room = len.saturating_sub(at).saturating_sub(BLOCK_LEN);
    if !is_member(&name, INDEX_MEMBER) || size > MAX_TABLE.min(room) {
        return Ok(None);
    }
    let mut body = vec![0; usize::try_from(size).unwrap_or(0)];
    read(file, &mut body, at + BLOCK_LEN)?;
    let frames = index::decode(&body);
    Ok(frames.filter(|frames| frames.len() as u64 == manifest.frames && frames.iter().all(|f| f.span.end <= at)))
}

/// Returns name and body length of the member whose header lies at `at`.
fn member_at(file: &dyn File, len: u64, at: u64) -> Result<Option<(String, u64)>, ScanError> {
    if at.checked_add(BLOCK_LEN).is_none_or(|end| end > len) {
        return Ok(None);
    }
    let mut block: Block = [0; BLOCK];
    read(file, &mut block, at)?;
    match ustar::parse(&block) {
        Parsed::File { name, size } => Ok(Some((name, size))),
        _ => Ok(None),
    }
}

fn is_member(name: &str, member: &str) -> bool {
    name.rsplit('/').next() == Some(member)
}

/// Reads exactly; a file shorter than was said is an error like any other.
fn read(file: &dyn File, buffer: &mut [u8], offset: u64) -> Result<(), ScanError> {
    read_exact_at(file, buffer, offset).map_err(|source: io::Error| ScanError::Read { offset, source })
}
