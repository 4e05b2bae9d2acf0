//! `kill -9` at random instants: whatever was acknowledged is in the archive, once.
//!
//! One data directory lives through all rounds, so recovery meets its own results again and again.
//! Requests are small and many: an acknowledgement is always about to be given when the process dies.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "writes a settings file of its own")]
#![expect(clippy::print_stdout, reason = "the seed and the counts, shown where the test fails")]

mod support;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use support::Run;

/// How often the process is killed.
const N_ROUNDS: u64 = 110;
/// Clients per transport; the appender then always has several requests in a group.
const N_CLIENTS: usize = 3;
/// The longest life of a process after it is ready, in milliseconds.
const MAX_LIFE_MS: u64 = 250;

/// The next span's id; no id is ever sent twice.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_over_a_hundred_kills() {
    let seed = seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let captures = capture_files(&scratch);
    let mut acknowledged = HashSet::new();
    for round in 0..N_ROUNDS {
        let capture = &captures[usize::try_from(round).unwrap() % captures.len()];
        let life = Duration::from_millis(random.below(MAX_LIFE_MS));
        acknowledged.extend(live_and_die(capture, &data_dir, life).await);
    }
    // The last start recovers what the last kill left; after a clean end nothing is open.
    let run = Run::start(&["--data-dir", data_dir.to_str().unwrap()]);
    assert!(run.terminate().success());
    check_archive(&data_dir, &acknowledged);
}

/// The seed of the instants: `CRASH_SEED`, or another one in each run.
fn seed() -> u64 {
    let given = std::env::var_os("CRASH_SEED");
    given.map_or(u64::from(std::process::id()) << 32 | 0x7f4a_7c15, |text| text.to_str().unwrap().parse().unwrap())
}

/// Starts a process, lets clients send for the length of `life`, kills it, and returns the acknowledged ids.
async fn live_and_die(capture: &Path, data_dir: &Path, life: Duration) -> Vec<u64> {
    let run = Run::start(&["-f", capture.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()]);
    let mut clients = JoinSet::new();
    for _ in 0..N_CLIENTS {
        clients.spawn(send_grpc(run.grpc().to_owned()));
        clients.spawn(send_http(run.http().to_owned()));
    }
    let early = tokio::time::timeout(life, clients.join_next()).await;
    assert!(early.is_err(), "a client was refused before the kill: {}", run.stderr());
    run.kill9();
    clients.join_all().await.concat()
}

/// Sends one span per request over gRPC until the connection breaks; returns the acknowledged ids.
async fn send_grpc(endpoint: String) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    let Ok(mut client) = TraceServiceClient::connect(endpoint).await else { return acknowledged };
    loop {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        match client.export(request(id)).await {
            Ok(response) if is_full_success(response.get_ref()) => acknowledged.push(id),
            Ok(response) => panic!("span {id} was refused: {response:?}"),
            Err(_) => return acknowledged,
        }
    }
}

/// Sends one span per request over HTTP/1.1 until the connection breaks; returns the acknowledged ids.
async fn send_http(endpoint: String) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    let authority = endpoint.trim_start_matches("http://");
    let Ok(stream) = TcpStream::connect(authority).await else { return acknowledged };
    let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await else {
        return acknowledged;
    };
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    loop {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let call = hyper::Request::post("/v1/traces")
            .header("host", authority)
            .header("content-type", "application/x-protobuf")
            .body(Full::new(Bytes::from(request(id).encode_to_vec())))
            .unwrap();
        match sender.send_request(call).await {
            // The status alone acknowledges: a client need not have read the body when the server dies.
            Ok(response) if response.status() == 200 => acknowledged.push(id),
            Ok(response) => panic!("span {id} was refused: {}", response.status()),
            Err(_) => return acknowledged,
        }
        if sender.ready().await.is_err() {
            return acknowledged;
        }
    }
}

/// A request with one span whose id is `id`.
fn request(id: u64) -> ExportTraceServiceRequest {
    let span = Span {
        trace_id: (u128::from(id) | 1 << 100).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        name: "charge".to_owned(),
        start_time_unix_nano: 1_800_000_000_000_000_000 + id,
        end_time_unix_nano: 1_800_000_000_000_000_500 + id,
        ..Span::default()
    };
    let scope_spans = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let resource_spans = ResourceSpans { scope_spans: vec![scope_spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

fn is_full_success(response: &ExportTraceServiceResponse) -> bool {
    response.partial_success.is_none()
}

/// Writes one `TraceCapture` per compression: each has its own way to find a torn tail.
///
/// Chunks are small, so that kills also meet a seal.
fn capture_files(scratch: &TempDir) -> Vec<PathBuf> {
    let write = |compression: &str| {
        let path = scratch.path().join(format!("{compression}.yaml"));
        let text = format!(
            "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\nmetadata: {{name: local, namespace: default}}\n\
             spec: {{chunk: {{compression: {compression}, maxBytes: 64Ki}}}}\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    };
    ["Zstd", "Gzip", "None"].map(write).to_vec()
}

/// Asserts that the archive verifies and holds every acknowledged span exactly once.
fn check_archive(data_dir: &Path, acknowledged: &HashSet<u64>) {
    let verified = support::output(&["verify", data_dir.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let found = span_ids(data_dir);
    let lost: Vec<_> = acknowledged.iter().filter(|id| !found.contains_key(id)).collect();
    let n_lost = lost.len();
    assert!(n_lost == 0, "{n_lost} of {} acknowledged spans are lost, such as {:?}", acknowledged.len(), lost.first());
    let doubled: Vec<_> = found.iter().filter(|&(_, &count)| count > 1).collect();
    let n_doubled = doubled.len();
    assert!(n_doubled == 0, "{n_doubled} spans sent once are there more than once, such as {:?}", doubled.first());
    println!("{} acknowledged, {} found, {N_ROUNDS} kills", acknowledged.len(), found.len());
    assert!(u64::try_from(acknowledged.len()).unwrap() > N_ROUNDS, "too few acknowledged spans to prove anything");
}

/// Reads the archive with `cat` and counts how often each span id occurs.
fn span_ids(data_dir: &Path) -> HashMap<u64, usize> {
    let cat = support::output(&["cat", data_dir.to_str().unwrap()]);
    assert!(cat.status.success(), "{}", String::from_utf8_lossy(&cat.stderr));
    let mut counts = HashMap::new();
    for line in String::from_utf8(cat.stdout).unwrap().lines() {
        let data: serde_json::Value = serde_json::from_str(line).unwrap();
        let scopes = array(&data, "resourceSpans").flat_map(|resource| array(resource, "scopeSpans"));
        for span in scopes.flat_map(|scope| array(scope, "spans")) {
            let id = u64::from_str_radix(span["spanId"].as_str().unwrap(), 16).unwrap();
            *counts.entry(id).or_default() += 1;
        }
    }
    counts
}

fn array<'v>(value: &'v serde_json::Value, key: &str) -> impl Iterator<Item = &'v serde_json::Value> {
    value[key].as_array().into_iter().flatten()
}

/// A small generator (xorshift64), so that a seed gives the same order of instants again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
