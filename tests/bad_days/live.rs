//! Changes of the capture's file while the process runs, faulty ones too.

use std::fs;
use std::path::PathBuf;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tempfile::TempDir;

use crate::archive::{assert_holds, capture, capture_text, chunks};
use crate::client::{get, message, next_id, post_one, span, wait_until};
use crate::support::{self, Run};

/// A run whose file can be changed.
struct Live {
    run: Run,
    file: String,
    data_dir: PathBuf,
    _scratch: TempDir,
}

impl Live {
    fn start(spec: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let (file, data_dir) = (capture(scratch.path(), spec), scratch.path().join("data"));
        let run = Run::start(&["-f", &file, "--data-dir", data_dir.to_str().unwrap()]);
        Self { run, file, data_dir, _scratch: scratch }
    }

    fn change(&self, text: &str) {
        fs::write(&self.file, text).unwrap();
    }

    fn state(&self) -> String {
        self.summary()["state"].as_str().unwrap().to_owned()
    }

    fn summary(&self) -> serde_json::Value {
        get(&self.run, "/api/v1/captures/default/local").json()
    }

    /// Waits until the log has a line with all of these.
    #[track_caller]
    fn wait_for_log(&self, parts: &[&str]) {
        wait_until("the log has the line", || {
            self.run.stderr().lines().any(|line| parts.iter().all(|part| line.contains(part)))
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_file_changes_nothing_and_a_valid_one_stops_and_starts() {
    let live = Live::start("{}");
    let mut grpc = TraceServiceClient::connect(live.run.grpc().to_owned()).await.unwrap();
    let (first, stored) = post_one(&live.run);
    assert_eq!(stored.status, 200);

    live.change(&capture_text("{state: Paused, chunk: {maxBytes: banana}, recovery: {inactiveSeconds: 0}}"));
    live.wait_for_log(&["the old settings stay", "spec.state", "spec.chunk.maxBytes", "spec.recovery.inactiveSeconds"]);
    live.change("{{{ not yaml");
    wait_until("that is told, too", || live.run.stderr().matches("the old settings stay").count() == 2);
    assert_eq!(post_one(&live.run).1.status, 200);

    live.change(&capture_text("{state: Stopped, receiver: {grpc: {port: 14317}}}"));
    wait_until("it is stopped", || live.state() == "Stopped");
    live.wait_for_log(&["the next start", "spec.receiver.grpc.port"]);
    let (_, refused) = post_one(&live.run);
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true), "{refused:?}");
    let status = grpc.export(message(vec![span(next_id(), 0)])).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
    assert!(!status.details().is_empty(), "no RetryInfo");
    // What was captured can be fetched all the while, and is sealed soon.
    wait_until("the chunk is sealed", || chunks(&live.data_dir, ".inprogress").is_empty());
    let bundle = get(&live.run, "/api/v1/captures/default/local/bundle.tar");
    assert_eq!(bundle.status, 200);
    let path = live.data_dir.with_extension("bundle");
    fs::write(&path, &bundle.body).unwrap();
    assert_holds(&path, &[first].into());

    live.change(&capture_text("{}"));
    wait_until("it runs again", || live.state() == "Running");
    assert_eq!(post_one(&live.run).1.status, 200);
}

#[test]
fn another_compression_or_size_seals_the_chunk_and_the_next_one_has_it() {
    let live = Live::start("{chunk: {compression: Zstd}}");
    let mut sealed = Vec::new();
    for (compression, member) in [("Gzip", ".jsonl.zst"), ("None", ".jsonl.gz"), ("Zstd", ".jsonl\0")] {
        assert_eq!(post_one(&live.run).1.status, 200);
        live.change(&capture_text(&format!("{{chunk: {{compression: {compression}}}}}")));
        wait_until("the chunk is sealed", || chunks(&live.data_dir, ".tar").len() == sealed.len() + 1);
        let new = chunks(&live.data_dir, ".tar").pop().unwrap();
        let bytes = fs::read(live.data_dir.join("chunks").join(&new)).unwrap();
        let name = format!("{}/traces-000001{member}", new.trim_end_matches(".tar"));
        assert!(bytes.starts_with(name.as_bytes()), "{:?}", String::from_utf8_lossy(&bytes[..100]));
        sealed.push(new);
    }
    assert_eq!(post_one(&live.run).1.status, 200);
    // What is there is longer than that already.
    live.change(&capture_text("{chunk: {compression: Zstd, maxBytes: 4Ki}}"));
    let big = crate::client::request(&(0..20).map(|_| next_id()).collect::<Vec<_>>(), 1_000);
    let stored = crate::client::Client::connect(live.run.http()).unwrap().post(&big).unwrap();
    assert_eq!(stored.status, 200);
    wait_until("the chunk is sealed", || chunks(&live.data_dir, ".tar").len() > sealed.len());
    live.wait_for_log(&["sealed chunk", "settings"]);
}

#[test]
fn retention_limits_take_effect_within_seconds() {
    let live = Live::start("{chunk: {maxBytes: 4Ki}}");
    for _ in 0..30 {
        let big = crate::client::request(&(0..10).map(|_| next_id()).collect::<Vec<_>>(), 1_000);
        assert_eq!(crate::client::Client::connect(live.run.http()).unwrap().post(&big).unwrap().status, 200);
    }
    assert!(chunks(&live.data_dir, ".tar").len() > 20);
    let changed = std::time::Instant::now();
    live.change(&capture_text("{chunk: {maxBytes: 4Ki}, retention: {maxBytes: 20Ki}}"));
    wait_until("the oldest are gone", || chunks(&live.data_dir, ".tar").len() <= 3);
    assert!(changed.elapsed().as_secs() < 5, "it took {:?}", changed.elapsed());
    assert_eq!(live.summary()["settings"]["retention"]["maxBytes"], 20 << 10);
}

#[test]
fn fields_that_only_a_cluster_uses_are_named_in_one_warning() {
    let live = Live::start("{collector: {replicas: 2}, storage: {claimName: shared}}");
    let log = live.run.stderr();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("no meaning without a cluster")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("spec.collector") && lines[0].contains("spec.storage"), "{log}");
    assert_eq!(post_one(&live.run).1.status, 200);
}

#[test]
fn what_was_captured_before_an_instant_is_cleared_while_stopped() {
    let clear = "retention: {clearBefore: '2100-01-01T00:00:00Z'}";
    let live = Live::start("{}");
    assert_eq!(post_one(&live.run).1.status, 200);
    live.change(&capture_text(&format!("{{{clear}}}")));
    live.wait_for_log(&["settings changed", "clearBefore"]);
    assert_eq!(post_one(&live.run).1.status, 200);
    assert_eq!(chunks(&live.data_dir, "").len(), 1, "a running capture is not cleared");
    live.change(&capture_text(&format!("{{state: Stopped, {clear}}}")));
    wait_until("it is cleared", || chunks(&live.data_dir, "").is_empty());
    live.change(&capture_text("{}"));
    wait_until("it takes spans again", || post_one(&live.run).1.status == 200);
    let cat = support::output(&["cat", live.data_dir.to_str().unwrap()]);
    assert_eq!(String::from_utf8_lossy(&cat.stdout).lines().count(), 1);
}
