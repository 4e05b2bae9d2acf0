//! Every state that a crash can leave, by its number.

#![expect(clippy::cast_possible_truncation, reason = "test chunks are small")]

use std::path::PathBuf;

use super::*;
use crate::archive::frame::Compression;
use crate::archive::fs::{Fs, RealFs};
use crate::archive::layout;
use crate::archive::manifest::SealedBy;
use crate::archive::name::ChunkState::{self, InProgress, Recovering, Sealed};
use crate::archive::scan::scan;
use crate::archive::testing::{Build, chunk};
use crate::archive::ustar::{self, END};

/// A data directory on the real filesystem.
struct Volume(tempfile::TempDir);

impl Volume {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        layout::prepare(&RealFs, dir.path(), &"test".parse().unwrap()).unwrap();
        Self(dir)
    }

    fn path(&self, state: ChunkState) -> PathBuf {
        layout::chunk_path(self.0.path(), &name(), state)
    }

    fn put(&self, state: ChunkState, bytes: &[u8]) {
        let file = RealFs.create_new(&self.path(state)).unwrap();
        file.write_all_at(bytes, 0).unwrap();
    }

    fn recover(&self) -> Outcome {
        let now = Timestamp::from_unix_nanos(1_800_000_000_000_000_000);
        recover(Site { fs: &RealFs, data_dir: self.0.path(), nonce: 7, now }, &name()).unwrap()
    }

    fn scan(&self, state: ChunkState) -> Scan {
        let file = RealFs.open(&self.path(state)).unwrap();
        scan(&*file, file.stat().unwrap().len).unwrap()
    }

    fn exists(&self, state: ChunkState) -> bool {
        RealFs.stat(&self.path(state)).is_ok()
    }

    /// Returns the quarantined contents by offset.
    fn quarantine(&self) -> Vec<(u64, Vec<u8>)> {
        let dir = layout::quarantine_dir(self.0.path());
        let mut kept: Vec<_> = RealFs
            .list(&dir)
            .unwrap()
            .into_iter()
            .map(|file| {
                let (_, offset) = layout::parse_quarantine_name(file.to_str().unwrap()).unwrap();
                let opened = RealFs.open(&dir.join(&file)).unwrap();
                let mut bytes = vec![0; opened.stat().unwrap().len as usize];
                crate::archive::fs::read_exact_at(&*opened, &mut bytes, 0).unwrap();
                (offset, bytes)
            })
            .collect();
        kept.sort();
        kept
    }
}

fn name() -> ChunkName {
    chunk("writer-0", 1, 0)
}

fn build(compression: Compression) -> Build {
    Build::new(name(), compression)
}

/// Checks that an orphan of these bytes becomes a sealed chunk of these frames, and these ranges quarantined bytes.
#[track_caller]
fn check(bytes: &[u8], frames: &[u32], quarantined: &[std::ops::Range<usize>]) -> Recovered {
    let volume = Volume::new();
    volume.put(InProgress, bytes);
    let outcome = volume.recover();
    assert!(!volume.exists(InProgress) && !volume.exists(Recovering));
    let expected: Vec<_> = quarantined.iter().map(|r| (r.start as u64, bytes[r.clone()].to_vec())).collect();
    assert_eq!(volume.quarantine(), expected);
    if frames.is_empty() {
        let Outcome::Discarded(recovered) = outcome else { panic!("{outcome:?}") };
        assert!(!volume.exists(Sealed));
        return recovered;
    }
    let Outcome::Sealed(recovered) = outcome else { panic!("{outcome:?}") };
    let scan = volume.scan(Sealed);
    assert!(scan.complete && scan.index_ok);
    let found: Vec<_> = scan.frames.iter().map(|frame| frame.trailer.sequence).collect();
    assert_eq!(found, frames);
    assert_eq!(scan.manifest.unwrap().damage, recovered.damage);
    assert_eq!(volume.recover(), Outcome::Gone);
    recovered
}

fn span(build: &Build, frame: usize) -> std::ops::Range<usize> {
    let span = &build.frames[frame].span;
    span.start as usize..span.end as usize
}

/// Returns a place inside a frame's data: behind the tar header that a plain frame begins with.
fn inside(compression: Compression) -> usize {
    if compression == Compression::None { 540 } else { 60 }
}

#[test]
fn state_01_an_absent_file_is_gone() {
    assert_eq!(Volume::new().recover(), Outcome::Gone);
}

#[test]
fn state_02_an_empty_file_is_removed() {
    check(&[], &[], &[]);
}

#[test]
fn state_02_a_header_without_data_is_removed() {
    check(&build(Compression::Zstd).member(1).bytes[..512], &[], &[]);
}

#[test]
fn state_03_a_torn_header_leaves_the_frames_before_it() {
    for compression in Compression::ALL {
        let whole = build(compression).member(2);
        let border = whole.bytes.len();
        let more = whole.member(1);
        check(&more.bytes[..border + 300], &[0, 1], std::slice::from_ref(&(border..border + 300)));
    }
    check(&build(Compression::Zstd).member(1).bytes[..100], &[], std::slice::from_ref(&(0..100)));
}

#[test]
fn state_04_a_torn_body_leaves_its_whole_frames() {
    for compression in Compression::ALL {
        let chunk = build(compression).member(3);
        let last = span(&chunk, 2);
        let cut = last.start + inside(compression);
        check(&chunk.bytes[..cut], &[0, 1], std::slice::from_ref(&(last.start..cut)));
    }
}

#[test]
fn state_05_short_padding_takes_nothing() {
    for compression in Compression::ALL {
        let chunk = build(compression).member(2);
        let end = match compression {
            Compression::None => chunk.bytes.len() - chunk.bytes.iter().rev().take_while(|&&b| b == 0).count(),
            _ => span(&chunk, 1).end,
        };
        assert!(end < chunk.bytes.len());
        check(&chunk.bytes[..end], &[0, 1], &[]);
    }
}

#[test]
fn state_06_a_zero_filled_last_frame_is_cut_and_on_record() {
    for compression in Compression::ALL {
        let mut chunk = build(compression).member(3);
        let last = span(&chunk, 2);
        chunk.bytes[last.clone()].fill(0);
        let len = chunk.bytes.len();
        chunk.bytes.resize(len + 4_096, 0);
        let recovered = check(&chunk.bytes, &[0, 1], &[]);
        assert_eq!((recovered.quarantined_bytes, recovered.damage.len()), (0, 1));
    }
}

#[test]
fn state_06_a_zero_filled_inner_frame_loses_no_other() {
    for compression in Compression::ALL {
        let mut chunk = build(compression).member(3);
        let inner = span(&chunk, 1);
        chunk.bytes[inner].fill(0);
        let recovered = check(&chunk.bytes, &[0, 2], &[]);
        assert_eq!(recovered.damage.len(), 1);
    }
}

#[test]
fn state_07_garbage_inside_is_quarantined_with_its_offset() {
    for compression in Compression::ALL {
        let mut chunk = build(compression).member(3).member(2);
        let inner = span(&chunk, 1);
        chunk.bytes[inner.start + inside(compression)] ^= 0xff;
        let recovered = check(&chunk.bytes, &[0, 2, 3, 4], std::slice::from_ref(&inner));
        assert_eq!(recovered.quarantined_bytes, inner.len() as u64);
    }
}

#[test]
fn state_08_frames_beyond_the_size_in_the_header_are_kept() {
    let mut chunk = build(Compression::Zstd).member(3);
    let size = chunk.frames[0].span.end - 512;
    let header = ustar::header(&name().member("traces-000001.jsonl.zst"), size, 0).unwrap();
    chunk.bytes[..512].copy_from_slice(&header);
    check(&chunk.bytes, &[0, 1, 2], &[]);
}

#[test]
fn state_09_a_missing_or_half_end_is_completed() {
    for compression in Compression::ALL {
        let chunk = build(compression).member(2).member(1);
        check(&chunk.bytes, &[0, 1, 2], &[]);
        let tables = chunk.tables();
        check(&tables.bytes, &[0, 1, 2], &[]);
        check(&[&tables.bytes[..], &END[..512]].concat(), &[0, 1, 2], &[]);
    }
}

#[test]
fn state_10_a_complete_chunk_is_copied_because_its_last_sync_may_have_failed() {
    let volume = Volume::new();
    let chunk = build(Compression::Zstd).member(2).sealed();
    volume.put(InProgress, &chunk.bytes);
    let id = RealFs.stat(&volume.path(InProgress)).unwrap().id;
    assert!(matches!(volume.recover(), Outcome::Sealed(Recovered { frames: 2, items: 81, .. })));
    assert_ne!(RealFs.stat(&volume.path(Sealed)).unwrap().id, id);
    assert_eq!(volume.scan(Sealed).manifest.unwrap().sealed_by, SealedBy::Recovery);
}

#[test]
fn state_10_a_complete_chunk_under_the_name_of_another_is_copied() {
    let other = Build::new(chunk("writer-1", 1, 0), Compression::Zstd).member(2).sealed();
    check(&other.bytes, &[0, 1], &[]);
}

#[test]
fn state_11_an_orphan_that_the_sealed_chunk_holds_is_removed() {
    for orphan_state in [InProgress, Recovering] {
        let volume = Volume::new();
        let sealed = build(Compression::Zstd).member(3).sealed();
        volume.put(Sealed, &sealed.bytes);
        volume.put(orphan_state, &build(Compression::Zstd).member(2).bytes);
        let id = RealFs.stat(&volume.path(Sealed)).unwrap().id;
        assert!(matches!(volume.recover(), Outcome::Redundant(_)));
        assert_eq!(RealFs.stat(&volume.path(Sealed)).unwrap().id, id);
        assert!(!volume.exists(orphan_state));
    }
}

#[test]
fn state_11_frames_that_only_the_orphan_holds_are_added() {
    for compression in Compression::ALL {
        let volume = Volume::new();
        volume.put(Sealed, &build(compression).member(1).sealed().bytes);
        volume.put(InProgress, &build(compression).member(3).bytes);
        assert!(matches!(volume.recover(), Outcome::Sealed(_)));
        let scan = volume.scan(Sealed);
        assert!(scan.complete);
        assert_eq!(scan.frames.iter().map(|f| f.trailer.sequence).collect::<Vec<_>>(), [0, 1, 2]);
    }
}

#[test]
fn state_11_a_claimed_and_an_open_file_are_done_one_after_the_other() {
    let volume = Volume::new();
    volume.put(Recovering, &build(Compression::Zstd).member(1).bytes);
    volume.put(InProgress, &build(Compression::Zstd).member(2).bytes);
    assert!(matches!(volume.recover(), Outcome::Sealed(Recovered { frames: 1, .. })));
    assert!(matches!(volume.recover(), Outcome::Sealed(Recovered { frames: 2, .. })));
    assert_eq!(volume.recover(), Outcome::Gone);
    assert_eq!(volume.scan(Sealed).frames.len(), 2);
}

#[test]
fn state_12_a_claimed_chunk_is_taken_up_again_beside_what_the_crash_left() {
    let volume = Volume::new();
    let mut chunk = build(Compression::Zstd).member(3);
    let inner = span(&chunk, 1);
    chunk.bytes[inner.start + 60] ^= 0xff;
    volume.put(Recovering, &chunk.bytes);
    let quarantine = layout::quarantine_dir(volume.0.path());
    let kept = RealFs.create_new(&quarantine.join(layout::quarantine_name(&name(), inner.start as u64, 0))).unwrap();
    kept.write_all_at(&chunk.bytes[inner.clone()], 0).unwrap();
    let copy = layout::copy_name(&name(), 7);
    RealFs.create_new(&quarantine.join(&copy)).unwrap();
    assert!(matches!(volume.recover(), Outcome::Sealed(Recovered { frames: 2, .. })));
    assert_eq!(remove_temporaries(&RealFs, volume.0.path(), &[copy]).unwrap(), 1);
    assert_eq!(volume.quarantine(), [(inner.start as u64, chunk.bytes[inner].to_vec())]);
}

#[test]
fn other_bytes_at_the_same_offset_are_kept_beside_those_of_before() {
    let volume = Volume::new();
    let quarantine = layout::quarantine_dir(volume.0.path());
    let before = RealFs.create_new(&quarantine.join(layout::quarantine_name(&name(), 0, 0))).unwrap();
    before.write_all_at(b"before", 0).unwrap();
    volume.put(InProgress, b"now");
    assert!(matches!(volume.recover(), Outcome::Discarded(Recovered { quarantined_bytes: 3, .. })));
    assert_eq!(volume.quarantine(), [(0, b"before".to_vec()), (0, b"now".to_vec())]);
}

#[test]
fn two_recoveries_at_once_end_as_one() {
    let bytes = build(Compression::Zstd).member(3).bytes;
    for _ in 0..30 {
        let volume = Volume::new();
        volume.put(InProgress, &bytes);
        let start = std::sync::Barrier::new(3);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    start.wait();
                    volume.recover();
                });
            }
        });
        let scan = volume.scan(Sealed);
        assert!(scan.complete && scan.frames.len() == 3);
        assert!(!volume.exists(InProgress) && !volume.exists(Recovering));
        assert!(volume.quarantine().is_empty());
    }
}

#[test]
fn a_later_format_is_left_claimed_and_whole() {
    let volume = Volume::new();
    let mut chunk = build(Compression::Zstd).member(2);
    let digits: Vec<_> = memchr::memmem::find_iter(&chunk.bytes, b"TCF1").map(|at| at + 3).collect();
    for at in digits {
        chunk.bytes[at] = b'2';
    }
    volume.put(InProgress, &chunk.bytes);
    assert_eq!(volume.recover(), Outcome::Newer(Newer::Frame('2')));
    assert_eq!(RealFs.stat(&volume.path(Recovering)).unwrap().len, chunk.bytes.len() as u64);
    assert!(volume.quarantine().is_empty() && !volume.exists(Sealed));
}

#[test]
fn what_was_recovered_decodes_to_the_lines_that_were_written() {
    use crate::archive::frame::decode;
    use crate::archive::testing::lines;
    for compression in Compression::ALL {
        let volume = Volume::new();
        let chunk = build(compression).member(2).member(2);
        volume.put(InProgress, &chunk.bytes);
        volume.recover();
        let file = RealFs.open(&volume.path(Sealed)).unwrap();
        for frame in volume.scan(Sealed).frames {
            let mut data = vec![0; (frame.data.end - frame.data.start) as usize];
            crate::archive::fs::read_exact_at(&*file, &mut data, frame.data.start).unwrap();
            let mut out = Vec::new();
            decode(compression, &data, &frame.trailer, &mut out).unwrap();
            assert_eq!(out, lines(frame.trailer.sequence));
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_happened_no_intact_frame_and_no_byte_is_lost(
        flips in proptest::collection::vec((0_usize..60_000, 1_u8..), 0..6),
        zeros in proptest::option::of((0_usize..60_000, 1_usize..3_000)),
        cut in proptest::option::of(0_usize..60_000),
        which in 0_usize..3,
    ) {
        let mut bytes = build(Compression::ALL[which]).member(3).member(2).tables().bytes;
        let n = bytes.len();
        for (at, with) in flips {
            bytes[at % n] ^= with;
        }
        if let Some((at, len)) = zeros {
            let at = at % n;
            bytes[at..n.min(at + len)].fill(0);
        }
        bytes.truncate(cut.map_or(n, |cut| cut % n));
        let volume = Volume::new();
        volume.put(InProgress, &bytes);
        let before = volume.scan(InProgress);
        let outcome = volume.recover();
        proptest::prop_assert!(!volume.exists(InProgress) && !volume.exists(Recovering));
        let kept: u64 = volume.quarantine().iter().map(|(_, bytes)| bytes.len() as u64).sum();
        proptest::prop_assert_eq!(kept, before.damaged_bytes());
        match outcome {
            Outcome::Sealed(_) => {
                let after = volume.scan(Sealed);
                let trailers = |scan: &Scan| scan.frames.iter().map(|f| f.trailer.clone()).collect::<Vec<_>>();
                proptest::prop_assert!(after.complete);
                proptest::prop_assert_eq!(trailers(&after), trailers(&before));
            }
            Outcome::Discarded(_) => proptest::prop_assert!(before.frames.is_empty()),
            other => proptest::prop_assert!(false, "{:?}", other),
        }
    }
}
