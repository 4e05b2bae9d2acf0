//! The API over a real socket, with raw HTTP.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::archive::bundle::fixture::{Fixture, id, lines, walk};
use crate::archive::frame::Compression;
use crate::archive::fs::{Fs, RealFs};
use crate::archive::name::ChunkState;
use crate::clock::ManualClock;
use crate::shutdown::Shutdown;

const BASE: &str = "/api/v1/captures/default/local";

struct Server {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    metrics: WebMetrics,
    pins: Pins,
    shutdown: Shutdown,
}

struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Server {
    async fn of(fixture: &Fixture) -> Self {
        Self::start(fixture, WebLimits::default(), true).await
    }

    async fn limited(fixture: &Fixture, limits: WebLimits) -> Self {
        Self::start(fixture, limits, true).await
    }

    async fn start(fixture: &Fixture, limits: WebLimits, is_only_sender: bool) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::default()));
        let (stopped, pins) = (Arc::new(AtomicBool::new(false)), Pins::new(clock.clone()));
        let state = Arc::clone(&stopped);
        let source = CaptureSource {
            bundles: fixture.bundles(),
            pins: pins.clone(),
            describe: Arc::new(|| serde_json::json!({ "health": { "ready": true } })),
            is_stopped: Arc::new(move || state.load(Ordering::SeqCst)),
            custody: Arc::new(|| Custody::Open),
            clear: Arc::new(|_| Ok(Cleared { chunks: 3, bytes: 512 })),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let context = WebContext {
            captures: vec![source],
            access: Access::Token {
                token: AccessToken::new("secret").unwrap(),
                hint: "the program prints it at its start",
                hosts: Hosts::new(address, Vec::new()),
            },
            clock,
            metrics: WebMetrics::default(),
            admin: Admin { ready: Arc::new(|| Err("no disk".to_owned())), ..Admin::starting() },
            is_only_sender: Arc::new(move || is_only_sender),
            limits,
        };
        let (metrics, shutdown) = (context.metrics.clone(), Shutdown::new());
        shutdown.spawn("web", serve(listener, context, shutdown.clone()));
        Self { address, stopped, metrics, pins, shutdown }
    }

    /// Sends a request with the token and whole head given here; returns everything up to the end of the connection.
    async fn raw(&self, head: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        read_answer(&mut stream, Vec::new()).await
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.raw(&request(method, &format!("{BASE}{path}"), headers)).await
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers).await
    }
}

async fn read_answer(stream: &mut TcpStream, mut bytes: Vec<u8>) -> Answer {
    // A connection that was broken off may end in a reset.
    let _ = stream.read_to_end(&mut bytes).await;
    let end = memchr::memmem::find(&bytes, b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut head = head.split("\r\n");
    let status = head.next().unwrap()[9..12].parse().unwrap();
    let headers = head.map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    Answer { status, headers, body: bytes[end + 4..].to_vec() }
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let more = headers.iter().fold(String::new(), |head, (name, value)| head + name + ": " + value + "\r\n");
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer secret\r\n{more}\r\n"
    )
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn reason(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        self.json()["reason"].as_str().unwrap().to_owned()
    }
}

fn captured() -> Fixture {
    let mut fixture = Fixture::new(Compression::Zstd);
    (0..6).for_each(|_| fixture.append());
    fixture.seal();
    (0..4).for_each(|_| fixture.append());
    fixture
}

#[tokio::test]
async fn a_bundle_comes_with_everything_to_resume_it() {
    let mut fixture = captured();
    let server = Server::of(&fixture).await;
    let whole = server.get("/bundle.tar", &[]).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, "application/x-tar"));
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("cache-control"), "private, no-store, no-transform");
    assert_eq!((whole.header("referrer-policy"), whole.header("x-content-type-options")), ("no-referrer", "nosniff"));
    assert!(whole.header("content-disposition").starts_with("attachment; filename=\"default_local_20261121T"));
    assert_eq!(String::from_utf8(lines(&whole.body)).unwrap().lines().count(), 20);
    let head = server.ask("HEAD", "/bundle.tar", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["content-length", "etag", "content-disposition", "content-location"] {
        assert_eq!(head.header(name), whole.header(name), "{name}");
    }
    fixture.seal();
    fixture.append();
    // The tag is the snapshot: any server finds it again.
    let other = Server::of(&fixture).await;
    let rest = other.get("/bundle.tar", &[("Range", "bytes=700-"), ("If-Range", whole.header("etag"))]).await;
    assert_eq!((rest.status, &rest.body[..]), (206, &whole.body[700..]));
    assert_eq!(rest.header("content-range"), format!("bytes 700-{}/{}", whole.body.len() - 1, whole.body.len()));
    let location = whole.header("content-location").strip_prefix(BASE).unwrap();
    assert_eq!(other.get(location, &[]).await.body, whole.body);
    let fresh = other.get("/bundle.tar", &[]).await;
    assert_ne!(fresh.header("etag"), whole.header("etag"));
}

#[tokio::test]
async fn a_bare_range_continues_what_was_sent_or_nothing() {
    let mut fixture = captured();
    let server = Server::of(&fixture).await;
    let refused = server.get("/bundle.tar", &[("Range", "bytes=1000-")]).await;
    assert_eq!((refused.status, refused.reason()), (412, "SnapshotUnknown".to_owned()));
    let whole = server.get("/bundle.tar", &[]).await;
    fixture.append();
    let rest = server.get("/bundle.tar", &[("Range", "bytes=1000-")]).await;
    assert_eq!((rest.status, &rest.body[..]), (206, &whole.body[1000..]));
    let end = format!("bytes={}-", whole.body.len());
    assert_eq!(server.get("/bundle.tar", &[("Range", &end)]).await.status, 416);
    let other_query = server.get("/bundle.tar?service=service-1", &[("Range", "bytes=1000-")]).await;
    assert_eq!(other_query.status, 412);
    // From zero on it is a new download, and then the position leaves a choice.
    assert_eq!(server.get("/bundle.tar", &[("Range", "bytes=0-")]).await.status, 206);
    assert_eq!(server.get("/bundle.tar", &[("Range", "bytes=1000-")]).await.status, 412);
}

#[tokio::test]
async fn where_others_may_have_sent_too_a_bare_range_is_refused() {
    let fixture = captured();
    let server = Server::start(&fixture, WebLimits::default(), false).await;
    let whole = server.get("/bundle.tar", &[]).await;
    let refused = server.get("/bundle.tar", &[("Range", "bytes=1000-")]).await;
    assert_eq!((refused.status, refused.reason()), (412, "SnapshotUnknown".to_owned()));
    assert_eq!(server.get("/bundle.tar", &[("Range", "bytes=0-")]).await.body, whole.body);
    let named = [("Range", "bytes=1000-"), ("If-Range", whole.header("etag"))];
    assert_eq!(server.get("/bundle.tar", &named).await.body, whole.body[1000..]);
}

#[tokio::test]
async fn conditions_are_those_of_the_standard() {
    let fixture = captured();
    let server = Server::of(&fixture).await;
    let whole = server.get("/bundle.tar", &[]).await;
    let (tag, len) = (whole.header("etag").to_owned(), whole.body.len());
    let check = async |expected: u16, headers: &[(&str, &str)]| {
        let answer = server.get("/bundle.tar", headers).await;
        assert_eq!(answer.status, expected, "{headers:?}");
        answer
    };
    check(304, &[("If-None-Match", &format!("\"x\", W/{tag}"))]).await;
    check(200, &[("If-None-Match", "\"x\"")]).await;
    check(412, &[("If-Match", "\"x\"")]).await;
    check(206, &[("If-Match", &tag), ("Range", "bytes=5-")]).await;
    let unsatisfiable = check(416, &[("If-Range", &tag), ("Range", &format!("bytes={len}-"))]).await;
    assert_eq!(unsatisfiable.header("content-range"), format!("bytes */{len}"));
    for (range, if_range) in [("bytes=5-", "\"x\""), ("bytes=5-", &format!("W/{tag}")), ("bytes=0-1,5-6", &tag)] {
        let all = check(200, &[("If-Range", if_range), ("Range", range)]).await;
        assert_eq!(all.body.len(), len);
    }
    let last = check(206, &[("If-Range", &tag), ("Range", "bytes=-1024")]).await;
    assert_eq!(last.body, [0; 1024]);
}

#[tokio::test]
async fn what_retention_removed_is_410_with_the_reason() {
    let fixture = captured();
    let server = Server::of(&fixture).await;
    let whole = server.get("/bundle.tar", &[]).await;
    RealFs.remove(&fixture.path(1, ChunkState::Sealed)).unwrap();
    let location = whole.header("content-location").strip_prefix(BASE).unwrap();
    let tag = whole.header("etag");
    for answer in [
        server.get(location, &[]).await,
        server.get("/bundle.tar", &[("Range", "bytes=9-")]).await,
        server.get("/bundle.tar", &[("Range", "bytes=9-"), ("If-Range", tag)]).await,
    ] {
        assert_eq!((answer.status, answer.reason()), (410, "SnapshotGone".to_owned()));
    }
}

#[tokio::test]
async fn a_chunk_that_vanishes_in_the_middle_ends_the_connection() {
    let mut fixture = Fixture::new(Compression::None);
    for _ in 0..2 {
        fixture.append_large(24 << 20);
        fixture.seal();
    }
    let server = Server::of(&fixture).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request("GET", &format!("{BASE}/bundle.tar"), &[]).as_bytes()).await.unwrap();
    let mut first = vec![0; 100];
    stream.read_exact(&mut first).await.unwrap();
    assert!(server.pins.held().contains(&Fixture::name(2)));
    RealFs.remove(&fixture.path(2, ChunkState::Sealed)).unwrap();
    let answer = read_answer(&mut stream, first).await;
    let stated: usize = answer.header("content-length").parse().unwrap();
    assert!(stated > 48 << 20 && answer.body.len() < stated, "{} of {stated}", answer.body.len());
    assert!(server.shutdown.stop("test", Duration::from_secs(10)).await);
    let failed =
        server.metrics.downloads.get_or_create(&crate::telemetry::metrics::DownloadLabels { outcome: "failed" });
    assert_eq!(failed.get(), 1);
}

#[tokio::test]
async fn without_a_token_nothing_is_told() {
    let fixture = captured();
    let server = Server::of(&fixture).await;
    for path in ["", "/bundle.tar", "/chunks", "/nothing", "/../../other"] {
        let bare = format!("GET {BASE}{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = server.raw(&bare).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{path}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("prints it at its start"));
    }
    let rebound = request("GET", BASE, &[]).replace("localhost", "evil.example");
    assert_eq!(server.raw(&rebound).await.status, 421);
    let probe = "GET /livez HTTP/1.1\r\nHost: 10.0.0.7\r\nConnection: close\r\n\r\n";
    assert_eq!(server.raw(probe).await.status, 200);
    assert_eq!(server.raw(&probe.replace("livez", "readyz")).await.status, 503);
    assert_eq!(server.raw(&probe.replace("livez", "metrics")).await.status, 421);
    assert_eq!(server.raw(&request("GET", "/metrics", &[])).await.body, b"# EOF\n");
}

#[tokio::test]
async fn what_does_not_exist_looks_the_same() {
    let fixture = captured();
    let server = Server::of(&fixture).await;
    let mut answers = Vec::new();
    for path in ["/nothing", "/chunks/20261121T103045.123Z_a_7f3a_000042", "/chunks/..%2f..", "/traces/x"] {
        answers.push(server.get(path, &[]).await);
    }
    answers.push(server.raw(&request("GET", "/api/v1/captures/default/other/bundle.tar", &[])).await);
    assert!(answers.iter().all(|a| a.status == 404 && a.body == answers[0].body));
    assert_eq!(server.ask("POST", "/bundle.tar", &[]).await.status, 405);
    assert_eq!(server.get("/bundle.tar?sinc=1", &[]).await.status, 400);
}

#[tokio::test]
async fn the_inventory_is_shown() {
    let fixture = captured();
    let server = Server::of(&fixture).await;
    let captures = server.raw(&request("GET", "/api/v1/captures", &[])).await.json();
    assert_eq!(captures["captures"][0]["bundle"], format!("{BASE}/bundle.tar"));
    assert_eq!(server.get("", &[]).await.json()["health"]["ready"], true);
    let chunks = server.get("/chunks", &[]).await.json();
    assert_eq!((&chunks["chunks"][0]["state"], &chunks["chunks"][1]["items"]), (&"sealed".into(), &8.into()));
    for chunk in chunks["chunks"].as_array().unwrap() {
        let name = chunk["chunk"].as_str().unwrap();
        let tar = server.get(&format!("/chunks/{name}"), &[]).await;
        assert!(tar.header("content-disposition").contains(&format!("\"{name}.tar\"")));
        walk(&tar.body);
        let rest =
            server.get(&format!("/chunks/{name}"), &[("Range", "bytes=512-"), ("If-Range", tar.header("etag"))]).await;
        assert_eq!((rest.status, &rest.body[..]), (206, &tar.body[512..]));
    }
    let bundle = server.get("/bundle.tar", &[]).await.body;
    assert_eq!(server.get("/manifest", &[]).await.body, walk(&bundle)[0].1);
    let trace = server.get(&format!("/traces/{}", id(3)), &[]).await.json();
    assert_eq!(trace["resourceSpans"].as_array().unwrap().len(), 1);
    assert_eq!(server.get(&format!("/traces/{}", id(77)), &[]).await.status, 404);
    let one = server.get(&format!("/bundle.tar?traceId={}", id(3)), &[]).await;
    assert_eq!(String::from_utf8(lines(&one.body)).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn only_a_stopped_capture_is_cleared() {
    let fixture = captured();
    let server = Server::of(&fixture).await;
    let path = "/chunks?before=2026-11-21T10:30:00Z";
    assert_eq!(server.ask("DELETE", path, &[]).await.status, 409);
    server.stopped.store(true, Ordering::SeqCst);
    assert_eq!(server.ask("DELETE", path, &[("Origin", "http://evil.example")]).await.status, 403);
    assert_eq!(server.ask("DELETE", "/chunks", &[]).await.status, 400);
    let cleared = server.ask("DELETE", path, &[("Origin", "http://localhost")]).await;
    assert_eq!((cleared.status, &cleared.json()["deletedChunks"]), (200, &3.into()));
}

#[tokio::test]
async fn more_downloads_than_allowed_are_told_to_come_back() {
    let fixture = captured();
    let server = Server::limited(&fixture, WebLimits { downloads: 0, ..WebLimits::default() }).await;
    let answer = server.get("/bundle.tar", &[]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
}

/// A log that tests read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_answer_leaves_one_audit_line_without_the_secret() {
    let log = Log::default();
    let writer = log.clone();
    // With a second dispatcher the log's call sites are asked of all; with one alone, of the thread that
    // meets them first, which may be that of a test without a log.
    let _other = tracing::Dispatch::new(tracing_subscriber::registry());
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let fixture = captured();
    let server = Server::of(&fixture).await;
    let whole = server.get("/bundle.tar?service=service-1", &[]).await;
    let len = whole.body.len();
    server.get("/bundle.tar?service=service-1", &[("Range", "bytes=9-")]).await;
    server.ask("HEAD", "/bundle.tar", &[]).await;
    server.get("/bundle.tar", &[("Range", "bytes=99999-")]).await;
    assert!(server.shutdown.stop("test", Duration::from_secs(10)).await);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!log.contains("secret") && !log.contains("service-1"), "{log}");
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let audit: Vec<_> = lines.filter(|line| line["target"] == "audit").map(|line| line["fields"].clone()).collect();
    assert_eq!(audit.len(), 4, "{log}");
    assert!(audit.iter().all(|line| line["capture"] == "default/local" && line["principal"] == "token"));
    assert_eq!((&audit[0]["bytes"], &audit[0]["complete"]), (&len.into(), &true.into()));
    assert_eq!(audit[1]["range"], format!("9-{len}/{len}"));
    assert_eq!((&audit[2]["status"], &audit[3]["status"]), (&200.into(), &412.into()));
}
