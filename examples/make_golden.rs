//! Makes `tests/golden/v1`: small chunks of the present format, whole and damaged, and what they hold.
//!
//! `cargo run --example make_golden -- DIR` writes into a directory that does not exist yet.
//! The files are made once per version of the format and then kept: `tests/golden/README.md`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tracecapture::archive::committed::Committed;
use tracecapture::archive::frame::Compression;
use tracecapture::archive::fs::{Fs, RealFs, read_exact_at};
use tracecapture::archive::name::{ChunkName, ChunkState};
use tracecapture::archive::recovery::{Outcome, Site, recover};
use tracecapture::archive::{ChunkWriter, WriterOptions, layout};
use tracecapture::clock::Timestamp;
use tracecapture::ids::{Incarnation, Signal, TraceId};
use tracecapture::otlp::Segment;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Commits per chunk; each makes one frame.
const N_FRAMES: u32 = 6;

/// How a chunk is left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Sealed,
    /// Cut inside the last frame.
    Torn,
    /// The last frame zeros, and 4 KiB more of them.
    ZeroFilled,
    /// A byte changed in the second frame.
    Damaged,
    /// The same, after recovery.
    Recovered,
}

fn main() -> Result<()> {
    let dir: PathBuf = std::env::args_os().nth(1).ok_or("usage: make_golden DIR")?.into();
    let cases = [
        ("sealed-zstd", Compression::Zstd, Left::Sealed),
        ("sealed-gzip", Compression::Gzip, Left::Sealed),
        ("sealed-none", Compression::None, Left::Sealed),
        ("torn-zstd", Compression::Zstd, Left::Torn),
        ("torn-gzip", Compression::Gzip, Left::Torn),
        ("torn-none", Compression::None, Left::Torn),
        ("zero-filled-tail", Compression::Zstd, Left::ZeroFilled),
        ("damaged-inside", Compression::Zstd, Left::Damaged),
        ("quarantined", Compression::Zstd, Left::Recovered),
    ];
    let mut expected = Map::new();
    for (n, (case, compression, left)) in cases.into_iter().enumerate() {
        let started = Timestamp::from_unix_nanos((1_795_257_045 + u64::try_from(n)?) * 1_000_000_000);
        let name = ChunkName::new(started, "golden-0".parse()?, Incarnation(0x7f3a), 1);
        expected.insert(case.to_owned(), make(&dir.join(case), &name, compression, left)?);
    }
    let mut json = serde_json::to_vec_pretty(&Value::Object(expected))?;
    json.push(b'\n');
    RealFs.create_new(&dir.join("expected.json"))?.write_all_at(&json, 0)?;
    Ok(())
}

/// Makes one data directory and returns what it holds.
fn make(data_dir: &Path, name: &ChunkName, compression: Compression, left: Left) -> Result<Value> {
    layout::prepare(&RealFs, data_dir, name.writer())?;
    let options = WriterOptions { compression, member_bytes: 700, ..WriterOptions::default() };
    let chunks = layout::chunks_dir(data_dir);
    let mut writer = ChunkWriter::create(Arc::new(RealFs), &chunks, name.clone(), options, Committed::new())?;
    let mut borders = Vec::new();
    let path = layout::chunk_path(data_dir, name, ChunkState::InProgress);
    for n in 0..N_FRAMES {
        writer.append(Signal::Traces, &[&segment(n)])?;
        let _receipt = writer.commit()?;
        borders.push(RealFs.stat(&path)?.len);
    }
    if left == Left::Sealed {
        writer.seal(Timestamp::from_unix_nanos(1_795_260_000_000_000_000))?;
        return Ok(expectation(name, ChunkState::Sealed, 0..N_FRAMES, 0));
    }
    drop(writer);
    let lost = damage(&path, &borders, left)?;
    if left != Left::Recovered {
        return Ok(expectation(name, ChunkState::InProgress, (0..N_FRAMES).filter(|n| *n != lost.0), lost.1));
    }
    let now = Timestamp::from_unix_nanos(1_795_270_000_000_000_000);
    match recover(Site { fs: &RealFs, data_dir, nonce: 1, now }, name)? {
        Outcome::Sealed(_) => Ok(expectation(name, ChunkState::Sealed, (0..N_FRAMES).filter(|n| *n != lost.0), lost.1)),
        other => Err(format!("recovery said {other:?}").into()),
    }
}

/// Damages a chunk; returns the frame that is lost and the number of bytes that recovery will quarantine.
fn damage(path: &Path, borders: &[u64], left: Left) -> Result<(u32, u64)> {
    let file = RealFs.open(path)?;
    let mut bytes = vec![0; usize::try_from(file.stat()?.len)?];
    read_exact_at(&*file, &mut bytes, 0)?;
    let found = tracecapture::archive::scan::scan(&*file, bytes.len() as u64)?;
    RealFs.remove(path)?;
    assert_eq!(borders.len(), found.frames.len(), "one frame per commit");
    let n = if matches!(left, Left::Damaged | Left::Recovered) { 1 } else { found.frames.len() - 1 };
    let frame = found.frames.get(n).ok_or("no such frame")?;
    let (span, data) = (frame.span.clone(), frame.data.clone());
    let inside = usize::try_from(data.start + 20)?;
    let quarantined = match left {
        Left::Torn => {
            bytes.truncate(inside);
            inside as u64 - span.start
        }
        Left::ZeroFilled => {
            let (start, end) = (usize::try_from(span.start)?, bytes.len() + 4096);
            bytes.truncate(start);
            bytes.resize(end, 0);
            0
        }
        Left::Damaged | Left::Recovered | Left::Sealed => {
            *bytes.get_mut(inside).ok_or("a frame outside its file")? ^= 0xff;
            span.end - span.start
        }
    };
    RealFs.create_new(path)?.write_all_at(&bytes, 0)?;
    Ok((u32::try_from(n)?, quarantined))
}

fn expectation(name: &ChunkName, state: ChunkState, kept: impl Iterator<Item = u32>, quarantined: u64) -> Value {
    let kept: Vec<u32> = kept.collect();
    let segments: Vec<Segment> = kept.iter().map(|&n| segment(n)).collect();
    let lines: Vec<u8> = segments.iter().flat_map(|segment| segment.lines.clone()).collect();
    json!({
        "file": name.file_name(state),
        "frames": kept,
        "lines": segments.iter().map(|segment| segment.line_count).sum::<u32>(),
        "items": segments.iter().map(|segment| segment.items).sum::<u32>(),
        "linesBytes": lines.len(),
        "linesCrc32": crc32fast::hash(&lines),
        "services": segments.iter().flat_map(|segment| segment.services.clone()).collect::<Vec<_>>(),
        "quarantinedBytes": quarantined,
    })
}

/// Returns what commit `n` writes: two lines of a service of its own.
fn segment(n: u32) -> Segment {
    let start = 1_795_257_045_000_000_000 + u64::from(n) * 1_000_000;
    let service = format!("golden-{n}");
    let line = |span: u32| {
        format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{:032x}","spanId":"{:016x}","name":"span-{span}","startTimeUnixNano":"{start}","endTimeUnixNano":"{}"}}]}}]}}]}}"#,
            n + 1,
            n * 10 + span,
            start + 500
        ) + "\n"
    };
    Segment {
        lines: (line(1) + &line(2)).into_bytes(),
        line_count: 2,
        items: 2,
        times: Some((Timestamp::from_unix_nanos(start), Timestamp::from_unix_nanos(start + 500))),
        services: vec![service.clone()],
        has_other_services: false,
        trace_ids: TraceId::from_bytes(&(u128::from(n) + 1).to_be_bytes()).into_iter().collect(),
    }
}
