//! What becomes of downloads where a block inside a chunk cannot be read.

use std::ops::Range;
use std::sync::Arc;

use rustix::io::Errno;

use super::fixture::{Fixture, id, walk};
use super::odd_fs::{Fault, OddFs};
use super::*;
use crate::archive::frame::Compression;
use crate::archive::fs::{RealFs, read_exact_at};
use crate::archive::name::ChunkState;
use crate::archive::snapshot::{Filter, Token};

/// A block of the large frame of the second chunk, far from its end, which freezing reads.
const OF_LARGE: Range<u64> = 100_000..104_096;

/// A block of the small frame before it.
const OF_SMALL: Range<u64> = 600..700;

/// Three sealed chunks, of which a block of the second cannot be read.
struct Broken {
    fixture: Fixture,
    volume: OddFs,
    bundles: Arc<Bundles>,
}

impl Broken {
    fn new(errno: Errno, block: Range<u64>) -> Self {
        let mut fixture = Fixture::new(Compression::None);
        for n in 1..=3 {
            fixture.append();
            if n == 2 {
                fixture.append_large(2 << 20);
            }
            fixture.seal();
        }
        let volume = OddFs::new(fixture.path(2, ChunkState::Sealed), Fault::Read(errno, block));
        let bundles = fixture.bundles_on(volume.clone());
        Self { fixture, volume, bundles }
    }

    fn freeze(&self, filter: &Filter) -> Snapshot {
        self.bundles.freeze(&Scope::Bundle(filter.clone())).unwrap()
    }

    fn resolve(&self, token: &Token) -> Result<Snapshot, BundleError> {
        self.bundles.resolve(token, &Scope::Bundle(Filter::default()))
    }
}

/// Reads a bundle piece by piece, as a download does.
fn read(bundles: &Arc<Bundles>, snapshot: Snapshot) -> Result<Vec<u8>, BundleError> {
    let bundle = Arc::new(bundles.lay_out(snapshot)?);
    let mut reader = BundleReader::new(Arc::clone(bundles), Arc::clone(&bundle));
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < bundle.content_len() {
        let mut piece = vec![0; 64 << 10];
        let n = reader.read_at(bytes.len() as u64, &mut piece)?;
        bytes.extend_from_slice(&piece[..n]);
    }
    Ok(bytes)
}

/// Returns how many chunks a bundle says that it holds, and those that it says it lacks.
fn told(tar: &[u8]) -> (u64, serde_json::Value) {
    let manifest: serde_json::Value = serde_json::from_slice(&walk(tar)[0].1).unwrap();
    (manifest["totals"]["chunks"].as_u64().unwrap(), manifest["unreadable"].clone())
}

#[test]
fn a_chunk_that_broke_a_download_off_is_left_out_of_the_next_one() {
    let broken = Broken::new(Errno::IO, OF_LARGE);
    let Broken { fixture, volume, bundles } = &broken;
    let whole = read(&fixture.bundles(), fixture.bundles().freeze(&Scope::Bundle(Filter::default())).unwrap()).unwrap();
    let first = broken.freeze(&Filter::default());
    let token = first.token().unwrap().clone();
    assert!(matches!(read(bundles, first), Err(BundleError::Read { .. })));
    let second = read(bundles, broken.freeze(&Filter::default())).unwrap();
    assert_eq!(told(&second), (2, serde_json::json!([Fixture::name(2).to_string()])));
    assert_eq!(bundles.chunks().unwrap().len(), 2);
    // What was begun with that chunk is never ended without it.
    assert!(matches!(broken.resolve(&token), Err(BundleError::Read { .. })));
    volume.mend();
    assert!(read(bundles, broken.resolve(&token).unwrap()).unwrap() == whole);
    assert!(read(bundles, broken.freeze(&Filter::default())).unwrap() == whole);
}

#[test]
fn what_is_not_on_the_bad_block_can_still_be_had() {
    let broken = Broken::new(Errno::IO, OF_LARGE);
    let _ = read(&broken.bundles, broken.freeze(&Filter::default())).unwrap_err();
    let of_second = Filter { service: Some("service-2".to_owned()), ..Filter::default() };
    let tar = read(&broken.bundles, broken.freeze(&of_second)).unwrap();
    assert_eq!(told(&tar), (1, serde_json::Value::Null));
}

#[test]
fn a_trace_is_told_without_a_chunk_that_cannot_be_read() {
    let broken = Broken::new(Errno::IO, OF_SMALL);
    let through = Filter { trace_id: Some(id(1_000)), ..Filter::default() };
    assert!(matches!(read(&broken.bundles, broken.freeze(&through)), Err(BundleError::Read { .. })));
    let tar = read(&broken.bundles, broken.freeze(&through)).unwrap();
    assert_eq!(told(&tar), (2, serde_json::json!([Fixture::name(2).to_string()])));
}

#[test]
fn an_error_that_others_would_meet_as_well_is_not_held_against_the_chunk() {
    let broken = Broken::new(Errno::MFILE, OF_LARGE);
    assert!(matches!(read(&broken.bundles, broken.freeze(&Filter::default())), Err(BundleError::Read { .. })));
    assert_eq!(broken.freeze(&Filter::default()).chunk_names().count(), 3);
    broken.volume.mend();
    assert_eq!(told(&read(&broken.bundles, broken.freeze(&Filter::default())).unwrap()), (3, serde_json::Value::Null));
}

#[test]
fn recoverys_copy_is_not_blamed_for_the_file_before_it() {
    let broken = Broken::new(Errno::IO, OF_LARGE);
    let Broken { fixture, bundles, .. } = &broken;
    let _ = read(bundles, broken.freeze(&Filter::default())).unwrap_err();
    let path = fixture.path(2, ChunkState::Sealed);
    let file = RealFs.open(&path).unwrap();
    let mut held = vec![0; usize::try_from(file.stat().unwrap().len).unwrap()];
    read_exact_at(&*file, &mut held, 0).unwrap();
    // While the file is open, another one cannot get its number.
    RealFs.remove(&path).unwrap();
    RealFs.create_new(&path).unwrap().write_all_at(&held, 0).unwrap();
    assert_eq!(told(&read(bundles, broken.freeze(&Filter::default())).unwrap()).0, 3);
}
