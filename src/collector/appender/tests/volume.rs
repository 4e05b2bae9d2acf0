//! Storage that failed is found well again, also without a client that tries; a small volume is a ring.

use std::time::Duration;

use crate::api::State;
use crate::archive::fs::Dice;
use crate::archive::name::ChunkState;
use crate::collector::health::StorageHealth;
use crate::collector::share::Usage;
use crate::collector::testing::{World, markers_of, small_chunks};
use crate::units::ByteSize;

#[test]
fn storage_that_failed_is_found_well_again_without_a_client() {
    let mut world = World::new();
    let full = StorageHealth::Full { message: "full".to_owned() };
    for (health, free, is_ok) in [
        (StorageHealth::Failed { message: "gone".to_owned() }, u64::MAX, true),
        (full.clone(), 1 << 20, false),
        (full, 4 << 20, true),
    ] {
        world.fs.set_capacity(Some(free));
        world.health.set(health);
        world.idle(Duration::ZERO);
        assert!(!world.health.is_ok(), "not at once");
        world.idle(Duration::from_secs(1));
        assert_eq!(world.health.is_ok(), is_ok);
    }
}

#[test]
fn a_fault_is_told_for_as_long_as_it_lasts_also_while_nothing_arrives() {
    let mut world = World::new();
    world.group().unwrap();
    assert_eq!(world.faults(), [""; 0]);
    world.fs.set_capacity(Some(world.used()));
    assert!(world.group().is_err());
    for _ in 0..3 {
        world.idle(Duration::from_mins(1));
        assert_eq!(world.faults(), ["VolumeFull"]);
    }
    world.set(|live| live.state = State::Stopped);
    assert_eq!(world.faults(), [""; 0], "nobody misses the room");
    world.set(|live| live.state = State::Running);
    assert_eq!(world.faults(), ["VolumeFull"]);
    world.fs.set_capacity(Some(4 << 20));
    world.idle(Duration::from_secs(1));
    assert_eq!(world.faults(), [""; 0]);
    world.health.directory_failed("gone".to_owned());
    assert_eq!(world.faults(), ["StorageFailed"]);
}

/// Where the keeper of a volume runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeeperAt {
    /// In this process: the appender learns how long its chunks may become.
    Here,
    /// In another one: nobody tells it.
    Elsewhere,
}

/// A world with chunks of 50 MB on a volume of so many bytes.
fn small_volume(capacity: u64) -> World {
    let world = World::new();
    world.fs.set_capacity(Some(capacity));
    world.set(|live| live.chunk.max_bytes = ByteSize(50_000_000));
    world
}

/// Stores so many groups, lets the keeper sweep whenever it is called, and returns how many were sent back.
fn fill(world: &mut World, n_groups: u64, keeper_at: KeeperAt) -> u64 {
    let (mut keeper, _) = world.keeper();
    let (mut n_full, mut in_a_row) = (0, 0);
    keeper.sweep();
    for _ in 0..n_groups {
        if keeper_at == KeeperAt::Elsewhere {
            world.share.publish(Usage { ours: 0, free: u64::MAX, n_growing: 1, limit: u64::MAX });
        }
        let stored = world.group();
        in_a_row = if stored.is_ok() { 0 } else { in_a_row + 1 };
        n_full += u64::from(stored.is_err());
        assert!(in_a_row <= 2, "wedged: {:?}", world.chunks());
        if world.keeper_was_called() {
            keeper.sweep();
        }
        // Enough for what is done every second, too little for a chunk to be sealed by age.
        world.idle(Duration::from_millis(250));
    }
    n_full
}

/// Asserts that exactly the newest of what was acknowledged are there, and returns how many.
#[track_caller]
fn check_newest_are_there(world: &World) -> usize {
    let mut found: Vec<u64> = world.chunks().iter().flat_map(|chunk| markers_of(&world.fs, chunk)).collect();
    found.sort_unstable();
    found.dedup();
    let newest: Vec<u64> = world.acknowledged.iter().copied().rev().take(found.len()).collect();
    assert!(found.iter().rev().eq(newest.iter()), "{found:?}");
    found.len()
}

#[test]
fn a_volume_smaller_than_one_chunk_is_a_ring() {
    for capacity in [40_000, 100_000, 400_000] {
        let mut world = small_volume(capacity);
        let n_full = fill(&mut world, capacity / 150, KeeperAt::Here);
        assert_eq!(n_full, 0, "{capacity}: making room must not cost clients a request");
        assert_eq!(world.faults(), [""; 0], "{capacity}: a ring is always full");
        let n_found = check_newest_are_there(&world);
        assert!(n_found * 3 > world.acknowledged.len() / 10, "{capacity}: {n_found} of {}", world.acknowledged.len());
        assert!(world.used() <= capacity && world.used() > capacity / 2, "{capacity}: {} used", world.used());
    }
}

#[test]
fn a_writer_without_a_keeper_seals_when_the_volume_is_full() {
    let mut world = small_volume(3 << 20);
    let n_full = fill(&mut world, 10_000, KeeperAt::Elsewhere);
    assert!((2..20).contains(&n_full), "{n_full} times full, {} used", world.used());
    check_newest_are_there(&world);
}

#[test]
fn a_ring_goes_on_after_a_crash_on_a_full_volume() {
    let mut first = small_volume(100_000);
    fill(&mut first, 300, KeeperAt::Here);
    // Others take what was free.
    let others = 100_000 - first.used();
    first.fs.put("/data/others", &vec![0; usize::try_from(others).unwrap()]);
    let mut second = World::on(first.fs.crash(&mut Dice::new(3)), 2, small_chunks());
    second.set(|live| live.chunk.max_bytes = ByteSize(50_000_000));
    // Names sort by time, and this clock began where the first one did.
    second.clock.advance(Duration::from_hours(1));
    second.acknowledged.clone_from(&first.acknowledged);
    second.skip_markers(&first);
    fill(&mut second, 300, KeeperAt::Here);
    second.clock.advance(small_chunks().recovery.inactive);
    second.keeper().0.sweep();
    let orphans = second.chunks().into_iter().filter(|(_, state)| *state != ChunkState::Sealed).count();
    assert!(orphans <= 1, "an orphan was not recovered: {:?}", second.chunks());
    check_newest_are_there(&second);
}
