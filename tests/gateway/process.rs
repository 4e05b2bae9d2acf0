//! `tracecapture gateway` as its pod runs it: TLS from a mounted directory, its memory, its end.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::client::wait_until;
use crate::fake::FakeApi;
use crate::raw;
use crate::reviewer::Reviewer;
use crate::site::{BASE, SYSTEM, TOKENS, cluster};
use crate::support::tracecapture;

/// Users who may download, and their tokens: one alone may not have many downloads at a time.
const READERS: [(&str, &str); 13] = [
    ("reader-a", "anna"),
    ("reader-b", "ben"),
    ("reader-c", "cleo"),
    ("reader-d", "dora"),
    ("reader-e", "eva"),
    ("reader-f", "finn"),
    ("reader-g", "gus"),
    ("reader-h", "hal"),
    ("reader-i", "ida"),
    ("reader-j", "jon"),
    ("reader-k", "kim"),
    ("reader-l", "leo"),
    ("reader-m", "mia"),
];

/// Returns how many bytes the bundle has that a keeper makes up.
fn large() -> u64 {
    std::env::var("TRACECAPTURE_BUNDLE_BYTES").map_or(32 << 20, |bytes| bytes.parse().unwrap())
}

/// A gateway's process and the API server that it asks.
struct Process {
    child: Child,
    address: String,
    log: PathBuf,
    dir: TempDir,
    _api: Runtime,
}

/// Serves an API server over a socket.
fn serve_api(api: &FakeApi) -> (Runtime, SocketAddr) {
    let reviewer = Arc::new(Reviewer::default());
    for (token, name, audience, role) in TOKENS {
        reviewer.know(token, name, audience, role);
    }
    for (token, name) in READERS {
        reviewer.know(token, name, None, Some(("tracecapture-support", "shop")));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (client, listener) =
        runtime.block_on(async { (reviewer.client(api), tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()) });
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let client = client.clone();
            let service = service_fn(move |request: http::Request<Incoming>| {
                let client = client.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes().to_vec();
                    client.send(http::Request::from_parts(head, Body::from(body))).await
                }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (runtime, address)
}

/// Answers every request with as many bytes as a large bundle has, for as long as they are taken.
fn serve_large() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let len = large();
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-type: application/x-tar\r\ncontent-length: {len}\r\n\r\n");
                let _ = stream.write_all(head.as_bytes());
                let _ = std::io::copy(&mut std::io::repeat(b'x').take(len), &mut stream);
            });
        }
    });
    address
}

impl Process {
    /// Starts a gateway whose collectors are at `web`, and waits until it is ready.
    fn start(web: &str, more: &[&str]) -> Self {
        let (runtime, api) = serve_api(&cluster().0);
        let dir = tempfile::tempdir().unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": { "server": format!("http://{api}") } }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
            "users": [{ "name": "u", "user": {} }],
        });
        fs::write(dir.path().join("config"), config.to_string()).unwrap();
        let log = dir.path().join("log");
        let child = tracecapture(&["gateway", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--namespace", SYSTEM, "--collector-url", web])
            .args(more)
            .env("KUBECONFIG", dir.path().join("config"))
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut process = Self { child, address: String::new(), log, dir, _api: runtime };
        let started = || process.lines().into_iter().find(|line| line["message"] == "gateway started");
        wait_until("the gateway has started", || started().is_some());
        let started = started().unwrap();
        let admin = raw::Client::new(started["admin"].as_str().unwrap(), None);
        wait_until("the gateway is ready", || admin.get("/readyz", &[]).status == 200);
        started["address"].as_str().unwrap().clone_into(&mut process.address);
        process
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&self.log).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The most memory that it ever had, in KiB.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn ten_large_downloads_and_two_hundred_slow_readers_take_little_memory() {
    let process = Process::start(&serve_large(), &[]);
    let client = raw::Client::new(&process.address, Some("support-token"));
    let bundle = format!("{BASE}/bundle.tar");
    let whole = || {
        let mut started = client.begin("GET", &bundle, &[]);
        assert_eq!(std::io::copy(&mut started.stream, &mut std::io::sink()).unwrap(), large());
    };
    let idle = process.peak();
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(whole);
        }
    });
    let with_ten = process.peak();
    assert!(with_ten < 64 << 10, "{with_ten} KiB");
    // They read the head and no more.
    let reader = |n: usize| raw::Client::new(&process.address, Some(READERS[n % READERS.len()].0));
    let slow: Vec<_> = (0..200).map(|n| reader(n).begin("GET", &bundle, &[])).collect();
    assert!(slow.iter().all(|started| started.status == 200));
    whole();
    // An idle process differs from build to build; what streams take does not.
    let with_slow = process.peak();
    eprintln!(
        "memory of the gateway in KiB: {idle} idle, {with_ten} with ten downloads of {} bytes at once, {with_slow} with \
         200 slow readers and one more",
        large()
    );
    assert!(with_slow - idle < 40 << 10, "{} KiB", with_slow - idle);
}

#[test]
fn a_signal_ends_it_after_what_runs() {
    let mut process = Process::start(&serve_large(), &[]);
    let client = raw::Client::new(&process.address, Some("support-token"));
    let mut started = client.begin("GET", &format!("{BASE}/bundle.tar"), &[]);
    let id = process.child.id();
    assert!(Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status().unwrap().success());
    wait_until("it accepts no more", || TcpStream::connect(&process.address).is_err());
    assert_eq!(std::io::copy(&mut started.stream, &mut std::io::sink()).unwrap(), large());
    drop(started);
    assert!(process.child.wait().unwrap().success());
}

/// Asks over TLS; returns the first line of the answer and the certificate.
fn ask(process: &Process) -> Option<(String, Vec<u8>)> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/tls");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(fixtures.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(&process.address).unwrap();
    let mut stream = Stream::new(&mut connection, &mut socket);
    let request = format!("GET {BASE} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    // The end of a connection is not always told.
    let _ = stream.read_to_string(&mut answer);
    let certificate = connection.peer_certificates()?.first()?.to_vec();
    Some((answer.lines().next()?.to_owned(), certificate))
}

#[test]
fn certificates_are_exchanged_without_restart() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/tls");
    let dir = tempfile::tempdir().unwrap();
    let mount = |name: &str| {
        for file in ["tls.crt", "tls.key"] {
            fs::copy(fixtures.join(name).join(file), dir.path().join(file)).unwrap();
        }
    };
    let certificate = |name: &str| CertificateDer::from_pem_file(fixtures.join(name).join("tls.crt")).unwrap().to_vec();
    mount("first");
    let process = Process::start("http://127.0.0.1:1", &["--tls-dir", dir.path().to_str().unwrap()]);
    let unauthenticated = "HTTP/1.1 401 Unauthorized".to_owned();
    assert_eq!(ask(&process), Some((unauthenticated.clone(), certificate("first"))));
    // A half-written pair leaves what was there.
    fs::write(dir.path().join("tls.key"), "nonsense").unwrap();
    wait_until("the fault is told", || {
        process.lines().iter().any(|line| line["message"] == "the old certificate stays")
    });
    assert_eq!(ask(&process), Some((unauthenticated.clone(), certificate("first"))));
    mount("second");
    wait_until("the new certificate is shown", || {
        ask(&process) == Some((unauthenticated.clone(), certificate("second")))
    });
    assert!(process.dir.path().exists());
}
