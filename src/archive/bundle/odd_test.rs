//! What a download gets where something odd lies among the chunks.

use std::os::unix::fs::symlink;
use std::sync::Arc;

use super::fixture::{Fixture, lines, segment, walk};
use super::odd_fs::{Fault, OddFs};
use super::*;
use crate::archive::frame::Compression;
use crate::archive::fs::RealFs;
use crate::archive::name::ChunkState;
use crate::archive::snapshot::Filter;

fn all() -> Scope {
    Scope::Bundle(Filter::default())
}

/// Three sealed chunks of one frame each.
fn three() -> Fixture {
    let mut fixture = Fixture::new(Compression::Zstd);
    for _ in 0..3 {
        fixture.append();
        fixture.seal();
    }
    fixture
}

fn refusing(fixture: &Fixture, errno: rustix::io::Errno) -> Arc<Bundles> {
    fixture.bundles_on(OddFs::new(fixture.path(2, ChunkState::Sealed), Fault::Open(errno)))
}

fn bytes(bundles: &Arc<Bundles>, snapshot: Snapshot) -> Vec<u8> {
    let bundle = Arc::new(bundles.lay_out(snapshot).unwrap());
    let mut bytes = vec![0; usize::try_from(bundle.content_len()).unwrap()];
    let read = BundleReader::new(Arc::clone(bundles), bundle).read_at(0, &mut bytes).unwrap();
    assert_eq!(read, bytes.len());
    bytes
}

fn check(bundles: &Arc<Bundles>, frames: &[u64]) -> Vec<u8> {
    let snapshot = bundles.freeze(&all()).unwrap();
    let token = snapshot.token().unwrap().clone();
    let tar = bytes(bundles, snapshot);
    let expected: Vec<u8> = frames.iter().flat_map(|&n| segment(n).lines).collect();
    assert_eq!(lines(&tar), expected);
    assert_eq!(bundles.chunks().unwrap().len(), frames.len());
    assert_eq!(bytes(bundles, bundles.resolve(&token, &all()).unwrap()), tar, "of the token");
    tar
}

#[test]
fn what_is_no_regular_file_is_no_chunk() {
    let fixture = three();
    symlink(fixture.path(1, ChunkState::Sealed), fixture.path(7, ChunkState::Sealed)).unwrap();
    symlink("nowhere", fixture.path(8, ChunkState::InProgress)).unwrap();
    RealFs.create_dir_all(&fixture.path(9, ChunkState::Sealed)).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(fixture.path(10, ChunkState::InProgress)).status();
    assert!(pipe.unwrap().success());
    let bundles = fixture.bundles();
    check(&bundles, &[1, 2, 3]);
    let odd = bundles.freeze(&Scope::Chunk(Fixture::name(9)));
    assert!(matches!(odd, Err(BundleError::NoSuchChunk)));
}

#[test]
fn a_file_that_cannot_be_read_does_not_keep_the_others() {
    for errno in [rustix::io::Errno::ACCESS, rustix::io::Errno::IO] {
        let fixture = three();
        let bundles = refusing(&fixture, errno);
        let tar = check(&bundles, &[1, 3]);
        let manifest: serde_json::Value = serde_json::from_slice(&walk(&tar)[0].1).unwrap();
        assert_eq!(manifest["unreadable"], serde_json::json!([Fixture::name(2).to_string()]));
        assert_eq!((&manifest["totals"]["chunks"], manifest["chunks"].as_array().unwrap().len()), (&2.into(), 2));
        // Once it can be read, what was begun without it is ended without it.
        let begun = bundles.freeze(&all()).unwrap().token().unwrap().clone();
        let mended = fixture.bundles();
        assert_eq!(bytes(&mended, mended.resolve(&begun, &all()).unwrap()), tar);
        let alone = bundles.freeze(&Scope::Chunk(Fixture::name(2)));
        assert!(matches!(alone, Err(BundleError::Read { .. })), "{errno}");
        // A snapshot that does hold it is not found without it, and not called gone for good.
        let token = fixture.bundles().freeze(&all()).unwrap().token().unwrap().clone();
        assert!(matches!(bundles.resolve(&token, &all()), Err(BundleError::Read { .. })), "{errno}");
        for n in [1, 3] {
            RealFs.remove(&fixture.path(n, ChunkState::Sealed)).unwrap();
        }
        assert!(matches!(bundles.freeze(&all()), Err(BundleError::Read { .. })), "{errno}: nothing else is there");
    }
}

#[test]
fn an_error_that_others_would_meet_as_well_leaves_nothing_out() {
    let fixture = three();
    let bundles = refusing(&fixture, rustix::io::Errno::MFILE);
    assert!(matches!(bundles.freeze(&all()), Err(BundleError::Read { .. })));
}

/// Three chunks, the second of which has lost its tail: `left` of its length is there.
fn truncated(left: impl Fn(usize) -> usize) -> Fixture {
    let fixture = three();
    let path = fixture.path(2, ChunkState::Sealed);
    let file = RealFs.open(&path).unwrap();
    let mut held = vec![0; left(usize::try_from(file.stat().unwrap().len).unwrap())];
    assert_eq!(file.read_at(&mut held, 0).unwrap(), held.len());
    RealFs.remove(&path).unwrap();
    RealFs.create_new(&path).unwrap().write_all_at(&held, 0).unwrap();
    fixture
}

#[test]
fn a_sealed_chunk_that_lost_everything_is_named() {
    for left in [0, 100, 512] {
        let fixture = truncated(|_| left);
        let bundles = fixture.bundles();
        let tar = check(&bundles, &[1, 3]);
        let manifest: serde_json::Value = serde_json::from_slice(&walk(&tar)[0].1).unwrap();
        assert_eq!(manifest["unreadable"], serde_json::json!([Fixture::name(2).to_string()]), "{left}");
        let alone = bundles.freeze(&Scope::Chunk(Fixture::name(2)));
        assert!(matches!(alone, Err(BundleError::NoSuchChunk)), "{left}");
    }
}

#[test]
fn a_truncated_sealed_chunk_is_marked() {
    let fixture = truncated(|len| len - 700);
    let tar = check(&fixture.bundles(), &[1, 2, 3]);
    let manifest: serde_json::Value = serde_json::from_slice(&walk(&tar)[0].1).unwrap();
    let marks: Vec<_> = manifest["chunks"].as_array().unwrap().iter().map(|chunk| chunk["damaged"] == true).collect();
    assert_eq!(marks, [false, true, false]);
}
