//! `verify`, `cat` and `stats` from the outside: exit codes, stdout, stderr, over files and pipes.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has failed; its files are its own"
)]

#[path = "../support/chunks.rs"]
mod chunks;
mod reading;
mod stats;
mod verdicts;

use std::path::Path;
use std::sync::Arc;

use assert_cmd::Command;
use chunks::{BEGIN, Built, SPAN, Span, chunk_name};
use tempfile::TempDir;
use tracecapture::archive::committed::Committed;
use tracecapture::archive::frame::Compression;
use tracecapture::archive::fs::RealFs;
use tracecapture::archive::{ChunkWriter, WriterOptions};
use tracecapture::clock::Timestamp;
use tracecapture::ids::Signal;
use tracecapture::otlp::{Encoding, Limits, Transcoder};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracecapture"));
    command.env_remove("RUST_LOG");
    command
}

/// Runs the program; returns exit code, stdout and stderr.
fn run(args: &[&str], stdin: &[u8]) -> (i32, String, String) {
    let output = program().args(args).write_stdin(stdin).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Checks exit code and stdout of a command whose stderr has to contain `stderr`.
fn check(args: &[&str], stdin: &[u8], code: i32, stdout: &str, stderr: &str) {
    let (found_code, found_stdout, found_stderr) = run(args, stdin);
    assert!(found_stderr.contains(stderr) && found_stderr.is_empty() == stderr.is_empty(), "{args:?}: {found_stderr}");
    assert_eq!((found_code, found_stdout.as_str()), (code, stdout), "{args:?}");
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    fn dir(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

fn spans() -> [Span<'static>; 3] {
    [
        SPAN,
        Span { service: "stock", name: "reserve", trace: 2, start: 10, nanos: 3_000_000, is_error: true },
        Span { service: "shop", name: "POST /order", trace: 2, start: 400, nanos: 2_000_000, is_error: false },
    ]
}

/// One frame per span.
fn built(n: u32, compression: Compression) -> Built {
    let [a, b, c] = spans();
    Built::new(n, compression, &[&[a], &[b], &[c]])
}

fn lines(which: &[usize]) -> String {
    which.iter().map(|&at| spans()[at].line()).collect()
}

/// What the collector writes: a data directory with a sealed chunk of two spans and an open one of one span.
fn data_directory(dir: &Path) {
    let chunks = dir.join("chunks");
    std::fs::create_dir_all(&chunks).unwrap();
    for (n, spans) in [(1, &spans()[..2]), (2, &spans()[2..])] {
        let options = WriterOptions::default();
        let mut writer =
            ChunkWriter::create(Arc::new(RealFs), &chunks, chunk_name(n), options, Committed::new()).unwrap();
        for span in spans {
            let mut segments = Vec::new();
            let mut transcoder = Transcoder::new(Limits::default());
            transcoder.transcode(Signal::Traces, Encoding::Json, span.line().as_bytes(), &mut segments).unwrap();
            writer.append(Signal::Traces, &segments.iter().collect::<Vec<_>>()).unwrap();
            let _ = writer.commit().unwrap();
        }
        if n == 1 {
            writer.seal(Timestamp::from_unix_nanos(BEGIN * 1_000_000_000)).unwrap();
        }
    }
}
