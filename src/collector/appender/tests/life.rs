//! When chunks are begun, touched and sealed, and what they are called.

use std::time::Duration;

use super::super::Cause;
use crate::api::{Compression, State};
use crate::archive::fs::{Op, SimFs};
use crate::archive::name::ChunkState;
use crate::clock::Timestamp;
use crate::collector::testing::{BEGIN, World, markers_of};
use crate::telemetry::metrics::CauseLabel;
use crate::units::ByteSize;

const LARGE: ByteSize = ByteSize(1 << 20);

fn world() -> World {
    let world = World::new();
    world.set(|live| live.chunk.max_bytes = LARGE);
    // Too little for a reserve.
    world.fs.set_capacity(Some(1 << 20));
    world
}

fn sealed(world: &World, cause: &'static str) -> u64 {
    world.stored.sealed.get_or_create(&CauseLabel { cause }).get()
}

/// Checks that a chunk with one group in it is sealed by what happens, and that it was not before.
fn check_sealed_by(cause: &'static str, happen: impl FnOnce(&mut World)) {
    let mut world = world();
    world.group().unwrap();
    world.idle(Duration::from_secs(1));
    assert_eq!(world.chunks()[0].1, ChunkState::InProgress, "{cause}: too early");
    happen(&mut world);
    assert_eq!((world.chunks()[0].1, sealed(&world, cause)), (ChunkState::Sealed, 1), "{cause}");
    assert!(world.keeper_was_called(), "{cause}");
    world.check_acknowledged(cause);
}

#[test]
fn a_chunk_is_sealed_for_every_reason_there_is() {
    check_sealed_by("age", |world| {
        let max_age = world.settings.load().chunk.max_age;
        world.idle(max_age.saturating_sub(Duration::from_secs(2)));
        assert_eq!(world.chunks()[0].1, ChunkState::InProgress);
        world.idle(Duration::from_secs(1));
    });
    check_sealed_by("size", |world| {
        world.set(|live| live.chunk.max_bytes = ByteSize(1_000));
        world.idle(Duration::ZERO);
    });
    check_sealed_by("settings", |world| {
        world.set(|live| live.chunk.compression = Compression::Gzip);
        world.idle(Duration::ZERO);
    });
    check_sealed_by("stopped", |world| {
        world.set(|live| live.state = State::Stopped);
        world.idle(Duration::ZERO);
    });
    check_sealed_by("shutdown", |world| world.appender.seal(Cause::Shutdown));
}

#[test]
fn the_group_that_fills_a_chunk_is_its_last() {
    let mut world = World::new();
    world.fs.set_capacity(Some(1 << 20));
    for _ in 0..6 {
        world.group().unwrap();
    }
    let sizes = world.chunks().into_iter().map(|chunk| markers_of(&world.fs, &chunk).len());
    assert_eq!(sizes.collect::<Vec<_>>(), [6, 6, 6]);
    assert_eq!(sealed(&world, "size"), 3);
}

#[test]
fn an_idle_chunk_shows_in_time_that_its_writer_lives() {
    let mut world = world();
    let touches = |fs: &SimFs| fs.ops().iter().filter(|op| **op == Op::Touch).count();
    let every = world.settings.load().recovery.touch_every;
    world.idle(every);
    assert_eq!(touches(&world.fs), 0, "nothing is there to touch");
    world.group().unwrap();
    for _ in 0..3 {
        world.idle(every.saturating_sub(Duration::from_secs(1)));
        assert!(world.appender.next_deadline() <= Duration::from_secs(1));
        world.idle(Duration::from_secs(1));
    }
    assert_eq!(touches(&world.fs), 3);
    // A commit shows it as well.
    world.idle(every.saturating_sub(Duration::from_secs(1)));
    world.group().unwrap();
    world.idle(Duration::from_secs(1));
    assert_eq!(touches(&world.fs), 3);
}

#[test]
fn names_never_go_back_within_a_life_whatever_the_clock_says() {
    let mut world = World::new();
    world.fs.set_capacity(Some(1 << 20));
    world.set(|live| live.chunk.max_bytes = ByteSize(1));
    let hours = |n: u64| Duration::from_hours(n);
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
    let wall = [
        BEGIN.saturating_sub(hours(0)),
        Timestamp::from_unix_nanos(BEGIN.as_unix_nanos() + nanos(hours(48))),
        BEGIN.saturating_sub(hours(1_000)),
        BEGIN.saturating_sub(hours(1)),
        Timestamp::default(),
        Timestamp::from_unix_nanos(BEGIN.as_unix_nanos() + nanos(hours(49))),
    ];
    for now in wall {
        world.clock.set_wall(now);
        world.group().unwrap();
    }
    let chunks = world.chunks();
    assert_eq!(chunks.len(), wall.len());
    // In the order of names, which is the order of deletion, they hold what came in the order it came.
    let markers = chunks.iter().flat_map(|chunk| markers_of(&world.fs, chunk));
    assert!(markers.eq(0..18));
    assert!(chunks.windows(2).all(|pair| pair[0].0.started() <= pair[1].0.started()));
}
