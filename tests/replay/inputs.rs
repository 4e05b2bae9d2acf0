//! Our own archives in every form, over both transports, into our own collector.

use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tracecapture::archive::frame::Compression;
use tracecapture::archive::name::ChunkState;

use crate::chunks::{BEGIN, Built, SPAN, Span, bundle};
use crate::endpoint::{Endpoint, Said};
use crate::support::{Run, output, tracecapture};

/// The lines of an archive, in order.
fn lines(path: &Path) -> Vec<String> {
    let printed = output(&["cat", path.to_str().unwrap()]);
    let mut lines: Vec<String> = String::from_utf8(printed.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Replays an archive into a collector; the collector holds the same spans then, with the same surroundings.
fn check(name: &str, archive: &[u8], n_spans: usize) {
    let files = TempDir::new().unwrap();
    let path = files.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, archive).unwrap();
    for protocol in ["grpc", "http"] {
        let data = TempDir::new().unwrap();
        let directory = data.path().to_str().unwrap();
        let run = Run::start(&["--data-dir", directory]);
        let to = if protocol == "grpc" { run.grpc() } else { run.http() };
        let done = output(&["replay", path.to_str().unwrap(), "--to", to, "--protocol", protocol]);
        let said = String::from_utf8(done.stdout).unwrap();
        assert_eq!(said, format!("read {n_spans} spans: sent {n_spans}, rejected 0, failed 0\n"), "{name} {protocol}");
        assert_eq!(done.status.code(), Some(0));
        assert!(run.terminate().success());
        // What is stored is in canonical form; so is what it is compared with, stored once before.
        assert_eq!(spans(&lines(data.path())), spans(&lines(&path)), "{name} {protocol}");
    }
}

/// Spans with their resources, whatever line they are in.
fn spans(lines: &[String]) -> Vec<String> {
    let mut spans = Vec::new();
    for line in lines {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        for group in line["resourceSpans"].as_array().unwrap() {
            for scope in group["scopeSpans"].as_array().unwrap() {
                for span in scope["spans"].as_array().unwrap() {
                    let core = ["traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano"];
                    let core: Vec<_> = core.iter().map(|key| span[key].to_string()).collect();
                    spans.push(format!("{} {} {}", group["resource"], core.join(" "), span["status"]["code"]));
                }
            }
        }
    }
    spans.sort();
    spans
}

fn built(n: u32, compression: Compression) -> Built {
    let spans = [
        Span { trace: 10 * u128::from(n) + 1, ..SPAN },
        Span { trace: 10 * u128::from(n) + 2, service: "stock", start: 5, is_error: true, ..SPAN },
        Span { trace: 10 * u128::from(n) + 3, name: "POST /\"order\"\u{1f600}", start: 400, ..SPAN },
    ];
    Built::new(n, compression, &[&spans[..2], &spans[2..]])
}

#[test]
fn a_bundle_arrives_whole() {
    let chunks = [built(1, Compression::Zstd), built(2, Compression::Gzip), built(3, Compression::None)];
    check("bundle.tar", &bundle(&chunks.map(|chunk| chunk.members())), 9);
}

#[test]
fn a_chunk_in_progress_arrives_up_to_its_last_whole_frame() {
    let chunk = built(1, Compression::Zstd);
    let torn = [chunk.open.as_slice(), b"half a frame"].concat();
    check(&chunk.file(ChunkState::InProgress), &torn, 3);
}

#[test]
fn a_data_directory_and_lines_on_stdin_arrive() {
    let files = TempDir::new().unwrap();
    std::fs::create_dir(files.path().join("chunks")).unwrap();
    for n in [1, 2] {
        let chunk = built(n, Compression::Zstd);
        std::fs::write(files.path().join("chunks").join(chunk.file(ChunkState::Sealed)), chunk.sealed()).unwrap();
    }
    let endpoint = Endpoint::start(&[]);
    let done = output(&["replay", files.path().to_str().unwrap(), "--to", endpoint.url()]);
    assert_eq!((done.status.code(), endpoint.taken().len()), (Some(0), 6));

    let stdin = std::fs::File::create_new(files.path().join("lines")).unwrap();
    std::io::Write::write_all(&mut &stdin, lines(files.path()).join("\n").as_bytes()).unwrap();
    let stdin = std::fs::File::open(files.path().join("lines")).unwrap();
    let done = tracecapture(&["replay", "-", "--to", endpoint.url()]).stdin(Stdio::from(stdin)).output().unwrap();
    assert_eq!((done.status.code(), endpoint.taken().len()), (Some(0), 6));
}

#[test]
fn times_are_moved_headers_are_sent_and_batches_are_bounded() {
    let files = TempDir::new().unwrap();
    let path = files.path().join("bundle.tar");
    std::fs::write(&path, bundle(&[built(1, Compression::Zstd).members()])).unwrap();
    let path = path.to_str().unwrap();
    let endpoint = Endpoint::start(&[Said::Taken(b"")]);
    let flags = ["--shift-time", "-1h", "--header", "X-Scope=a=b", "--batch-spans", "2"];
    let done = output(&[&["replay", path, "--to", endpoint.url()], flags.as_slice()].concat());
    assert_eq!(done.status.code(), Some(0));
    let seen = endpoint.all();
    assert_eq!(seen.iter().map(|seen| seen.names().len()).collect::<Vec<_>>(), [2, 1]);
    assert!(seen[0].head.contains("\r\nx-scope: a=b\r\n") && seen[0].head.starts_with("post /v1/traces http/1.1"));
    let span = &seen[0].request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.start_time_unix_nano, (BEGIN - 3_600) * 1_000_000_000);
    assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, SPAN.nanos);

    let done = output(&["replay", path, "--to", endpoint.url(), "--shift-time", "now"]);
    assert_eq!(done.status.code(), Some(0));
    let request = endpoint.next().request;
    let starts: Vec<u64> =
        request.resource_spans.iter().map(|g| g.scope_spans[0].spans[0].start_time_unix_nano).collect();
    let age = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() - starts[0] / 1_000_000_000;
    assert!(age < 60 && starts[2] - starts[0] == 400_000_000_000, "{age} {starts:?}");
}
