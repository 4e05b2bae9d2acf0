//! The writer on a volume that fails and forgets.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::archive::fs::{Dice, EIO, Effect, Fault, Op, SimFs};
use crate::archive::index;
use crate::archive::name::{INDEX_MEMBER, MANIFEST_MEMBER};
use crate::archive::sample::{chunk_name, markers, members, recoverable, segment};
use crate::clock::Timestamp;

const CHUNKS: &str = "/data/chunks";
const NOW: Timestamp = Timestamp::from_unix_nanos(1_795_260_000_000_000_000);

/// Small enough for a test to see several members and several frames of one commit.
fn options(compression: Compression) -> WriterOptions {
    WriterOptions { compression, durability: Durability::Sync, member_bytes: 4_000, frame_bytes: 1_000 }
}

fn volume() -> SimFs {
    SimFs::new(&["/data", CHUNKS])
}

fn create(fs: &SimFs, options: WriterOptions) -> Result<ChunkWriter, CreateError> {
    ChunkWriter::create(Arc::new(fs.clone()), Path::new(CHUNKS), chunk_name(1), options, Committed::new())
}

fn path(state: ChunkState) -> PathBuf {
    Path::new(CHUNKS).join(chunk_name(1).file_name(state))
}

fn append(writer: &mut ChunkWriter, markers: std::ops::Range<u64>) {
    let segments: Vec<Segment> = markers.map(|marker| segment(marker, 300)).collect();
    writer.append(Signal::Traces, &segments.iter().collect::<Vec<_>>()).unwrap();
}

fn in_progress(fs: &SimFs, len: u64) -> Vec<u8> {
    let mut content = fs.content(path(ChunkState::InProgress)).unwrap();
    content.truncate(usize::try_from(len).unwrap());
    content
}

#[test]
fn every_committed_length_is_an_archive_of_what_was_acknowledged() {
    for compression in Compression::ALL {
        let fs = volume();
        let mut writer = create(&fs, options(compression)).unwrap();
        let mut next = 0;
        for n_segments in [1, 2, 40, 1, 7, 3] {
            append(&mut writer, next..next + n_segments);
            let expected_len = writer.committed_len() + writer.staged_len();
            let _receipt = writer.commit().unwrap();
            next += n_segments;
            assert_eq!(writer.committed_len(), expected_len);
            let archive = in_progress(&fs, u64::MAX);
            assert_eq!(archive.len() as u64, writer.committed_len());
            assert_eq!(markers(&archive), (0..next).collect::<Vec<_>>(), "{compression:?}");
        }
        assert_eq!(writer.items(), next);
    }
}

#[test]
fn a_sealed_chunk_ends_with_its_index_and_manifest() {
    for compression in Compression::ALL {
        let fs = volume();
        let mut writer = create(&fs, options(compression)).unwrap();
        for start in [0, 30] {
            append(&mut writer, start..start + 30);
            let _receipt = writer.commit().unwrap();
        }
        append(&mut writer, 60..70);
        let sealed = writer.seal(NOW).unwrap().unwrap();
        assert_eq!(fs.paths(), [path(ChunkState::Sealed)]);
        let archive = fs.content(path(ChunkState::Sealed)).unwrap();
        assert_eq!(sealed.len, archive.len() as u64);
        assert_eq!(markers(&archive), (0..60).collect::<Vec<_>>());
        let members = members(&archive);
        let [.., (index_name, index_body), (manifest_name, manifest_body)] = members.as_slice() else { panic!() };
        assert_eq!(*index_name, chunk_name(1).member(INDEX_MEMBER));
        assert_eq!(*manifest_name, chunk_name(1).member(MANIFEST_MEMBER));
        assert_eq!(
            serde_json::from_slice::<crate::archive::manifest::Manifest>(manifest_body).unwrap(),
            sealed.manifest
        );
        assert_eq!((sealed.manifest.items, sealed.manifest.lines), (60, 60));
        check_index(&archive, &index::decode(index_body).unwrap(), compression);
    }
}

/// Reads every frame where the index says it lies.
fn check_index(archive: &[u8], frames: &[index::FrameRef], compression: Compression) {
    let at = |offset: u64| usize::try_from(offset).unwrap();
    let mut lines = Vec::new();
    for (n, frame) in frames.iter().enumerate() {
        assert_eq!(frame.trailer.sequence, u32::try_from(n).unwrap());
        let data = &archive[at(frame.data.start)..at(frame.data.end)];
        crate::archive::frame::decode(compression, data, &frame.trailer, &mut lines).unwrap();
        if compression != Compression::None {
            let span = at(frame.span.start)..at(frame.span.end);
            let found = crate::archive::frame::locate(compression, archive, span.start).unwrap().unwrap();
            assert_eq!((found.span, found.trailer), (span, frame.trailer.clone()));
        }
    }
    let expected: Vec<u8> = (0..60).flat_map(|marker| segment(marker, 300).lines).collect();
    assert!(lines == expected, "{compression:?}");
}

#[test]
fn a_chunk_without_a_commit_is_removed() {
    let fs = volume();
    let mut writer = create(&fs, options(Compression::Zstd)).unwrap();
    append(&mut writer, 0..1);
    assert_eq!(writer.seal(NOW).unwrap(), None);
    assert_eq!(fs.paths(), Vec::<PathBuf>::new());
}

#[test]
fn a_segment_that_is_too_long_leaves_nothing_of_its_group_behind() {
    let fs = volume();
    let mut writer = create(&fs, options(Compression::Zstd)).unwrap();
    append(&mut writer, 0..5);
    let before = writer.staged_len();
    let too_long = Segment { lines: vec![b' '; crate::archive::frame::MAX_RAW + 1], ..Segment::default() };
    let refused = writer.append(Signal::Traces, &[&segment(5, 5_000), &segment(6, 5_000), &too_long]);
    assert_eq!(refused.unwrap_err().reason(), "SegmentTooLong");
    assert_eq!(writer.staged_len(), before);
    append(&mut writer, 7..9);
    let _receipt = writer.commit().unwrap();
    assert_eq!(markers(&in_progress(&fs, u64::MAX)), [0, 1, 2, 3, 4, 7, 8]);
}

#[test]
fn the_committed_length_is_published_only_after_a_commit() {
    let (fs, committed) = (volume(), Committed::new());
    let shared: Arc<dyn Fs> = Arc::new(fs);
    let (dir, zstd) = (Path::new(CHUNKS), options(Compression::Zstd));
    let mut writer = ChunkWriter::create(shared, dir, chunk_name(1), zstd, committed.clone()).unwrap();
    append(&mut writer, 0..1);
    assert_eq!(committed.of(&chunk_name(1)), Some(0));
    let _receipt = writer.commit().unwrap();
    // What is published ends with the last frame: an uncommitted one may begin in the padding behind it.
    let published = committed.of(&chunk_name(1)).unwrap();
    assert_eq!(published.next_multiple_of(ustar::BLOCK_LEN), writer.committed_len());
    let _sealed = writer.seal(NOW).unwrap();
    assert_eq!(committed.of(&chunk_name(1)), None);
}

#[test]
fn nothing_is_acknowledged_once_recovery_has_taken_the_chunk() {
    let fs = volume();
    let mut writer = create(&fs, options(Compression::Zstd)).unwrap();
    append(&mut writer, 0..1);
    let _receipt = writer.commit().unwrap();
    fs.rename(&path(ChunkState::InProgress), &path(ChunkState::Recovering)).unwrap();
    append(&mut writer, 1..2);
    assert!(matches!(writer.commit(), Err(CommitError::Lost)));
    assert!(matches!(writer.commit(), Err(CommitError::Poisoned { .. })));
    assert!(matches!(writer.seal(NOW).unwrap_err().error, SealError::Poisoned { .. }));
    assert_eq!(fs.paths(), [path(ChunkState::Recovering)]);
}

/// Commits so often, fails the next commit's sync, and returns the files that are left of the chunk.
fn after_abandoning(n_commits: u64, taken: bool) -> Vec<PathBuf> {
    let fs = volume();
    let mut writer = create(&fs, options(Compression::Zstd)).unwrap();
    for marker in 0..n_commits {
        append(&mut writer, marker..marker + 1);
        let _receipt = writer.commit().unwrap();
    }
    fs.fail_every(Op::Sync);
    append(&mut writer, n_commits..n_commits + 1);
    assert!(matches!(writer.commit(), Err(CommitError::Poisoned { .. })));
    if taken {
        fs.rename(&path(ChunkState::InProgress), &path(ChunkState::Recovering)).unwrap();
    }
    writer.abandon().unwrap();
    fs.paths()
}

#[test]
fn a_failed_chunk_leaves_a_file_only_where_something_was_committed_or_recovery_has_it() {
    assert_eq!(after_abandoning(0, false), Vec::<PathBuf>::new());
    assert_eq!(after_abandoning(1, false), [path(ChunkState::InProgress)]);
    assert_eq!(after_abandoning(0, true), [path(ChunkState::Recovering)]);
}

#[test]
fn a_seal_finds_that_recovery_has_taken_the_chunk() {
    let fs = volume();
    let mut writer = create(&fs, options(Compression::Zstd)).unwrap();
    append(&mut writer, 0..1);
    let _receipt = writer.commit().unwrap();
    fs.rename(&path(ChunkState::InProgress), &path(ChunkState::Recovering)).unwrap();
    assert!(matches!(writer.seal(NOW).unwrap_err().error, SealError::Lost));
}

#[test]
fn a_rename_whose_reply_was_lost_has_happened() {
    let fs = volume();
    let mut writer = create(&fs, options(Compression::Zstd)).unwrap();
    append(&mut writer, 0..1);
    let _receipt = writer.commit().unwrap();
    // The tail's write, its sync and the look at the path come first.
    let at = fs.ops().len() as u64 + 3;
    fs.fail(Fault { at, times: 1, kind: ErrorKind::NotFound, effect: Effect::Whole });
    assert!(writer.seal(NOW).unwrap().is_some());
    assert_eq!(fs.ops().iter().filter(|op| **op == Op::Rename).count(), 1);
}

#[test]
fn a_full_volume_is_cut_back_and_written_again_once_there_is_room() {
    for compression in Compression::ALL {
        for room in [0, 1, 400, 511, 512, 700, 1_500, 5_000] {
            let fs = volume();
            let mut writer = create(&fs, options(compression)).unwrap();
            append(&mut writer, 0..3);
            let _receipt = writer.commit().unwrap();
            let committed = in_progress(&fs, u64::MAX);
            fs.set_capacity(Some(writer.committed_len() + room));
            append(&mut writer, 3..60);
            let refused = writer.commit().unwrap_err();
            assert!(refused.is_retryable(), "{refused:?}");
            assert!(in_progress(&fs, u64::MAX) == committed, "{compression:?} with {room} bytes of room");
            fs.set_capacity(None);
            append(&mut writer, 60..61);
            let _receipt = writer.commit().unwrap();
            assert_eq!(markers(&in_progress(&fs, u64::MAX)), (0..61).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_volume_that_says_only_at_the_sync_that_it_is_full_is_cut_back_too() {
    for compression in Compression::ALL {
        let fs = volume();
        let mut writer = create(&fs, options(compression)).unwrap();
        append(&mut writer, 0..3);
        let _receipt = writer.commit().unwrap();
        let committed = in_progress(&fs, u64::MAX);
        append(&mut writer, 3..60);
        let before_sync = if compression == Compression::None { 1 } else { 2 };
        let at = fs.ops().len() as u64 + before_sync;
        fs.fail(Fault { at, times: 1, kind: ErrorKind::QuotaExceeded, effect: Effect::None });
        assert_eq!(writer.commit().unwrap_err().reason(), "VolumeFull");
        assert!(in_progress(&fs, u64::MAX) == committed, "{compression:?}");
        let _receipt = writer.commit().unwrap();
        let after = fs.crash(&mut Dice::new(1));
        assert_eq!(markers(&after.content(path(ChunkState::InProgress)).unwrap()), (0..60).collect::<Vec<_>>());
    }
}

#[test]
fn a_volume_too_full_for_the_index_gets_a_chunk_without_one() {
    let fs = volume();
    let mut writer = create(&fs, options(Compression::Zstd)).unwrap();
    append(&mut writer, 0..100);
    let _receipt = writer.commit().unwrap();
    fs.set_capacity(Some(writer.committed_len() + 4 * 1024));
    assert!(writer.seal(NOW).unwrap().is_some());
    let archive = fs.content(path(ChunkState::Sealed)).unwrap();
    assert_eq!(markers(&archive), (0..100).collect::<Vec<_>>());
    assert!(members(&archive).iter().all(|(name, _)| !name.ends_with(INDEX_MEMBER)));
}

#[test]
fn a_volume_too_full_to_seal_gives_the_writer_back() {
    for goes_on in [false, true] {
        let fs = volume();
        let mut writer = create(&fs, options(Compression::Zstd)).unwrap();
        append(&mut writer, 0..100);
        let _receipt = writer.commit().unwrap();
        let committed = in_progress(&fs, u64::MAX);
        fs.set_capacity(Some(writer.committed_len() + 600));
        let Unsealed { error, writer } = writer.seal(NOW).unwrap_err();
        assert_eq!((error.reason(), in_progress(&fs, u64::MAX) == committed), ("VolumeFull", true));
        let mut writer = writer.unwrap();
        fs.set_capacity(None);
        if goes_on {
            append(&mut writer, 100..110);
            let _receipt = writer.commit().unwrap();
        }
        let sealed = writer.seal(NOW).unwrap().unwrap();
        let archive = fs.content(path(ChunkState::Sealed)).unwrap();
        assert_eq!(archive.len() as u64, sealed.len);
        assert_eq!(markers(&archive), (0..if goes_on { 110 } else { 100 }).collect::<Vec<_>>());
    }
}

#[test]
fn a_volume_too_full_for_the_final_name_leaves_the_chunk_to_recovery() {
    let fs = volume();
    let mut writer = create(&fs, options(Compression::Zstd)).unwrap();
    append(&mut writer, 0..1);
    let _receipt = writer.commit().unwrap();
    // The tail's write, its sync and the look at the path come first; nobody knows what a rename did that failed.
    let at = fs.ops().len() as u64 + 3;
    fs.fail(Fault { at, times: 1, kind: ErrorKind::StorageFull, effect: Effect::None });
    let Unsealed { error, writer } = writer.seal(NOW).unwrap_err();
    assert_eq!((error.reason(), writer.is_some()), ("VolumeFull", false));
}

#[test]
fn a_tail_whose_sync_failed_is_cut_so_that_it_cannot_pass_for_a_seal() {
    let fs = volume();
    let mut writer = create(&fs, options(Compression::Zstd)).unwrap();
    append(&mut writer, 0..10);
    let _receipt = writer.commit().unwrap();
    let committed = in_progress(&fs, u64::MAX);
    // The tail's write comes first.
    fs.fail(Fault { at: fs.ops().len() as u64 + 1, times: 1, kind: EIO, effect: Effect::None });
    assert_eq!(writer.seal(NOW).unwrap_err().error.reason(), "ChunkPoisoned");
    assert!(in_progress(&fs, u64::MAX) == committed);
}

/// What became of a writer's life under one fault.
struct Life {
    acknowledged: u64,
    failed: bool,
}

/// Commits five groups and seals, going on after every error as the contract says.
fn live(fs: &SimFs, compression: Compression) -> Life {
    let mut life = Life { acknowledged: 0, failed: true };
    let Ok(mut writer) = create(fs, options(compression)) else { return life };
    life.failed = false;
    for group in 0..5 {
        append(&mut writer, group * 4..group * 4 + 4);
        let mut committed = writer.commit();
        if committed.as_ref().is_err_and(CommitError::is_retryable) {
            life.failed = true;
            committed = writer.commit();
        }
        match committed {
            Ok(_receipt) => life.acknowledged = group * 4 + 4,
            Err(_) => life.failed = true,
        }
    }
    if let Err(Unsealed { writer, .. }) = writer.seal(NOW) {
        life.failed = true;
        let _ = writer.map(|writer| writer.seal(NOW));
    }
    life
}

/// Returns what recovery can read, whatever the file is called.
fn survivors(fs: &SimFs) -> Vec<u64> {
    let archives = [ChunkState::Sealed, ChunkState::InProgress].map(path);
    archives.iter().filter(|path| fs.content(path).is_some()).flat_map(|path| recoverable(fs, path)).collect()
}

#[test]
fn no_failure_at_any_operation_lets_an_acknowledged_line_be_lost() {
    for compression in Compression::ALL {
        let clean = volume();
        assert_eq!(live(&clean, compression).acknowledged, 20);
        for at in 0..clean.ops().len() as u64 {
            for kind in [EIO, ErrorKind::StorageFull, ErrorKind::NotFound] {
                for effect in [Effect::None, Effect::Half, Effect::Whole] {
                    for times in [1, 1_000] {
                        check_fault(compression, Fault { at, times, kind, effect });
                    }
                }
            }
        }
    }
}

fn check_fault(compression: Compression, fault: Fault) {
    let fs = volume();
    fs.fail(fault);
    let life = live(&fs, compression);
    assert_eq!(fs.resyncs(), 0, "{compression:?} {fault:?} synced a poisoned file");
    for seed in 0..3 {
        let after = fs.crash(&mut Dice::new(seed));
        if let Some(sealed) = after.content(path(ChunkState::Sealed)) {
            assert!(sealed.ends_with(&ustar::END) && !markers(&sealed).is_empty(), "{compression:?} {fault:?}: torn");
        }
        let found = survivors(&after);
        for marker in 0..life.acknowledged {
            assert!(found.contains(&marker), "{compression:?} {fault:?} seed {seed}: lost {marker}");
        }
    }
    let lost_reply = fault.effect == Effect::Whole;
    assert!(life.failed || life.acknowledged == 20, "{compression:?} {fault:?}: neither error nor acknowledgement");
    assert!(life.failed || lost_reply || fault.kind == ErrorKind::StorageFull, "{compression:?} {fault:?}: no error");
}
