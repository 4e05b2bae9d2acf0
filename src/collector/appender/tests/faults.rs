//! Every operation fails once and for long: nothing acknowledged is lost, and the appender goes on.

use std::io::ErrorKind;
use std::path::Path;

use super::super::chunk::SEAL_AGAIN;
use super::super::{Cause, HOLD_OFF};
use crate::api::Compression;
use crate::archive::fs::{Dice, EIO, Effect, Fault, Fs as _, Op, SimFs};
use crate::archive::name::ChunkState;
use crate::archive::reserve::RESERVE_BYTES;
use crate::collector::health::StorageHealth;
use crate::collector::queue::NotStored;
use crate::collector::testing::{CHUNKS, World, check_all_found, chunks, markers_of, small_chunks};
use crate::units::ByteSize;

/// Groups of one run: enough for two sealed chunks and a growing one.
const GROUPS: usize = 5;

/// Too little for a reserve, so that it does not cost every run a megabyte.
const CAPACITY: u64 = RESERVE_BYTES;

fn world(compression: Compression) -> World {
    let world = World::new();
    world.set(|live| {
        live.chunk.compression = compression;
        // Two groups each.
        live.chunk.max_bytes = ByteSize(if compression == Compression::None { 4_000 } else { 1_700 });
    });
    world.fs.set_capacity(Some(CAPACITY));
    world
}

/// Stores groups under whatever fails; checks that each answer fits the failure and what health says.
fn live(world: &mut World, expected: NotStored, context: &str) {
    for _ in 0..GROUPS {
        let (stored, storage) = (world.group(), world.health.storage());
        match &stored {
            Ok(()) => assert_eq!(storage, StorageHealth::Ok, "{context}"),
            Err(NotStored::VolumeFull) => {
                assert!(matches!(storage, StorageHealth::Full { .. }), "{context}: {storage:?}");
                assert!(world.keeper_was_called(), "{context}: retention was not asked for room");
            }
            Err(_) => assert!(matches!(storage, StorageHealth::Failed { .. }), "{context}: {storage:?}"),
        }
        assert!(stored.is_ok() || stored == Err(expected), "{context}: {stored:?}");
    }
}

#[test]
fn no_failure_loses_what_was_acknowledged_or_stops_the_appender() {
    for compression in [Compression::Zstd, Compression::None] {
        let mut clean = world(compression);
        live(&mut clean, NotStored::StorageFailed, "clean");
        assert_eq!(clean.acknowledged.len(), GROUPS * 3);
        let states: Vec<_> = clean.chunks().into_iter().map(|(_, state)| state).collect();
        assert_eq!(states, [ChunkState::Sealed, ChunkState::Sealed, ChunkState::InProgress], "{compression:?}");
        for at in 0..clean.fs.ops().len() as u64 {
            for kind in [EIO, ErrorKind::StorageFull] {
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
    let context = format!("{compression:?} {fault:?}");
    let mut world = world(compression);
    world.fs.fail(fault);
    let expected = if fault.kind == EIO { NotStored::StorageFailed } else { NotStored::VolumeFull };
    live(&mut world, expected, &context);
    world.fs.mend();
    world.fs.set_capacity(Some(CAPACITY));
    world.clock.advance(HOLD_OFF);
    assert_eq!(world.group(), Ok(()), "{context}: not healed");
    assert!(world.health.is_ok(), "{context}");
    assert_eq!(world.fs.resyncs(), 0, "{context}: synced a poisoned file");
    world.check_acknowledged(&context);
    let after = World::on(world.fs.crash(&mut Dice::new(fault.at)), 2, small_chunks());
    check_all_found(&after.fs, &world.acknowledged, (&context, "after a crash"));
    let (mut keeper, _) = after.keeper();
    keeper.sweep();
    check_all_found(&after.fs, &world.acknowledged, (&context, "after recovery"));
    let open = after.chunks().into_iter().find(|(_, state)| *state != ChunkState::Sealed);
    assert_eq!(open, None, "{context}: not recovered");
}

#[test]
fn storage_that_fails_for_long_is_not_littered_and_costs_no_sealed_chunk() {
    let mut world = world(Compression::Zstd);
    (0..8).for_each(|_| world.group().unwrap());
    world.appender.seal(Cause::Age);
    let before = world.chunks();
    let one = world.used() / before.len() as u64;
    world.set(|live| {
        live.chunk.max_bytes = ByteSize(one);
        live.retention.max_bytes = ByteSize(one * (before.len() as u64 + 3));
    });
    let (mut keeper, _) = world.keeper();
    for spoiled in [vec![Op::Sync], vec![Op::Sync, Op::Remove]] {
        for op in spoiled {
            world.fs.fail_every(op);
        }
        for _ in 0..10 {
            assert_eq!(world.group(), Err(NotStored::StorageFailed));
            world.clock.advance(HOLD_OFF);
        }
        keeper.sweep();
        let sealed = world.chunks().into_iter().filter(|(_, state)| *state == ChunkState::Sealed);
        assert!(sealed.eq(before.iter().cloned()), "{:?}", world.chunks());
    }
    assert_eq!(world.stored.evicted_total(), 0);
    world.fs.mend();
    assert_eq!(world.group(), Ok(()));
    world.check_acknowledged("after the failure");
}

#[test]
fn after_two_files_that_failed_no_chunk_is_begun_for_a_while() {
    let mut world = world(Compression::Zstd);
    let begun = |world: &World| world.fs.ops().iter().filter(|op| **op == Op::Create).count();
    world.fs.fail_every(Op::Sync);
    for _ in 0..3 {
        assert_eq!(world.group(), Err(NotStored::StorageFailed));
        assert_eq!((begun(&world), world.chunks()), (2, Vec::new()));
    }
    world.clock.advance(HOLD_OFF);
    assert_eq!(world.group(), Err(NotStored::StorageFailed));
    assert!(begun(&world) >= 4);
    // Storage that is found well again ends the wait.
    world.fs.mend();
    world.idle(HOLD_OFF);
    assert_eq!(world.group(), Ok(()));
}

/// Renames the growing chunk, as a recovery that takes its writer for dead does.
fn take_away(fs: &SimFs) {
    let (name, _) = chunks(fs).into_iter().find(|(_, state)| *state == ChunkState::InProgress).unwrap();
    let at = |state| Path::new(CHUNKS).join(name.file_name(state));
    fs.rename(&at(ChunkState::InProgress), &at(ChunkState::Recovering)).unwrap();
}

#[test]
fn a_chunk_taken_by_recovery_is_not_acknowledged_on_but_written_anew() {
    let mut world = world(Compression::Zstd);
    world.group().unwrap();
    take_away(&world.fs);
    assert_eq!(world.group(), Ok(()));
    let [(taken, _), new] = &world.chunks()[..] else { panic!("{:?}", world.chunks()) };
    assert_eq!((new.1, new.0.sequence()), (ChunkState::InProgress, taken.sequence() + 1));
    // Recovery may have read the old file before the group came: the new one alone counts.
    assert_eq!(markers_of(&world.fs, new), [3, 4, 5]);
    assert_eq!(world.place.committed.chunk().as_ref(), Some(&new.0));
}

#[test]
fn a_chunk_taken_by_recovery_is_let_go_of_by_a_seal() {
    let mut world = world(Compression::Zstd);
    world.group().unwrap();
    take_away(&world.fs);
    world.appender.seal(Cause::Age);
    assert_eq!(world.place.committed.chunk(), None);
    assert_eq!(world.group(), Ok(()));
    world.check_acknowledged("after the seal");
}

#[test]
fn the_reserve_seals_a_chunk_on_a_full_volume() {
    let mut world = World::new();
    world.appender.volume.restore_reserve();
    world.group().unwrap();
    world.fs.set_capacity(Some(world.used()));
    assert_eq!(world.group(), Err(NotStored::VolumeFull));
    world.appender.seal(Cause::Age);
    assert_eq!(world.chunks()[0].1, ChunkState::Sealed);
    assert!(world.used() < CAPACITY, "the reserve was not given back");
    world.fs.set_capacity(None);
    world.group().unwrap();
    world.appender.seal(Cause::Age);
    assert!(world.used() > CAPACITY, "the reserve was not set aside again");
    world.check_acknowledged("sealed");
}

/// A chunk that is due, and for whose end there was no room a moment ago.
fn world_too_full_to_seal() -> World {
    let mut world = world(Compression::Zstd);
    world.group().unwrap();
    world.fs.set_capacity(Some(world.used() + 100));
    world.set(|live| live.chunk.max_bytes = ByteSize(1));
    world.appender.tend();
    assert_eq!(world.chunks()[0].1, ChunkState::InProgress);
    world
}

#[test]
fn without_room_the_chunk_is_sealed_once_there_is_some() {
    for comes_with in ["time", "a group"] {
        let mut world = world_too_full_to_seal();
        let before = world.fs.content(world.fs.paths().remove(0));
        let (mut keeper, _) = world.keeper();
        for _ in 0..3 {
            world.idle(SEAL_AGAIN);
            keeper.sweep();
            assert_eq!(world.group(), Err(NotStored::VolumeFull));
            assert!(world.fs.content(world.fs.paths().remove(0)) == before, "not cut back");
        }
        world.fs.set_capacity(Some(CAPACITY));
        world.clock.advance(SEAL_AGAIN);
        if comes_with == "time" {
            world.appender.tend();
        } else {
            world.group().unwrap();
        }
        let states: Vec<_> = world.chunks().into_iter().map(|(_, state)| state).collect();
        assert_eq!(states, [ChunkState::Sealed], "{comes_with}");
        assert_eq!((world.place.committed.chunk(), world.stored.recovered.get()), (None, 0));
        world.check_acknowledged(comes_with);
    }
}

#[test]
fn a_chunk_that_cannot_be_sealed_is_not_tried_with_every_group() {
    let mut world = world_too_full_to_seal();
    let cuts = |world: &World| world.fs.ops().iter().filter(|op| **op == Op::SetLen).count();
    // A commit cuts once.
    let before = cuts(&world);
    (0..5).for_each(|_| assert_eq!(world.group(), Err(NotStored::VolumeFull)));
    assert_eq!(cuts(&world), before + 5);
}

#[test]
fn a_volume_that_fills_up_and_empties_takes_spans_again_in_the_same_chunk() {
    let mut world = world(Compression::Zstd);
    world.group().unwrap();
    let before = (world.used(), world.chunks());
    for room in [0, 1, 511] {
        world.fs.set_capacity(Some(before.0 + room));
        assert_eq!(world.group(), Err(NotStored::VolumeFull), "{room}");
        assert_eq!(world.used(), before.0, "{room}: not cut back");
    }
    world.fs.set_capacity(Some(CAPACITY));
    assert_eq!(world.group(), Ok(()));
    assert_eq!(world.chunks()[0].0, before.1[0].0);
    assert_eq!(world.fs.ops().iter().filter(|op| **op == Op::Create).count(), 1);
}

#[test]
fn a_directory_that_is_too_full_to_be_synced_is_a_full_volume() {
    let mut clean = world(Compression::Zstd);
    clean.group().unwrap();
    let at = clean.fs.ops().iter().position(|op| *op == Op::SyncDir).unwrap() as u64;
    let mut world = world(Compression::Zstd);
    // A second try would take the same steps again.
    for at in [at, 2 * at + 1] {
        world.fs.fail(Fault { at, times: 1, kind: ErrorKind::StorageFull, effect: Effect::None });
    }
    assert_eq!(world.group(), Err(NotStored::VolumeFull));
    assert!(matches!(world.health.storage(), StorageHealth::Full { .. }) && world.keeper_was_called());
}
