//! A data directory for tests that download from it, and a strict reader of what they get.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use super::Bundles;
use crate::archive::committed::Committed;
use crate::archive::frame::Compression;
use crate::archive::fs::{Fs, RealFs};
use crate::archive::layout::{chunk_path, chunks_dir, quarantine_dir};
use crate::archive::name::{ChunkName, ChunkState};
use crate::archive::recovery::{self, Site};
use crate::archive::ustar::{self, BLOCK, END, Parsed};
use crate::archive::writer::{ChunkWriter, WriterOptions};
use crate::clock::Timestamp;
use crate::ids::{CaptureId, Incarnation, Signal, TraceId};
use crate::otlp::Segment;

/// A data directory with one writer.
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    compression: Compression,
    pub(crate) committed: Committed,
    writer: Option<ChunkWriter>,
    n_chunks: u32,
    n_frames: u64,
}

impl Fixture {
    pub(crate) fn new(compression: Compression) -> Self {
        let dir = tempfile::tempdir().unwrap();
        RealFs.create_dir_all(&chunks_dir(dir.path())).unwrap();
        RealFs.create_dir_all(&quarantine_dir(dir.path())).unwrap();
        Self { dir, compression, committed: Committed::new(), writer: None, n_chunks: 0, n_frames: 0 }
    }

    pub(crate) fn name(n: u32) -> ChunkName {
        let started = Timestamp::from_unix_nanos(1_795_257_045_000_000_000 + u64::from(n) * 1_000_000_000);
        ChunkName::new(started, "local".parse().unwrap(), Incarnation(7), n)
    }

    pub(crate) fn path(&self, n: u32, state: ChunkState) -> PathBuf {
        chunk_path(self.dir.path(), &Self::name(n), state)
    }

    /// Commits one frame of a few spans, each of another trace.
    pub(crate) fn append(&mut self) {
        let segment = segment(self.n_frames + 1);
        self.commit(&segment);
    }

    /// Commits one frame of this many bytes in one line.
    pub(crate) fn append_large(&mut self, len: usize) {
        let lines = [vec![b' '; len], b"{}\n".to_vec()].concat();
        self.commit(&Segment { lines, line_count: 1, ..Segment::default() });
    }

    fn commit(&mut self, segment: &Segment) {
        if self.writer.is_none() {
            self.n_chunks += 1;
            let options =
                WriterOptions { compression: self.compression, member_bytes: 700, ..WriterOptions::default() };
            let (name, dir) = (Self::name(self.n_chunks), chunks_dir(self.dir.path()));
            self.writer =
                Some(ChunkWriter::create(Arc::new(RealFs), &dir, name, options, self.committed.clone()).unwrap());
        }
        self.n_frames += 1;
        let writer = self.writer.as_mut().unwrap();
        writer.append(Signal::Traces, &[segment]).unwrap();
        let _ = writer.commit().unwrap();
    }

    pub(crate) fn seal(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.seal(Timestamp::from_unix_nanos(1_795_300_000_000_000_000)).unwrap();
        }
    }

    /// Ends the writer as a crash does: the file stays, nobody publishes.
    pub(crate) fn crash(&mut self) {
        self.writer = None;
        self.committed.clear();
    }

    pub(crate) fn bundles(&self) -> Arc<Bundles> {
        self.bundles_on(RealFs)
    }

    /// As [`Self::bundles`], on another volume.
    pub(crate) fn bundles_on(&self, fs: impl Fs + 'static) -> Arc<Bundles> {
        let capture = CaptureId::new("default", "local").unwrap();
        Arc::new(Bundles::new(Arc::new(fs), self.dir.path(), capture, self.committed.clone()))
    }
}

pub(crate) fn id(n: u64) -> TraceId {
    TraceId::from_bytes(&u128::from(n).to_be_bytes()).unwrap()
}

/// Two lines: a span of trace `n`, and one of trace 1,000 that runs through all of them.
pub(crate) fn segment(n: u64) -> Segment {
    let line = |trace: TraceId, times: u64| {
        format!(
            "{{\"resourceSpans\":[{{\"resource\":{{}},\"scopeSpans\":[{{\"scope\":{{}},\"spans\":[{{\"traceId\":\"{trace}\",\
             \"spanId\":\"00000000000000{:02x}\",\"name\":\"n{n}\",\"startTimeUnixNano\":\"{times}\",\"endTimeUnixNano\":\"{}\"}}]}}]}}]}}\n",
            n % 255 + 1,
            times + 5,
        )
    };
    let start = n * 10;
    Segment {
        lines: (line(id(n), start) + &line(id(1_000), start)).into_bytes(),
        line_count: 2,
        items: 2,
        times: Some((Timestamp::from_unix_nanos(start), Timestamp::from_unix_nanos(start + 5))),
        services: vec![format!("service-{}", n % 3)],
        has_other_services: false,
        trace_ids: vec![id(n), id(1_000)],
    }
}

/// Walks an archive strictly, up to its end mark and not a byte further.
pub(crate) fn walk(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let (mut at, mut entries) = (0, Vec::new());
    loop {
        match ustar::parse(tar[at..at + BLOCK].try_into().unwrap()) {
            Parsed::File { name, size } => {
                let size = usize::try_from(size).unwrap();
                entries.push((name, tar[at + BLOCK..at + BLOCK + size].to_vec()));
                at += BLOCK + size;
                assert!(tar[at..at.next_multiple_of(BLOCK)].iter().all(|&b| b == 0), "padding");
                at = at.next_multiple_of(BLOCK);
            }
            Parsed::Zeros => {
                assert_eq!(tar[at..], END, "end mark");
                return entries;
            }
            other => panic!("{other:?} at {at}"),
        }
    }
}

/// Returns every line of an archive's data members.
pub(crate) fn lines(tar: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, body) in walk(tar) {
        match Compression::of_name(&name) {
            Some(Compression::Zstd) => lines.extend(zstd::stream::decode_all(&body[..]).unwrap()),
            Some(Compression::Gzip) => {
                flate2::read::MultiGzDecoder::new(&body[..]).read_to_end(&mut lines).unwrap();
            }
            Some(Compression::None) => lines.extend(body),
            None => {}
        }
    }
    lines
}

impl Fixture {
    /// Leaves the last chunk as a crash in the middle of recovery does: claimed, under another inode.
    pub(crate) fn claim(&mut self) {
        self.crash();
        let (from, to) =
            (self.path(self.n_chunks, ChunkState::InProgress), self.path(self.n_chunks, ChunkState::Recovering));
        let Ok(file) = RealFs.open(&from) else { return };
        let mut bytes = vec![0; usize::try_from(file.stat().unwrap().len).unwrap()];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
        RealFs.create_new(&to).unwrap().write_all_at(&bytes, 0).unwrap();
        RealFs.remove(&from).unwrap();
    }

    /// Recovers the last chunk.
    pub(crate) fn recover(&mut self) {
        self.crash();
        let now = Timestamp::from_unix_nanos(1_795_400_000_000_000_000);
        let site = Site { fs: &RealFs, data_dir: self.dir.path(), nonce: self.n_chunks, now };
        recovery::recover(site, &Self::name(self.n_chunks)).unwrap();
    }
}
