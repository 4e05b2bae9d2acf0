//! A model of the archive beside the real one: what was acknowledged is found, whatever happens.
//!
//! A random run of appends, commits, seals, failures, crashes, recoveries and evictions
//! on a volume that forgets; the model is a set of markers. `MODEL_SEEDS` in the
//! environment of the compiler sets how many runs there are.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalog::Catalog;
use super::committed::Committed;
use super::frame::Compression;
use super::fs::{Dice, EIO, Effect, Fault, SimFs};
use super::layout::quarantine_dir;
use super::name::{ChunkName, ChunkState};
use super::recovery::{self, Outcome, RecoveryError, Site};
use super::retention::{self, Known, Limits, Target};
use super::sample::{chunk_name, markers, recoverable, segment};
use super::writer::{ChunkWriter, CommitError, Durability, WriterOptions};
use crate::clock::Timestamp;
use crate::ids::Signal;
use crate::otlp::Segment;

const DATA: &str = "/data";
const CHUNKS: &str = "/data/chunks";
const QUARANTINE: &str = "/data/quarantine";
const NOW: Timestamp = Timestamp::from_unix_nanos(1_795_260_000_000_000_000);

/// Steps of one run: enough for several lives of several chunks.
const STEPS: u64 = 60;

struct World {
    fs: SimFs,
    dice: Dice,
    compression: Compression,
    writer: Option<ChunkWriter>,
    /// Writers that were taken for dead.
    zombies: Vec<ChunkWriter>,
    next_sequence: u32,
    next_marker: u64,
    acknowledged: BTreeSet<u64>,
    /// What was done, for the message of a failure.
    history: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let compression = Compression::ALL[usize::try_from(dice.below(3)).unwrap()];
        Self {
            fs: SimFs::new(&[DATA, CHUNKS, QUARANTINE]),
            dice,
            compression,
            writer: None,
            zombies: Vec::new(),
            next_sequence: 1,
            next_marker: 0,
            acknowledged: BTreeSet::new(),
            history: Vec::new(),
        }
    }

    fn note(&mut self, what: impl Into<String>) {
        self.history.push(what.into());
    }

    fn step(&mut self) {
        match self.dice.below(22) {
            0..=9 => self.request(),
            10 | 11 => self.seal(),
            12 | 13 => self.plan_fault(),
            14 => self.squeeze(),
            15 => self.suspend(),
            16 => self.wake(),
            17 => self.evict(),
            18 | 19 => self.kill(),
            _ => self.crash(),
        }
    }

    /// One group of segments, as a collector treats it: to a new chunk if the old one is given up.
    fn request(&mut self) {
        let n_segments = 1 + self.dice.below(6);
        let new: Vec<u64> = (self.next_marker..self.next_marker + n_segments).collect();
        self.next_marker += n_segments;
        for _ in 0..3 {
            let Some(mut writer) = self.writer.take().or_else(|| self.begin()) else { return };
            let committed = append(&mut writer, &new).commit();
            self.note(format!("commit {new:?} to {}: {committed:?}", writer.name()));
            match committed {
                Ok(_receipt) => {
                    self.acknowledged.extend(&new);
                    self.writer = Some(writer);
                    return;
                }
                Err(CommitError::Full { .. }) => {
                    writer.discard_staged();
                    self.writer = Some(writer);
                    self.fs.set_capacity(None);
                    return;
                }
                Err(CommitError::Poisoned { .. } | CommitError::Lost) => {}
            }
        }
    }

    fn begin(&mut self) -> Option<ChunkWriter> {
        let options = WriterOptions {
            compression: self.compression,
            durability: Durability::Sync,
            member_bytes: 3_000,
            frame_bytes: 800,
        };
        let name = chunk_name(self.next_sequence);
        self.next_sequence += 1;
        let fs = Arc::new(self.fs.clone());
        ChunkWriter::create(fs, Path::new(CHUNKS), name, options, Committed::new()).ok()
    }

    fn seal(&mut self) {
        if let Some(writer) = self.writer.take() {
            let what = format!("seal {}", writer.name());
            let sealed = writer.seal(NOW).map(|sealed| sealed.map(|chunk| chunk.len));
            self.note(format!("{what}: {sealed:?}"));
            self.writer = sealed.err().and_then(|unsealed| unsealed.writer).map(|writer| *writer);
        }
    }

    fn plan_fault(&mut self) {
        let kinds = [EIO, ErrorKind::StorageFull, ErrorKind::NotFound];
        let effects = [Effect::None, Effect::Half, Effect::Whole];
        let fault = Fault {
            at: self.fs.ops().len() as u64 + self.dice.below(12),
            // Two in a row may leave a tail that only the page cache has, under a final name:
            // readers then scan the chunk, nothing is lost, but it is not what is checked here.
            times: 1,
            kind: kinds[usize::try_from(self.dice.below(3)).unwrap()],
            effect: effects[usize::try_from(self.dice.below(3)).unwrap()],
        };
        self.note(format!("{fault:?}"));
        self.fs.fail(fault);
    }

    fn squeeze(&mut self) {
        let room = self.dice.below(3_000);
        let used: u64 = self.fs.paths().iter().map(|path| self.fs.content(path).unwrap().len() as u64).sum();
        self.note(format!("room for {room} bytes"));
        self.fs.set_capacity(Some(used + room));
    }

    /// The writer stops; it is taken for dead and recovered.
    fn suspend(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.note(format!("suspend {}", writer.name()));
            self.zombies.push(writer);
        }
        self.recover();
    }

    /// A writer that was taken for dead goes on.
    fn wake(&mut self) {
        let Some(mut zombie) = self.zombies.pop() else { return };
        let new = [self.next_marker];
        self.next_marker += 1;
        let committed = append(&mut zombie, &new).commit();
        self.note(format!("wake {}: {committed:?}", zombie.name()));
        if committed.is_ok() {
            self.acknowledged.extend(new);
        }
        let _ = zombie.seal(NOW);
    }

    fn evict(&mut self) {
        self.fs.mend();
        let inventory = Catalog::new(Path::new(DATA)).read(&self.fs).unwrap();
        let max_bytes = inventory.total_bytes() - inventory.total_bytes() / 4;
        let limits = Limits { max_bytes, max_age: None, clear_before: None, headroom: 0, volume: None };
        let evictions = retention::plan(&inventory, &Known::default(), &limits, NOW);
        for eviction in &evictions {
            let Target::Chunk(name) = &eviction.target else { continue };
            let path = Path::new(CHUNKS).join(name.file_name(ChunkState::Sealed));
            self.history.push(format!("evict {name}"));
            for marker in markers(&self.fs.content(&path).unwrap()) {
                self.acknowledged.remove(&marker);
            }
        }
        assert!(retention::carry_out(&self.fs, Path::new(DATA), evictions).failed.is_empty());
    }

    /// The process ends in the middle of something, the machine goes on.
    fn kill(&mut self) {
        self.fs.mend();
        let at = self.fs.ops().len() as u64 + self.dice.below(8);
        self.note("kill");
        self.fs.fail(Fault { at, times: u64::MAX, kind: EIO, effect: Effect::Dead });
        if self.dice.one_in(2) {
            self.seal();
        } else {
            self.request();
        }
        (self.writer, self.zombies) = (None, Vec::new());
        self.fs.mend();
        self.check_everything_is_there();
        self.recover();
    }

    /// The machine loses its power.
    fn crash(&mut self) {
        self.note("crash");
        self.fs = self.fs.crash(&mut self.dice);
        (self.writer, self.zombies) = (None, Vec::new());
        self.check_everything_is_there();
        self.recover();
    }

    /// Recovers what has no writer; it may be ended in the middle, and the machine with it, again and again.
    fn recover(&mut self) {
        self.fs.mend();
        while self.dice.one_in(2) {
            let at = self.fs.ops().len() as u64 + self.dice.below(60);
            let effect = [Effect::None, Effect::Half, Effect::Whole, Effect::Dead];
            let effect = effect[usize::try_from(self.dice.below(4)).unwrap()];
            let times = if effect == Effect::Dead { u64::MAX } else { 1 };
            let fault = Fault { at, times, kind: EIO, effect };
            self.note(format!("recover with {fault:?}"));
            self.fs.fail(fault);
            let _ = self.recover_once();
            self.fs.mend();
            self.check_everything_is_there();
            // Only a run without a writer can lose the machine: its handle would belong to another volume.
            if self.writer.is_none() && self.zombies.is_empty() && self.dice.one_in(2) {
                self.note("crash in recovery");
                self.fs = self.fs.crash(&mut self.dice);
                self.check_everything_is_there();
            }
        }
        self.fs.mend();
        self.recover_once().unwrap();
        self.check_settled();
    }

    fn recover_once(&mut self) -> Result<(), RecoveryError> {
        let leftovers: Vec<String> = self.fs.paths().iter().filter_map(|path| temporary(path)).collect();
        let _ = recovery::remove_temporaries(&self.fs, Path::new(DATA), &leftovers);
        let live = self.writer.as_ref().map(|writer| writer.name().clone());
        let nonce = u32::try_from(self.dice.below(1 << 32)).unwrap();
        let fs = self.fs.clone();
        let site = Site { fs: &fs, data_dir: Path::new(DATA), nonce, now: NOW };
        for (name, state, _) in self.chunks() {
            if state != ChunkState::Sealed && live.as_ref() != Some(&name) {
                let outcome = recovery::recover(site, &name);
                self.note(format!("recover {name}: {outcome:?}"));
                assert!(!matches!(outcome?, Outcome::Newer(_)));
            }
        }
        Ok(())
    }

    /// What a recovery without a failure leaves: sealed chunks that every tool can read.
    fn check_settled(&self) {
        let live = self.writer.as_ref().map(ChunkWriter::name);
        for (name, state, path) in self.chunks() {
            if live != Some(&name) {
                assert_eq!(state, ChunkState::Sealed, "{name} was not recovered");
                let archive = self.fs.content(&path).unwrap();
                assert!(archive.ends_with(&super::ustar::END), "{name} has no end");
                assert!(!markers(&archive).is_empty(), "{name} is empty");
            }
        }
        let leftovers: Vec<_> = self.fs.paths().iter().filter_map(|path| temporary(path)).collect();
        assert!(leftovers.is_empty(), "{leftovers:?} are left");
        self.check_everything_is_there();
    }

    /// Chunks of the directory, oldest first.
    fn chunks(&self) -> Vec<(ChunkName, ChunkState, PathBuf)> {
        let paths = self.fs.paths().into_iter().filter(|path| path.parent() == Some(Path::new(CHUNKS)));
        let named = paths.map(|path| {
            let (name, state) = ChunkName::parse_file_name(path.file_name().unwrap().to_str().unwrap()).unwrap();
            (name, state, path)
        });
        named.collect()
    }

    fn check_everything_is_there(&self) {
        let found: BTreeSet<u64> = self.chunks().iter().flat_map(|(_, _, path)| recoverable(&self.fs, path)).collect();
        let lost: Vec<_> = self.acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
    }
}

/// Returns the name of a temporary file of recovery.
fn temporary(path: &Path) -> Option<String> {
    let name = path.file_name().unwrap().to_str().unwrap();
    (path.parent() == Some(&quarantine_dir(Path::new(DATA))) && super::layout::is_temporary(name))
        .then(|| name.to_owned())
}

fn append<'a>(writer: &'a mut ChunkWriter, new: &[u64]) -> &'a mut ChunkWriter {
    let segments: Vec<Segment> = new.iter().map(|&marker| segment(marker, 300)).collect();
    writer.append(Signal::Traces, &segments.iter().collect::<Vec<_>>()).unwrap();
    writer
}

#[test]
fn what_was_acknowledged_is_found_whatever_happens() {
    for seed in 0..n_seeds() {
        let mut world = World::new(seed);
        let run = std::panic::AssertUnwindSafe(|| {
            (0..STEPS).for_each(|_| world.step());
            world.crash();
        });
        if let Err(panic) = std::panic::catch_unwind(run) {
            println!("seed {seed}, {:?}\n{}", world.compression, world.history.join("\n"));
            std::panic::resume_unwind(panic);
        }
    }
}

fn n_seeds() -> u64 {
    option_env!("MODEL_SEEDS").and_then(|n| n.parse().ok()).unwrap_or(40)
}
