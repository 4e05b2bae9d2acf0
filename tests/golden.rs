//! Chunks that earlier programs wrote are read and recovered as they always were.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tracecapture::archive::catalog::{Catalog, Inventory};
use tracecapture::archive::frame::{Compression, decode};
use tracecapture::archive::fs::{File, Fs, RealFs, read_exact_at};
use tracecapture::archive::index::FrameRef;
use tracecapture::archive::layout;
use tracecapture::archive::name::{ChunkName, ChunkState};
use tracecapture::archive::recovery::{Outcome, Site, recover};
use tracecapture::archive::scan::{frames, scan};
use tracecapture::clock::Timestamp;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expected {
    file: String,
    frames: Vec<u32>,
    lines: u32,
    items: u32,
    lines_bytes: usize,
    lines_crc32: u32,
    services: Vec<String>,
    quarantined_bytes: u64,
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// Copies a case, since recovery changes the directory.
#[expect(clippy::disallowed_methods, reason = "test fixture")]
fn copied(case: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for sub in ["chunks", "quarantine"] {
        fs::create_dir(copy.path().join(sub)).unwrap();
        // An empty directory is not checked in.
        let Ok(entries) = fs::read_dir(golden().join(case).join(sub)) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            fs::write(copy.path().join(sub).join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap();
        }
    }
    copy
}

#[expect(clippy::disallowed_methods, reason = "test fixture")]
fn expected(case: &str) -> Expected {
    let json = fs::read(golden().join("expected.json")).unwrap();
    let mut all: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&json).unwrap();
    serde_json::from_value(all.remove(case).unwrap()).unwrap()
}

/// Checks that these frames are the expected ones and decode to the lines that were written.
#[track_caller]
fn check_frames(file: &dyn File, compression: Compression, found: &[FrameRef], expected: &Expected) {
    let facts = || found.iter().map(|frame| &frame.trailer.facts);
    assert_eq!(found.iter().map(|frame| frame.trailer.sequence).collect::<Vec<_>>(), expected.frames);
    assert_eq!(facts().map(|facts| facts.lines).sum::<u32>(), expected.lines);
    assert_eq!(facts().map(|facts| facts.items).sum::<u32>(), expected.items);
    assert_eq!(facts().flat_map(|facts| facts.services.clone()).collect::<Vec<_>>(), expected.services);
    let mut lines = Vec::new();
    for frame in found {
        let mut data = vec![0; usize::try_from(frame.data.end - frame.data.start).unwrap()];
        read_exact_at(file, &mut data, frame.data.start).unwrap();
        decode(compression, &data, &frame.trailer, &mut lines).unwrap();
    }
    assert_eq!((lines.len(), crc32fast::hash(&lines)), (expected.lines_bytes, expected.lines_crc32));
}

fn inventory(data_dir: &Path) -> Inventory {
    let inventory = Catalog::new(data_dir).read(&RealFs).unwrap();
    assert!(inventory.foreign.is_empty() && inventory.temporaries.is_empty());
    inventory
}

/// Checks one case: as it lies there, and once its writer is gone for good.
fn check(case: &str) {
    let (dir, expected) = (copied(case), expected(case));
    let (name, state) = ChunkName::parse_file_name(&expected.file).unwrap();
    let before = inventory(dir.path());
    assert_eq!(before.chunks.iter().map(|c| (&c.name, c.state)).collect::<Vec<_>>(), [(&name, state)]);
    let file = RealFs.open(&layout::chunk_path(dir.path(), &name, state)).unwrap();
    let len = file.stat().unwrap().len;
    let found = scan(&*file, len).unwrap();
    assert_eq!((found.complete, found.newer), (state == ChunkState::Sealed, None));
    check_frames(&*file, found.compression().unwrap(), &found.frames, &expected);
    if state == ChunkState::Sealed {
        assert_eq!(frames(&*file, len).unwrap(), found.frames);
    } else {
        check_recovery(dir.path(), &name, found.compression().unwrap(), &expected);
    }
    let kept: u64 = inventory(dir.path()).quarantine.iter().map(|file| file.len).sum();
    assert_eq!(kept, expected.quarantined_bytes);
}

fn check_recovery(data_dir: &Path, name: &ChunkName, compression: Compression, expected: &Expected) {
    let now = Timestamp::from_unix_nanos(1_795_300_000_000_000_000);
    let outcome = recover(Site { fs: &RealFs, data_dir, nonce: 1, now }, name).unwrap();
    let Outcome::Sealed(recovered) = outcome else { panic!("{outcome:?}") };
    assert_eq!(recovered.quarantined_bytes, expected.quarantined_bytes);
    let file = RealFs.open(&layout::chunk_path(data_dir, name, ChunkState::Sealed)).unwrap();
    let found = scan(&*file, file.stat().unwrap().len).unwrap();
    assert!(found.complete && found.index_ok);
    check_frames(&*file, compression, &found.frames, expected);
}

#[test]
fn sealed_chunks_of_every_compression_are_read() {
    ["sealed-zstd", "sealed-gzip", "sealed-none"].into_iter().for_each(check);
}

#[test]
fn torn_chunks_are_recovered() {
    ["torn-zstd", "torn-gzip", "torn-none"].into_iter().for_each(check);
}

#[test]
fn a_zero_filled_tail_is_cut() {
    check("zero-filled-tail");
}

#[test]
fn a_damaged_frame_is_quarantined() {
    check("damaged-inside");
}

#[test]
fn a_recovered_chunk_is_read_beside_its_quarantine() {
    check("quarantined");
}
