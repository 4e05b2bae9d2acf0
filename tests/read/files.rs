//! Files and directories, also while they are written.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::seen::{Seen, built, read_with};
use crate::support::chunks::{Built, SPAN, Span, bundle, chunk_name};
use proptest::prelude::*;
use tracecapture::archive::committed::Committed;
use tracecapture::archive::frame::Compression;
use tracecapture::archive::fs::RealFs;
use tracecapture::archive::index::FrameRef;
use tracecapture::archive::name::ChunkState;
use tracecapture::archive::read::{Event, Limits, Origin, Visitor, read_path, read_stream};
use tracecapture::archive::{ChunkWriter, Durability, WriterOptions};
use tracecapture::ids::Signal;

#[test]
fn a_directory_is_read_in_the_order_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let chunks = dir.path().join("chunks");
    std::fs::create_dir_all(&chunks).unwrap();
    let chunk = |n: u32| Built::new(n, Compression::Zstd, &[&[Span { trace: u128::from(n), ..SPAN }]]);
    let write = |built: &Built, state: ChunkState, bytes: &[u8]| {
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::write(chunks.join(built.file(state)), bytes).unwrap();
    };
    write(&chunk(3), ChunkState::InProgress, &chunk(3).open);
    write(&chunk(2), ChunkState::Recovering, &chunk(2).open);
    // Both names of a chunk: it is read once.
    write(&chunk(2), ChunkState::Sealed, &chunk(2).sealed());
    write(&chunk(1), ChunkState::Sealed, &chunk(1).sealed());
    std::os::unix::fs::symlink("/dev/zero", chunks.join(chunk(4).file(ChunkState::Sealed))).unwrap();
    for path in [dir.path(), &chunks] {
        let mut seen = Seen::default();
        let _ = read_path(path, &Limits::default(), &mut seen).unwrap();
        let lines: String = (1..=3).map(|trace| Span { trace, ..SPAN }.line()).collect();
        assert_eq!(seen.lines, lines);
        let (sealed, open) = (Origin::File(ChunkState::Sealed), Origin::File(ChunkState::InProgress));
        let log = format!(
            "begin {sealed:?} frame index manifest end begin {sealed:?} frame index manifest end begin {open:?} frame end"
        );
        assert_eq!(seen.log.join(" "), log);
    }
}

#[test]
fn a_chunk_is_read_while_it_is_written() {
    for compression in Compression::ALL {
        let dir = tempfile::tempdir().unwrap();
        let options = WriterOptions {
            compression,
            durability: Durability::Write,
            // Many members, because the change from one to the next is where a reader may stumble.
            member_bytes: 1_000,
            ..WriterOptions::default()
        };
        let name = chunk_name(1);
        let committed = Committed::new();
        let fs = Arc::new(RealFs);
        let mut writer = ChunkWriter::create(fs, dir.path(), name, options, committed).unwrap();
        let (n_committed, is_done) = (AtomicUsize::new(0), AtomicBool::new(false));
        let reader = || {
            while !is_done.load(Ordering::SeqCst) {
                let before = n_committed.load(Ordering::SeqCst);
                let mut seen = Seen::default();
                let _ = read_path(dir.path(), &Limits::default(), &mut seen).unwrap();
                assert!(!seen.log.iter().any(|event| event == "damage" || event == "cut"), "{:?}", seen.log);
                assert!(seen.frames.len() >= before, "{} of {before} frames: {:?}", seen.frames.len(), seen.log.last());
            }
        };
        let mut write = || {
            for trace in 1..=400 {
                writer.append(Signal::Traces, &[&Span { trace, ..SPAN }.segment()]).unwrap();
                let _receipt = writer.commit().unwrap();
                n_committed.fetch_add(1, Ordering::SeqCst);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(reader);
            write();
            is_done.store(true, Ordering::SeqCst);
        });
        assert_eq!(n_committed.load(Ordering::SeqCst), 400);
    }
}

#[test]
fn an_extracted_bundle_reads_as_the_bundle() {
    for compression in Compression::ALL {
        let (built, lines) = built(compression);
        let dir = tempfile::tempdir().unwrap();
        let tar = dir.path().join("b");
        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::write(&tar, bundle(&[built.members()])).unwrap();
        let status = std::process::Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(dir.path()).status().unwrap();
        assert!(status.success());
        let mut seen = Seen::default();
        let _ = read_path(dir.path(), &Limits::default(), &mut seen).unwrap();
        assert_eq!(seen.log.join(" "), "bundle begin Extracted frame frame frame index manifest end");
        assert_eq!((seen.lines, seen.frames), (lines, built.frames));
    }
}

#[test]
fn unwanted_frames_are_not_decompressed() {
    struct Second(Vec<bool>);
    impl Visitor for Second {
        fn wants(&mut self, frame: &FrameRef) -> bool {
            frame.trailer.sequence == 1
        }
        fn event(&mut self, event: Event<'_>) -> ControlFlow<()> {
            if let Event::Frame { lines, .. } = event {
                self.0.push(lines.is_some());
            }
            ControlFlow::Continue(())
        }
    }
    let mut second = Second(Vec::new());
    let sealed = built(Compression::Zstd).0.sealed();
    let _ = read_stream("test", &mut sealed.as_slice(), &Limits::default(), &mut second).unwrap();
    assert_eq!(second.0, [false, true, false]);
}

proptest! {
    #[test]
    fn no_flipped_byte_or_cut_makes_up_a_line(at in 0_usize..6_000, value: u8, cut: bool, kind in 0_usize..3) {
        let (built, lines) = built(Compression::ALL[kind]);
        let mut tar = built.sealed();
        let at = at % tar.len();
        if cut { tar.truncate(at) } else { tar[at] = value }
        if let Ok(seen) = read_with(&tar, &Limits::default()) {
            prop_assert!(seen.lines.lines().all(|line| lines.contains(line)));
        }
    }
}
