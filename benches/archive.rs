//! Recovery against the speed of plain decompression (B8), retention over ten thousand chunks (B9).
//!
//! `cargo bench --bench archive`. Files lie in the directory for temporary files, in the page cache.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::path::Path;
use std::time::Duration;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use tracecapture::archive::catalog::{Chunk, Inventory};
use tracecapture::archive::frame::{Compression, Encoder};
use tracecapture::archive::fs::{File, Fs, RealFs};
use tracecapture::archive::layout;
use tracecapture::archive::name::{ChunkName, ChunkState, data_member};
use tracecapture::archive::recovery::{Site, recover};
use tracecapture::archive::retention::{Known, Limits, plan};
use tracecapture::archive::scan::scan;
use tracecapture::archive::trailer::Facts;
use tracecapture::archive::ustar;
use tracecapture::clock::Timestamp;
use tracecapture::ids::{Incarnation, Signal};

/// The length of a chunk by default.
const CHUNK_BYTES: usize = 50_000_000;

/// About what a group commit writes, uncompressed.
const FRAME_LINES: usize = 1 << 20;

fn main() {
    divan::main();
}

fn name(second: u64) -> ChunkName {
    let started = Timestamp::from_unix_nanos((1_795_257_045 + second) * 1_000_000_000);
    ChunkName::new(started, "bench-0".parse().unwrap(), Incarnation(1), 1)
}

/// Lines as a walk makes them: constant keys, random ids.
fn lines(seed: &mut u64) -> Vec<u8> {
    let mut lines = Vec::with_capacity(FRAME_LINES + 1024);
    let mut next = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed >> 16
    };
    while lines.len() < FRAME_LINES {
        let (a, b, c, d) = (next(), next(), next(), next());
        lines.extend_from_slice(
            format!(
                "{{\"resourceSpans\":[{{\"resource\":{{\"attributes\":[{{\"key\":\"service.name\",\"value\":{{\"stringValue\":\"checkout\"}}}}]}},\"scopeSpans\":[{{\"spans\":[{{\"traceId\":\"{a:016x}{b:016x}\",\"spanId\":\"{c:016x}\",\"name\":\"GET /cart\",\"kind\":2,\"startTimeUnixNano\":\"179525{d:013}\",\"attributes\":[{{\"key\":\"http.status_code\",\"value\":{{\"intValue\":\"{}\"}}}}]}}]}}]}}]}}\n",
                200 + a % 5
            )
            .as_bytes(),
        );
    }
    lines
}

/// A chunk in progress, torn inside its last frame, and the zstd streams of its members.
struct Torn {
    bytes: Vec<u8>,
    members: Vec<Vec<u8>>,
}

fn torn() -> Torn {
    let (mut encoder, mut seed, mut sequence) = (Encoder::new(Compression::Zstd).unwrap(), 7, 0);
    let (mut bytes, mut members) = (Vec::new(), Vec::new());
    while bytes.len() < CHUNK_BYTES {
        let mut body = Vec::new();
        while body.len() < 4 << 20 {
            encoder.encode(&lines(&mut seed), Facts::default(), sequence, &mut body).unwrap();
            sequence += 1;
        }
        let number = u32::try_from(members.len() + 1).unwrap();
        let member = name(0).member(&data_member(Signal::Traces, number, ".zst"));
        bytes.extend_from_slice(&ustar::header(&member, body.len() as u64, 0).unwrap());
        bytes.extend_from_slice(&body);
        bytes.resize(bytes.len().next_multiple_of(ustar::BLOCK), 0);
        members.push(body);
    }
    bytes.truncate(bytes.len() - 100_000);
    Torn { bytes, members }
}

/// The yardstick: what `zstd -t` does with the members.
#[divan::bench(sample_count = 10)]
fn decompress_50_mb(bencher: Bencher<'_, '_>) {
    let torn = torn();
    bencher.counter(BytesCount::new(torn.bytes.len())).bench_local(|| {
        for member in &torn.members {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(&member[..]).unwrap();
            std::io::copy(&mut decoder, &mut std::io::sink()).unwrap();
        }
    });
}

#[divan::bench(sample_count = 10)]
fn scan_torn_50_mb(bencher: Bencher<'_, '_>) {
    let (dir, torn) = (tempfile::tempdir().unwrap(), torn());
    let file = put(&dir.path().join("chunk"), &torn.bytes);
    let len = torn.bytes.len();
    bencher.counter(BytesCount::new(len)).bench_local(|| scan(&*file, len as u64).unwrap());
}

#[divan::bench(sample_count = 10)]
fn recover_torn_50_mb(bencher: Bencher<'_, '_>) {
    let (dir, torn) = (tempfile::tempdir().unwrap(), torn());
    layout::prepare(&RealFs, dir.path(), name(0).writer()).unwrap();
    let path = |state| layout::chunk_path(dir.path(), &name(0), state);
    bencher
        .counter(BytesCount::new(torn.bytes.len()))
        .with_inputs(|| {
            // The sealed chunk of the round before would make this one a merge.
            let _ = RealFs.remove(&path(ChunkState::Sealed));
            put(&path(ChunkState::InProgress), &torn.bytes).sync_data().unwrap();
        })
        .bench_local_values(|()| {
            let site = Site { fs: &RealFs, data_dir: dir.path(), nonce: 1, now: Timestamp::default() };
            recover(site, &name(0)).unwrap()
        });
}

fn put(path: &Path, bytes: &[u8]) -> Box<dyn File> {
    let file = RealFs.create_new(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

#[divan::bench]
fn plan_retention_over_10_000_chunks(bencher: Bencher<'_, '_>) {
    let one = |n| Chunk {
        name: name(n),
        state: ChunkState::Sealed,
        len: 50_000_000,
        modified: Duration::ZERO,
        unreadable: false,
    };
    let inventory = Inventory { chunks: (0..10_000).map(one).collect(), ..Inventory::default() };
    let limits = Limits {
        max_bytes: 250_000_000_000,
        max_age: Some(Duration::from_mins(150)),
        clear_before: None,
        headroom: 50_000_000,
        volume: None,
    };
    let now = name(10_000).started();
    bencher.bench(|| plan(black_box(&inventory), &Known::default(), &limits, now));
}
