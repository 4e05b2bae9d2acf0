//! Which chunks go in whose turn, and what becomes of those that are gone.

use super::*;
use crate::archive::fs::RealFs;
use crate::archive::testing::chunk;

const LIMITS: Limits = Limits { max_bytes: 500, max_age: None, clear_before: None, headroom: 100, volume: None };

/// Chunks of 100 bytes, one per second, the youngest in progress.
fn inventory(n_sealed: u64) -> Inventory {
    let one = |n, state| Chunk { name: chunk("a", 1, n), state, len: 100, modified: Duration::ZERO, unreadable: false };
    let mut chunks: Vec<_> = (0..n_sealed).map(|n| one(n, ChunkState::Sealed)).collect();
    chunks.push(Chunk { len: 10, ..one(n_sealed, ChunkState::InProgress) });
    Inventory { chunks, ..Inventory::default() }
}

fn at(second: u64) -> Timestamp {
    chunk("a", 1, second).started()
}

/// Checks which chunks go, by the second they were begun in.
#[track_caller]
fn check(inventory: &Inventory, pinned: &[u64], limits: Limits, now: Timestamp, expected: &[(u64, Cause)]) {
    let known = Known { pinned: pinned.iter().map(|&n| chunk("a", 1, n)).collect(), ..Known::default() };
    let goes: Vec<_> = plan(inventory, &known, &limits, now).into_iter().map(|e| (e.target, e.cause)).collect();
    let expected: Vec<_> = expected.iter().map(|&(n, cause)| (Target::Chunk(chunk("a", 1, n)), cause)).collect();
    assert_eq!(goes, expected);
}

/// Checks which of four sealed chunks and three older claimed ones go: of the first one recovery made nothing, the
/// second it did not try, for the third there was no room.
#[track_caller]
fn check_claimed(limits: Limits, now: Timestamp, expected: &[(Target, Cause)]) {
    let mut inventory = inventory(7);
    inventory.chunks[..3].iter_mut().for_each(|chunk| chunk.state = ChunkState::Recovering);
    let [unrecovered, waiting] = [0, 2].map(|n| [chunk("a", 1, n)].into());
    let known = Known { unrecovered, waiting, ..Known::default() };
    let goes: Vec<_> = plan(&inventory, &known, &limits, now).into_iter().map(|e| (e.target, e.cause)).collect();
    assert_eq!(goes, expected);
}

#[test]
fn what_recovery_was_tried_on_in_vain_goes_in_its_turn() {
    let claimed = |n, cause| (Target::Claimed(chunk("a", 1, n)), cause);
    let sealed = |n, cause| (Target::Chunk(chunk("a", 1, n)), cause);
    let limits = |max_bytes| Limits { max_bytes, ..LIMITS };
    // 710 bytes, 90 of growth, 200 for the copies that are still to be made, and 100 for the next chunk.
    check_claimed(limits(1_100), at(9), &[]);
    check_claimed(limits(1_000), at(9), &[claimed(0, Cause::Size)]);
    // Together with the room for its copy.
    let both = [claimed(0, Cause::Size), claimed(2, Cause::Size)];
    check_claimed(limits(999), at(9), &both);
    check_claimed(limits(800), at(9), &both);
    check_claimed(limits(799), at(9), &[&both[..], &[sealed(3, Cause::Size)]].concat());
    let volume = Some(VolumeLimits { free: 390 - 200, keep_free: 100, keep_ours: 0 });
    check_claimed(Limits { volume, ..limits(1_100) }, at(9), &both.map(|(target, _)| (target, Cause::Volume)));
    // What goes by age need not be made up for by others.
    let aged = Limits { max_age: Some(Duration::from_secs(5)), ..limits(800) };
    check_claimed(aged, at(8), &[claimed(0, Cause::Age), claimed(2, Cause::Age)]);
    let cleared = Limits { clear_before: Some(at(2)), ..limits(800) };
    check_claimed(cleared, at(9), &[claimed(0, Cause::Clear), claimed(1, Cause::Clear)]);
}

#[test]
fn what_recovery_cannot_even_claim_does_not_count_as_growing() {
    let mut inventory = inventory(3);
    let bad = Chunk { name: chunk("b", 1, 9), len: 0, unreadable: true, ..inventory.chunks[3].clone() };
    let known = Known { unrecovered: [bad.name.clone()].into(), ..Known::default() };
    inventory.chunks.push(bad);
    assert_eq!(plan(&inventory, &known, &LIMITS, at(9)), []);
    assert_eq!(plan(&inventory, &Known::default(), &LIMITS, at(9)).len(), 1);
}

#[test]
fn keeps_room_for_what_is_in_progress_and_for_the_next_chunk() {
    check(&inventory(3), &[], LIMITS, at(9), &[]);
    check(&inventory(5), &[], LIMITS, at(9), &[(0, Cause::Size), (1, Cause::Size)]);
}

#[test]
fn what_a_writer_left_open_does_not_count_as_growing() {
    let mut inventory = inventory(3);
    let in_progress = |writer, n, len| Chunk {
        name: chunk(writer, 1, n),
        state: ChunkState::InProgress,
        len,
        modified: Duration::ZERO,
        unreadable: false,
    };
    inventory.chunks.extend((4..24).map(|n| in_progress("a", n, 0)));
    // Three sealed, ten bytes of one that was left, the room of the newest and of the next one.
    check(&inventory, &[], Limits { max_bytes: 510, ..LIMITS }, at(99), &[]);
    check(&inventory, &[], Limits { max_bytes: 509, ..LIMITS }, at(99), &[(0, Cause::Size)]);
    // Another writer's newest grows as well.
    inventory.chunks.push(in_progress("b", 24, 30));
    check(&inventory, &[], Limits { max_bytes: 610, ..LIMITS }, at(99), &[]);
    check(&inventory, &[], Limits { max_bytes: 609, ..LIMITS }, at(99), &[(0, Cause::Size)]);
}

#[test]
fn age_goes_by_the_name() {
    let limits = Limits { max_age: Some(Duration::from_secs(5)), ..LIMITS };
    check(&inventory(3), &[], limits, at(7), &[(0, Cause::Age), (1, Cause::Age)]);
}

#[test]
fn a_clock_set_back_stops_the_age_limit_and_nothing_else() {
    let limits = Limits { max_age: Some(Duration::from_secs(5)), ..LIMITS };
    check(&inventory(4), &[], limits, Timestamp::default(), &[(0, Cause::Size)]);
}

#[test]
fn clearing_spares_what_began_later_and_what_is_in_progress() {
    let limits = Limits { clear_before: Some(at(2)), ..LIMITS };
    check(&inventory(3), &[], limits, at(9), &[(0, Cause::Clear), (1, Cause::Clear)]);
    let all = Limits { clear_before: Some(at(99)), ..LIMITS };
    check(&inventory(1), &[], all, at(9), &[(0, Cause::Clear)]);
    // Also what somebody downloads: it is to be gone.
    check(&inventory(1), &[0], all, at(9), &[(0, Cause::Clear)]);
}

#[test]
fn a_pinned_chunk_is_spared_and_no_younger_one_goes_in_its_place() {
    check(&inventory(4), &[0], LIMITS, at(9), &[]);
    check(&inventory(5), &[0], LIMITS, at(9), &[(1, Cause::Size)]);
    // All but the newest: it was sealed while a download of the others ran.
    check(&inventory(5), &[0, 1, 2, 3], LIMITS, at(9), &[]);
    check(&inventory(5), &[1, 3], LIMITS, at(9), &[(0, Cause::Size)]);
}

#[test]
fn a_pinned_chunk_outlives_its_age_until_it_is_free() {
    let limits = Limits { max_age: Some(Duration::from_secs(5)), ..LIMITS };
    check(&inventory(3), &[0], limits, at(7), &[(1, Cause::Age)]);
}

#[test]
fn where_the_volume_has_no_room_pinned_chunks_go_oldest_first() {
    let short = |free, max_bytes| Limits {
        max_bytes,
        volume: Some(VolumeLimits { free, keep_free: 100, keep_ours: 0 }),
        ..LIMITS
    };
    check(&inventory(3), &[0, 1, 2], short(90, 500), at(9), &[(0, Cause::Volume)]);
    check(&inventory(3), &[0, 1], short(0, 500), at(9), &[(0, Cause::Volume), (1, Cause::Volume)]);
    // Over both limits, too, the newest is not what goes.
    check(&inventory(5), &[0, 1, 2, 3], short(90, 500), at(9), &[(0, Cause::Volume)]);
}

#[test]
fn a_volume_smaller_than_the_limit_counts_where_asked_to() {
    let short = |free, keep_ours| Limits { volume: Some(VolumeLimits { free, keep_free: 100, keep_ours }), ..LIMITS };
    // The chunk in progress grows by 90, and the next one is to find 100.
    check(&inventory(2), &[], short(190, 0), at(9), &[]);
    check(&inventory(2), &[], short(189, 0), at(9), &[(0, Cause::Volume)]);
    check(&inventory(2), &[], short(0, 0), at(9), &[(0, Cause::Volume), (1, Cause::Volume)]);
    // Of 210 bytes a hundred and some are ours to keep, whoever fills the volume.
    check(&inventory(2), &[], short(0, 110), at(9), &[(0, Cause::Volume)]);
    check(&inventory(2), &[], short(0, 210), at(9), &[]);
}

#[test]
fn an_unreadable_chunk_goes_in_its_turn() {
    let mut inventory = inventory(5);
    for chunk in &mut inventory.chunks[..2] {
        (chunk.len, chunk.unreadable) = (0, true);
    }
    let limits = |max_bytes| Limits { max_bytes, ..LIMITS };
    check(&inventory, &[], limits(500), at(9), &[]);
    check(&inventory, &[], limits(400), at(9), &[(0, Cause::Size), (1, Cause::Size), (2, Cause::Size)]);
    let volume = Some(VolumeLimits { free: 190 - 1, keep_free: 100, keep_ours: 0 });
    check(&inventory, &[], Limits { volume, ..LIMITS }, at(9), &[(0, Cause::Volume)]);
}

#[test]
fn quarantined_bytes_count_and_go_in_their_turn() {
    let mut inventory = inventory(3);
    let file_name = layout::quarantine_name(&chunk("a", 1, 1), 0, 0);
    let quarantined = Quarantined { file_name: file_name.clone(), chunk: chunk("a", 1, 1), offset: 0, len: 250 };
    inventory.quarantine.push(quarantined);
    let goes = plan(&inventory, &Known::default(), &LIMITS, at(9));
    let targets: Vec<_> = goes.into_iter().map(|eviction| eviction.target).collect();
    let expected = [Target::Chunk(chunk("a", 1, 0)), Target::Chunk(chunk("a", 1, 1)), Target::Quarantined(file_name)];
    assert_eq!(targets, expected);
}

#[test]
fn a_limit_that_nothing_fits_deletes_all_that_is_sealed_and_ends() {
    let limits = Limits { max_bytes: 0, headroom: u64::MAX, ..LIMITS };
    assert_eq!(plan(&inventory(3), &Known::default(), &limits, at(9)).len(), 3);
}

#[test]
fn deleting_what_is_gone_is_done_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    layout::prepare(&RealFs, dir.path(), &"a".parse().unwrap()).unwrap();
    let there = layout::chunk_path(dir.path(), &chunk("a", 1, 1), ChunkState::Sealed);
    RealFs.create_new(&there).unwrap();
    let goes = |n| Eviction { target: Target::Chunk(chunk("a", 1, n)), len: 1, cause: Cause::Size };
    let evicted = carry_out(&RealFs, dir.path(), vec![goes(0), goes(1)]);
    assert_eq!((evicted.done.len(), evicted.failed.len()), (2, 0));
    assert!(RealFs.stat(&there).is_err());
}
