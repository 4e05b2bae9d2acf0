//! The keeper's sweeps over volumes that are full, shared, and littered.

use std::io::Write;
use std::sync::Mutex;

use rustix::io::Errno;

use super::*;
use crate::archive::fs::{EIO, Effect, Fault, Fs as _, Op, SimFs};
use crate::clock::Clock;
use crate::collector::queue::NotStored;
use crate::collector::testing::{BEGIN, CHUNKS, DATA, World, small_chunks};
use crate::units::ByteSize;

/// Stores so many chunks of one group each, one per minute.
fn world_with(n_chunks: usize) -> World {
    let mut world = World::new();
    world.set(|live| live.chunk.max_bytes = ByteSize(1));
    // Too little for a reserve.
    world.fs.set_capacity(Some(1 << 20));
    for _ in 0..n_chunks {
        world.group().unwrap();
        world.clock.advance(Duration::from_mins(1));
    }
    world.fs.set_capacity(None);
    assert_eq!(world.chunks().len(), n_chunks);
    world
}

/// Returns the sequence numbers of the chunks that are there.
fn left(world: &World) -> Vec<u32> {
    world.chunks().iter().map(|(name, _)| name.sequence()).collect()
}

fn evicted(world: &World, cause: &'static str) -> u64 {
    world.stored.evicted.get_or_create(&CauseLabel { cause }).get()
}

#[test]
fn size_and_age_delete_the_oldest_first() {
    let world = world_with(10);
    let (mut keeper, inventory) = world.keeper();
    let one = world.used() / 10;
    world.set(|live| live.retention.max_bytes = ByteSize(one * 7 + one / 2));
    keeper.sweep();
    assert_eq!((left(&world), evicted(&world, "size")), ((4..=10).collect(), 3));
    assert_eq!(inventory.load().chunks.len(), 7);
    // Chunk 4 was begun three minutes after the first; ten minutes have passed since that one.
    world.set(|live| live.retention.max_age = Some(Duration::from_secs(5 * 60 + 30)));
    keeper.sweep();
    assert_eq!((left(&world), evicted(&world, "age")), ((6..=10).collect(), 2));
}

#[test]
fn a_wall_clock_that_jumps_back_deletes_nothing_by_age() {
    let world = world_with(4);
    world.set(|live| live.retention.max_age = Some(Duration::from_secs(1)));
    world.clock.set_wall(BEGIN.saturating_sub(Duration::from_hours(1_000)));
    world.keeper().0.sweep();
    assert_eq!(left(&world).len(), 4);
    world.clock.set_wall(BEGIN);
    world.clock.advance(Duration::from_hours(1));
    world.keeper().0.sweep();
    assert_eq!((left(&world).len(), evicted(&world, "age")), (0, 4));
}

#[test]
fn retention_makes_room_where_not_a_byte_is_free() {
    let world = world_with(10);
    let one = world.used() / 10;
    world.set(|live| live.chunk.max_bytes = ByteSize(one));
    world.fs.set_capacity(Some(world.used()));
    let before = world.fs.ops().len();
    world.keeper().0.sweep();
    assert!((1..=2).contains(&evicted(&world, "volume")), "{:?}", left(&world));
    assert!(left(&world).ends_with(&[9, 10]) && !left(&world).contains(&1));
    // Nothing that would need room was tried.
    let needs_room = |op: &&Op| matches!(op, Op::Create | Op::Write | Op::Rename);
    assert_eq!(world.fs.ops()[before..].iter().find(needs_room), None);
}

#[test]
fn pinned_chunks_are_spared_until_their_download_ends_and_the_newest_are_not_taken_instead() {
    let mut world = world_with(6);
    let (mut keeper, inventory) = world.keeper();
    // Three chunks and a half.
    let limit = world.used() / 12 * 7;
    let pin = world.pins.hold(world.chunks().into_iter().take(5).map(|(name, _)| name));
    world.set(|live| live.retention.max_bytes = ByteSize(limit));
    keeper.sweep();
    assert_eq!(left(&world), [1, 2, 3, 4, 5, 6]);
    // What is captured while the download runs stays as well, and it shows that this is over the limit.
    world.group().unwrap();
    keeper.sweep();
    assert_eq!((left(&world), world.stored.evicted_total()), ((1..=7).collect(), 0));
    assert!(inventory.load().total_bytes() > limit);
    pin.release();
    world.clock.advance(Duration::from_mins(1));
    keeper.sweep();
    assert_eq!(left(&world), [5, 6, 7]);
}

#[test]
fn many_writers_that_all_could_grow_do_not_cost_the_sealed_chunks() {
    let world = world_with(5);
    for n in 0..20 {
        let growing = crate::archive::testing::chunk(&format!("other-{n}"), 9, 0);
        world.fs.put(format!("{CHUNKS}/{}", growing.file_name(ChunkState::InProgress)), b"");
    }
    world.set(|live| {
        live.retention.max_bytes = ByteSize(200_000);
        live.chunk.max_bytes = ByteSize(40_000);
    });
    let (mut keeper, _) = world.keeper();
    (0..3).for_each(|_| keeper.sweep());
    assert_eq!((world.chunks().len(), world.stored.evicted_total()), (25, 0));
    // All that may still grow, and the next chunk, fit what is left.
    assert!(world.share.chunk_bytes(40_000) * 21 + world.used() <= 200_000);
}

/// A volume with a chunk that the first life left open, and the next life on it.
fn leftover() -> World {
    let mut first = World::new();
    first.fs.set_capacity(Some(1 << 20));
    first.group().unwrap();
    let mut second = World::on(first.fs.clone(), 2, small_chunks());
    second.acknowledged = first.acknowledged;
    second
}

#[test]
fn recovery_that_found_no_room_is_tried_again() {
    let world = leftover();
    let (mut keeper, _) = world.keeper();
    world.fs.set_capacity(Some(world.used()));
    keeper.sweep();
    assert_eq!((world.stored.recovery_failures.get(), world.chunks()[0].1), (1, ChunkState::Recovering));
    world.fs.set_capacity(None);
    keeper.sweep();
    assert_eq!(world.stored.recovery_failures.get(), 1, "a second try comes too soon");
    world.clock.advance(small_chunks().recovery.inactive);
    keeper.sweep();
    assert_eq!((world.stored.recovered.get(), world.chunks()[0].1), (1, ChunkState::Sealed));
    world.check_acknowledged("recovered");
    assert_eq!(world.fs.paths().len(), 1, "nothing is left over: {:?}", world.fs.paths());
}

#[test]
fn the_growing_chunk_is_left_alone_however_long_it_is_idle() {
    let mut world = leftover();
    world.set(|live| live.chunk.max_bytes = ByteSize(1 << 20));
    let (mut keeper, _) = world.keeper();
    world.group().unwrap();
    for _ in 0..5 {
        keeper.sweep();
        world.clock.advance(small_chunks().recovery.inactive);
    }
    let states: Vec<_> = world.chunks().into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [ChunkState::Sealed, ChunkState::InProgress]);
    assert_eq!(world.group(), Ok(()));
}

#[test]
fn a_directory_that_cannot_be_read_for_a_while_is_swept_later() {
    let world = leftover();
    let (mut keeper, inventory) = world.keeper();
    world.fs.fail(Fault { at: world.fs.ops().len() as u64, times: 1, kind: EIO, effect: Effect::None });
    keeper.sweep();
    assert_eq!((inventory.load().chunks.len(), world.stored.recovered.get()), (0, 0));
    keeper.sweep();
    assert_eq!((inventory.load().chunks.len(), world.stored.recovered.get()), (1, 1));
}

#[test]
fn a_directory_that_cannot_be_read_keeps_the_storage_failed_until_a_sweep_can() {
    let mut world = world_with(2);
    let (mut keeper, _) = world.keeper();
    world.fs.spoil(CHUNKS, Errno::IO);
    keeper.sweep();
    for _ in 0..3 {
        // The volume can be written to all the same.
        world.idle(Duration::from_secs(1));
        assert_eq!((world.group(), world.health.is_ok()), (Ok(()), false));
        assert!(world.keeper_was_called(), "so that it notices soon that it can read again");
        keeper.sweep();
    }
    world.fs.mend();
    keeper.sweep();
    assert!(world.health.is_ok());
}

#[test]
fn one_file_that_cannot_be_looked_up_stops_neither_retention_nor_recovery() {
    let world = leftover();
    let bad: Vec<_> = (0..2).map(|n| crate::archive::testing::chunk("other", 1, n)).collect();
    for name in &bad {
        let path = format!("{CHUNKS}/{}", name.file_name(ChunkState::Sealed));
        world.fs.put(&path, b"x");
        world.fs.spoil(&path, Errno::UCLEAN);
    }
    let (mut keeper, inventory) = world.keeper();
    let told = Log::lines_with("cannot look up", || (0..3).for_each(|_| keeper.sweep()));
    assert_eq!((told, inventory.load().unreadable.len(), world.health.is_ok()), (2, 2, true));
    assert_eq!(world.stored.recovered.get(), 1);
    // Of the three it is the second that goes by the hand of a user, and the third by its turn.
    assert_eq!(clear(&world.place, bad[1].started()).unwrap().chunks, 2);
    world.set(|live| live.retention.max_bytes = ByteSize(1));
    keeper.sweep();
    assert_eq!((world.chunks().len(), inventory.load().unreadable.len()), (0, 0));
}

#[test]
fn an_open_chunk_of_another_that_cannot_be_looked_up_is_claimed_and_goes_in_its_turn() {
    let world = world_with(3);
    let others = crate::archive::testing::chunk("other", 9, 0);
    let path = |state| format!("{CHUNKS}/{}", others.file_name(state));
    world.fs.put(path(ChunkState::InProgress), b"");
    for state in [ChunkState::InProgress, ChunkState::Recovering] {
        world.fs.spoil(path(state), Errno::IO);
    }
    let (mut keeper, inventory) = world.keeper();
    let state = || inventory.load().chunks.iter().find(|chunk| chunk.name == others).map(|chunk| chunk.state);
    keeper.sweep();
    assert_eq!(state(), Some(ChunkState::InProgress));
    world.clock.advance(small_chunks().recovery.inactive);
    keeper.sweep();
    assert_eq!((state(), world.stored.recovery_failures.get()), (Some(ChunkState::Recovering), 1));
    // It was begun after the first of the others, and before the second, which has to go as well.
    let one = world.used() / 3;
    world.set(|live| live.retention.max_bytes = ByteSize(one + live.chunk.max_bytes.0));
    keeper.sweep();
    assert_eq!((state(), left(&world), evicted(&world, "size")), (None, vec![3], 3));
}

#[test]
fn what_waits_for_room_goes_before_younger_chunks() {
    let mut world = leftover();
    let (mut keeper, _) = world.keeper();
    world.set(|live| live.chunk.max_bytes = ByteSize(1));
    world.fs.set_capacity(Some(world.used()));
    keeper.sweep();
    let [(waiting, ChunkState::Recovering)] = &world.chunks()[..] else { panic!("{:?}", world.chunks()) };
    world.fs.set_capacity(Some(1 << 20));
    world.clock.advance(Duration::from_secs(1));
    world.group().unwrap();
    let [_, (younger, ChunkState::Sealed)] = &world.chunks()[..] else { panic!("{:?}", world.chunks()) };
    let younger_len = world.fs.content(format!("{CHUNKS}/{}", younger.file_name(ChunkState::Sealed))).unwrap().len();
    world.set(|live| live.retention.max_bytes = ByteSize(younger_len as u64 + 1));
    assert!(younger > waiting);
    keeper.sweep();
    assert_eq!(world.chunks(), [(younger.clone(), ChunkState::Sealed)]);
}

#[test]
fn a_chunk_that_its_writer_has_given_up_is_recovered_at_once() {
    let mut world = World::new();
    world.fs.set_capacity(Some(1 << 20));
    world.group().unwrap();
    world.fs.fail_every(Op::Sync);
    assert_eq!(world.group(), Err(NotStored::StorageFailed));
    world.fs.mend();
    let (mut keeper, _) = world.keeper();
    keeper.sweep();
    assert_eq!((world.stored.recovered.get(), world.chunks()[0].1), (1, ChunkState::Sealed));
    world.check_acknowledged("recovered");
}

#[test]
fn what_cannot_be_recovered_does_not_outlive_the_limits() {
    let unrecovered = || {
        let world = leftover();
        let (mut keeper, _) = world.keeper();
        world.fs.fail_every(Op::Read);
        keeper.sweep();
        assert_eq!((world.stored.recovery_failures.get(), world.chunks()[0].1), (1, ChunkState::Recovering));
        (world, keeper)
    };
    let (world, mut keeper) = unrecovered();
    // It counts, but no copy of it is made.
    let chunk = world.settings.load().chunk.max_bytes.0;
    world.set(|live| live.retention.max_bytes = ByteSize(world.used() + chunk));
    keeper.sweep();
    assert_eq!((world.chunks().len(), world.stored.evicted_total()), (1, 0));
    world.set(|live| live.retention.max_age = Some(Duration::from_mins(1)));
    world.clock.advance(Duration::from_mins(2));
    keeper.sweep();
    assert_eq!((world.chunks().len(), evicted(&world, "age")), (0, 1));
    let (world, _) = unrecovered();
    world.clock.advance(Duration::from_secs(1));
    assert_eq!((clear(&world.place, world.clock.now()).unwrap().chunks, world.chunks().len()), (1, 0));
}

/// Collects what is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Logs what `work` says, and returns how many lines hold `wanted`.
    fn lines_with(wanted: &str, work: impl FnOnce()) -> usize {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(wanted)).count()
    }
}

#[test]
fn foreign_files_are_named_once_and_left_alone() {
    let world = leftover();
    let (mut keeper, inventory) = world.keeper();
    let foreign = [format!("{CHUNKS}/core.1234"), format!("{DATA}/quarantine/notes.txt")];
    for path in &foreign {
        world.fs.put(path, b"x");
    }
    let named = Log::lines_with("left alone", || (0..5).for_each(|_| keeper.sweep()));
    assert_eq!((named, inventory.load().foreign.len()), (2, 2));
    world.fs.remove(foreign[0].as_ref()).unwrap();
    keeper.sweep();
    world.fs.put(&foreign[0], b"y");
    assert_eq!(Log::lines_with("left alone", || keeper.sweep()), 1, "one that comes back is news");
    assert!(foreign.iter().all(|path| world.fs.content(path).is_some()));
}

#[test]
fn clearing_removes_what_was_begun_before_and_nothing_else() {
    let mut world = world_with(4);
    world.set(|live| live.chunk.max_bytes = ByteSize(1 << 20));
    world.group().unwrap();
    let third = world.chunks()[2].0.started();
    let cleared = clear(&world.place, third).unwrap();
    assert_eq!((cleared.chunks, left(&world)), (2, vec![3, 4, 5]));
    assert_eq!(clear(&world.place, third).unwrap(), Cleared::default());
    let all = clear(&world.place, world.clock.now()).unwrap();
    assert_eq!((all.chunks, left(&world)), (2, vec![5]), "the growing chunk stays");
}

#[test]
fn clearing_says_where_it_failed_and_can_be_repeated() {
    let world = world_with(2);
    let removal = |fs: &SimFs| fs.ops().len() as u64 + 4;
    let now = world.clock.now();
    world.fs.fail(Fault { at: removal(&world.fs), times: 1, kind: EIO, effect: Effect::None });
    let failed = clear(&world.place, now);
    assert!(failed.is_err(), "{:?}", world.fs.ops());
    clear(&world.place, now).unwrap();
    assert_eq!(left(&world), Vec::<u32>::new());
}

#[test]
fn settings_clear_only_a_stopped_capture() {
    let world = world_with(3);
    let (mut keeper, _) = world.keeper();
    world.set(|live| live.retention.clear_before = Some(world.clock.now()));
    keeper.sweep();
    assert_eq!(left(&world).len(), 3);
    world.set(|live| live.state = State::Stopped);
    keeper.sweep();
    assert_eq!((left(&world).len(), evicted(&world, "clear")), (0, 3));
}

#[test]
fn a_writer_that_is_not_the_keeper_recovers_its_own_and_deletes_nothing() {
    let world = leftover();
    let foreign = crate::archive::testing::chunk("other", 9, 0);
    let foreign_path = format!("{CHUNKS}/{}", foreign.file_name(ChunkState::InProgress));
    world.fs.put(&foreign_path, b"somebody's");
    world.set(|live| live.retention.max_bytes = ByteSize(1));
    let mut writer = world.not_keeper();
    for _ in 0..3 {
        writer.sweep();
        world.clock.advance(small_chunks().recovery.inactive);
    }
    assert_eq!((world.stored.recovered.get(), world.stored.evicted_total()), (1, 0));
    world.check_acknowledged("kept");
    assert!(world.fs.content(&foreign_path).is_some());
    let (mut keeper, inventory) = world.keeper();
    assert_eq!(inventory.load().chunks.len(), 2, "it reports what lies there all the same");
    keeper.sweep();
    assert_eq!(world.stored.evicted_total(), 1);
}

#[test]
fn on_a_full_volume_a_writer_waits_until_the_keeper_made_room() {
    let mut world = world_with(10);
    let one = world.used() / 10;
    world.set(|live| live.chunk.max_bytes = ByteSize(one * 2));
    world.fs.set_capacity(Some(world.used()));
    assert_eq!(world.group(), Err(NotStored::VolumeFull));
    world.not_keeper().sweep();
    assert_eq!((world.group(), world.stored.evicted_total()), (Err(NotStored::VolumeFull), 0));
    world.keeper().0.sweep();
    assert_eq!(world.group(), Ok(()));
}
