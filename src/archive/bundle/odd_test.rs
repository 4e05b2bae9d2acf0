//! What a download gets where something odd lies among the chunks.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fixture::{Fixture, lines, segment, walk};
use super::*;
use crate::archive::committed::Committed;
use crate::archive::frame::Compression;
use crate::archive::fs::{File, RealFs, Space, Stat};
use crate::archive::name::ChunkState;
use crate::archive::snapshot::Filter;

/// A volume on which one file cannot be opened.
struct Refusing {
    path: PathBuf,
    errno: rustix::io::Errno,
}

impl Fs for Refusing {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>> {
        RealFs.create_new(path)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        if path == self.path { Err(self.errno.into()) } else { RealFs.open(path) }
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFs.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        RealFs.sync_dir(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealFs.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        RealFs.list(path)
    }
    fn stat(&self, path: &Path) -> io::Result<Stat> {
        RealFs.stat(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        RealFs.space(path)
    }
}

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
    let capture = CaptureId::new("default", "local").unwrap();
    let fs = Refusing { path: fixture.path(2, ChunkState::Sealed), errno };
    Arc::new(Bundles::new(Arc::new(fs), fixture.dir.path(), capture, Committed::new()))
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

#[test]
fn a_truncated_sealed_chunk_is_marked() {
    let fixture = three();
    let path = fixture.path(2, ChunkState::Sealed);
    let file = RealFs.open(&path).unwrap();
    let mut held = vec![0; usize::try_from(file.stat().unwrap().len).unwrap() - 700];
    assert_eq!(file.read_at(&mut held, 0).unwrap(), held.len());
    RealFs.remove(&path).unwrap();
    RealFs.create_new(&path).unwrap().write_all_at(&held, 0).unwrap();
    let tar = check(&fixture.bundles(), &[1, 2, 3]);
    let manifest: serde_json::Value = serde_json::from_slice(&walk(&tar)[0].1).unwrap();
    let marks: Vec<_> = manifest["chunks"].as_array().unwrap().iter().map(|chunk| chunk["damaged"] == true).collect();
    assert_eq!(marks, [false, true, false]);
}
