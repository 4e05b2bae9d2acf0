//! Recovery on a volume that fails or loses its power at every step.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::archive::catalog::Catalog;
use crate::archive::committed::Committed;
use crate::archive::frame::Compression;
use crate::archive::fs::File;
use crate::archive::fs::sim::{Dice, EIO, Effect, Fault, Op, SimFs};
use crate::archive::layout;
use crate::archive::name::ChunkState::{InProgress, Recovering, Sealed};
use crate::archive::sample::segment;
use crate::archive::scan::scan;
use crate::archive::testing::{Build, chunk};
use crate::archive::writer::CommitError;
use crate::archive::{ChunkWriter, WriterOptions};
use crate::ids::Signal;

const DATA: &str = "/data";

/// The frames of [`damaged`] that nothing happened to.
const INTACT: [u32; 4] = [0, 2, 3, 4];

fn name() -> ChunkName {
    chunk("writer-0", 1, 0)
}

/// A chunk of five frames, the second damaged, its last commit torn.
fn damaged(compression: Compression) -> Vec<u8> {
    let build = Build::new(name(), compression).member(3).member(3);
    let at = |n: usize| usize::try_from(build.frames[n].data.start).unwrap() + 5;
    let (mut bytes, flip, cut) = (build.bytes.clone(), at(1), at(5));
    bytes[flip] ^= 0xff;
    bytes.truncate(cut);
    bytes
}

fn volume(bytes: &[u8]) -> SimFs {
    let fs = SimFs::new(&["/data", "/data/chunks", "/data/quarantine"]);
    fs.put(layout::chunk_path(Path::new(DATA), &name(), InProgress), bytes);
    fs
}

fn attempt(fs: &SimFs, nonce: u32) -> Result<Outcome, RecoveryError> {
    let now = Timestamp::from_unix_nanos(1_800_000_000_000_000_000);
    recover(Site { fs, data_dir: Path::new(DATA), nonce, now }, &name())
}

/// Recovers until nothing is left to do, and checks that every frame and every damaged byte is there.
#[track_caller]
fn check_recovers(fs: &SimFs, bytes: &[u8], frames: &[u32], at: &str) {
    for nonce in 100.. {
        assert!(nonce < 105, "{at}: no end");
        if attempt(fs, nonce).unwrap() == Outcome::Gone {
            break;
        }
    }
    let path = |state| layout::chunk_path(Path::new(DATA), &name(), state);
    assert!(fs.content(path(InProgress)).is_none() && fs.content(path(Recovering)).is_none(), "{at}");
    let file = fs.open(&path(Sealed)).unwrap();
    let len = file.stat().unwrap().len;
    let found = scan(&*file, len).unwrap();
    let kept: Vec<_> = found.frames.iter().map(|frame| frame.trailer.sequence).collect();
    assert!(found.complete, "{at}");
    assert_eq!(kept, frames, "{at}");
    let inventory = Catalog::new(Path::new(DATA)).read(fs).unwrap();
    let kept: u64 = inventory.quarantine.iter().map(|file| file.len).sum();
    assert_eq!(kept, damaged_bytes(bytes), "{at}");
    let listed: u64 = found.manifest.unwrap().damage.iter().map(|damage| damage.len).sum();
    assert_eq!(listed, kept, "{at}");
}

fn damaged_bytes(bytes: &[u8]) -> u64 {
    let fs = SimFs::new(&["/"]);
    fs.put("/chunk", bytes);
    let file: Box<dyn File> = fs.open(Path::new("/chunk")).unwrap();
    scan(&*file, bytes.len() as u64).unwrap().damaged_bytes()
}

fn n_steps(bytes: &[u8]) -> u64 {
    let fs = volume(bytes);
    attempt(&fs, 1).unwrap();
    fs.ops().len() as u64
}

#[test]
fn state_10_a_complete_chunk_is_only_renamed_on_a_full_volume() {
    let chunk = Build::new(name(), Compression::Zstd).member(3).sealed();
    let fs = volume(&chunk.bytes);
    fs.set_capacity(Some(chunk.bytes.len() as u64));
    assert!(matches!(attempt(&fs, 1), Ok(Outcome::Sealed(Recovered { frames: 3, .. }))));
    let sealed = layout::chunk_path(Path::new(DATA), &name(), Sealed);
    assert_eq!(fs.crash(&mut Dice::new(1)).content(sealed), Some(chunk.bytes));
}

#[test]
fn state_12_a_power_cut_at_any_step_loses_nothing() {
    for compression in Compression::ALL {
        let bytes = damaged(compression);
        for step in 0..n_steps(&bytes) {
            for (effect, seed) in [(Effect::None, 1), (Effect::Half, 2), (Effect::Whole, 3), (Effect::Whole, 4)] {
                let fs = volume(&bytes);
                fs.fail(Fault { at: step, times: u64::MAX, kind: EIO, effect });
                let _ = attempt(&fs, 1);
                let after = fs.crash(&mut Dice::new(step * 10 + seed));
                check_recovers(&after, &bytes, &INTACT, &format!("{compression:?} step {step} {effect:?} {seed}"));
            }
        }
    }
}

#[test]
fn state_10_a_power_cut_while_a_complete_chunk_is_renamed_loses_nothing() {
    let bytes = Build::new(name(), Compression::Zstd).member(2).sealed().bytes;
    for step in 0..n_steps(&bytes) {
        for (effect, seed) in [(Effect::None, 1), (Effect::Whole, 2), (Effect::Whole, 3)] {
            let fs = volume(&bytes);
            fs.fail(Fault { at: step, times: u64::MAX, kind: EIO, effect });
            let _ = attempt(&fs, 1);
            let after = fs.crash(&mut Dice::new(step * 10 + seed));
            check_recovers(&after, &bytes, &[0, 1], &format!("step {step} {effect:?} {seed}"));
        }
    }
}

#[test]
fn state_11_a_power_cut_while_two_files_become_one_loses_nothing() {
    let build = |n_frames| Build::new(name(), Compression::Zstd).member(n_frames);
    for (sealed, orphan) in [(3, 2), (1, 3)] {
        let (sealed, bytes) = (build(sealed).sealed().bytes, build(orphan).bytes);
        let both = || {
            let fs = volume(&bytes);
            fs.put(layout::chunk_path(Path::new(DATA), &name(), Sealed), &sealed);
            fs
        };
        let clean = both();
        attempt(&clean, 1).unwrap();
        for step in 0..clean.ops().len() as u64 {
            let fs = both();
            fs.fail(Fault { at: step, times: u64::MAX, kind: EIO, effect: Effect::Whole });
            let _ = attempt(&fs, 1);
            let after = fs.crash(&mut Dice::new(step));
            check_recovers(&after, &bytes, &[0, 1, 2], &format!("step {step}"));
        }
    }
}

#[test]
fn an_error_at_any_step_leaves_what_the_next_try_completes() {
    let bytes = damaged(Compression::Zstd);
    for kind in [EIO, ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::NotFound] {
        for step in 0..n_steps(&bytes) {
            for effect in [Effect::None, Effect::Half, Effect::Whole] {
                let fs = volume(&bytes);
                fs.fail(Fault { at: step, times: 1, kind, effect });
                let _ = attempt(&fs, 1);
                check_recovers(&fs, &bytes, &INTACT, &format!("step {step} {kind:?} {effect:?}"));
            }
        }
    }
}

#[test]
fn state_15_on_a_full_volume_the_orphan_waits_whole_and_without_rest() {
    let bytes = damaged(Compression::Zstd);
    let fs = volume(&bytes);
    fs.set_capacity(Some(bytes.len() as u64 + 300));
    let error = attempt(&fs, 1).unwrap_err();
    assert!(error.is_full(), "{error:?}");
    assert_eq!(fs.content(layout::chunk_path(Path::new(DATA), &name(), Recovering)), Some(bytes.clone()));
    assert!(fs.paths().iter().all(|path| !path.to_string_lossy().contains(".copy-")));
    fs.set_capacity(None);
    check_recovers(&fs, &bytes, &INTACT, "after retention");
}

#[test]
fn state_15_a_complete_chunk_needs_no_room() {
    let bytes = Build::new(name(), Compression::Zstd).member(2).sealed().bytes;
    let fs = volume(&bytes);
    fs.set_capacity(Some(bytes.len() as u64));
    assert!(matches!(attempt(&fs, 1), Ok(Outcome::Sealed(_))));
}

#[test]
fn state_13_a_writer_that_wakes_up_finds_its_path_gone_before_it_is_read() {
    let fs = volume(&damaged(Compression::Zstd));
    attempt(&fs, 1).unwrap();
    let ops = fs.ops();
    let first = |op| ops.iter().position(|&done| done == op).unwrap();
    assert!(first(Op::Rename) < first(Op::SyncDir) && first(Op::SyncDir) < first(Op::Open));
}

#[test]
fn state_13_a_writer_that_wakes_up_neither_acknowledges_nor_changes_what_was_sealed() {
    let fs = SimFs::new(&["/data", "/data/chunks", "/data/quarantine"]);
    let (volume, dir) = (Arc::new(fs.clone()), layout::chunks_dir(Path::new(DATA)));
    let mut zombie = ChunkWriter::create(volume, &dir, name(), WriterOptions::default(), Committed::new()).unwrap();
    zombie.append(Signal::Traces, &[&segment(1, 50)]).unwrap();
    let _acknowledged = zombie.commit().unwrap();
    zombie.append(Signal::Traces, &[&segment(2, 50)]).unwrap();
    assert!(matches!(attempt(&fs, 1), Ok(Outcome::Sealed(Recovered { frames: 1, .. }))));
    let sealed = layout::chunk_path(Path::new(DATA), &name(), Sealed);
    let before = fs.content(&sealed).unwrap();
    assert!(matches!(zombie.commit(), Err(CommitError::Lost)));
    assert!(zombie.seal(Timestamp::default()).is_err());
    assert_eq!((fs.content(&sealed), fs.paths()), (Some(before), vec![sealed]));
}

#[test]
fn state_14_what_cannot_be_read_stays_claimed_and_whole() {
    let bytes = damaged(Compression::Zstd);
    let fs = volume(&bytes);
    let reads: Vec<_> = {
        let clean = volume(&bytes);
        attempt(&clean, 1).unwrap();
        clean.ops().iter().enumerate().filter(|(_, op)| **op == Op::Read).map(|(at, _)| at as u64).collect()
    };
    fs.fail(Fault { at: reads[0], times: 1, kind: EIO, effect: Effect::None });
    assert!(matches!(attempt(&fs, 1), Err(RecoveryError::Read { .. })));
    assert_eq!(fs.content(layout::chunk_path(Path::new(DATA), &name(), Recovering)), Some(bytes.clone()));
    check_recovers(&fs, &bytes, &INTACT, "later");
}

#[test]
fn a_rename_whose_reply_was_lost_has_happened() {
    let bytes = damaged(Compression::Zstd);
    let clean = volume(&bytes);
    attempt(&clean, 1).unwrap();
    let renames = clean.ops().into_iter().enumerate().filter(|(_, op)| *op == Op::Rename);
    for (at, _) in renames {
        let fs = volume(&bytes);
        fs.fail(Fault { at: at as u64, times: 1, kind: ErrorKind::NotFound, effect: Effect::Whole });
        let outcome = attempt(&fs, 1);
        assert!(matches!(outcome, Ok(Outcome::Sealed(_))), "operation {at}: {outcome:?}");
        check_recovers(&fs, &bytes, &INTACT, "lost reply");
    }
}
