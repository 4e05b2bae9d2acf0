//! The real gateway as a process, with the rights of `config/rbac` and no others, and plain requests to it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::audit;
use crate::cluster::{Cluster, PATIENCE};
use crate::operator::{eventually, exchange};
use crate::rights::{self, GATEWAY};

/// Lines of the log that are shown where a test fails.
const SHOWN_LINES: usize = 40;

/// A running gateway; dropped, it is killed.
pub(crate) struct Gateway {
    child: Child,
    dir: TempDir,
    /// Where it is asked on this machine: it listens on every address.
    pub(crate) address: String,
    admin: String,
    cluster: Cluster,
}

/// What a gateway is started with.
#[derive(Clone)]
pub(crate) struct Started<'a> {
    /// Where the collector of every capture is.
    pub(crate) collector: &'a str,
    /// The namespaces of captures.
    pub(crate) watched: &'a [&'a str],
    /// From which level on it logs.
    pub(crate) level: &'a str,
    pub(crate) flags: &'a [&'a str],
}

/// The whole answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// Returns the program under test: figures are taken with an optimised one.
pub(crate) fn binary() -> OsString {
    std::env::var_os("TRACECAPTURE_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_tracecapture").into())
}

impl Gateway {
    /// Starts it, installed in the namespace of the test, and waits until it is ready.
    pub(crate) async fn start(cluster: &Cluster, with: Started<'_>) -> Self {
        let Started { collector, watched, level, flags } = with;
        rights::grant_gateway(cluster, watched).await;
        let dir = tempfile::tempdir().unwrap();
        let kubeconfig = dir.path().join("kubeconfig");
        fs::write(&kubeconfig, rights::kubeconfig(cluster, GATEWAY).await).unwrap();
        let child = Command::new(binary())
            .args(["gateway", "--namespace", &cluster.namespace, "--collector-url", collector])
            .args(["--listen", "0.0.0.0:0", "--admin-listen", "127.0.0.1:0"])
            .args(watched.iter().flat_map(|namespace| ["--watch-namespace", namespace]))
            .args(flags)
            .env("KUBECONFIG", kubeconfig)
            .env("RUST_LOG", level)
            .stdin(Stdio::null())
            .stderr(File::create(dir.path().join("log")).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut gateway = Self { child, dir, address: String::new(), admin: String::new(), cluster: cluster.clone() };
        let started = eventually("the gateway starts", async || {
            assert!(gateway.child.try_wait().unwrap().is_none(), "it ended: {}", gateway.log());
            gateway.lines().into_iter().find(|line| line["message"] == "gateway started")
        })
        .await;
        let address = started["address"].as_str().unwrap();
        gateway.address = address.replace("0.0.0.0", "127.0.0.1");
        gateway.admin.push_str(started["admin"].as_str().unwrap());
        let ready = "GET /readyz HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n";
        let is_ready = async || (exchange(&gateway.admin, ready).await.unwrap().0 == 200).then_some(());
        eventually("the gateway is ready", is_ready).await;
        gateway
    }

    /// Returns what it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Returns the whole lines of its log.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Returns its metrics.
    pub(crate) async fn metrics(&self) -> String {
        let request = "GET /metrics HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n";
        exchange(&self.admin, request).await.unwrap().1
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Returns the most memory that it ever had, in KiB.
    pub(crate) fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Ends it at once, as the loss of a node does.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Ends it as the kubelet does, and checks that it ended well and was never refused anything.
    pub(crate) async fn end(mut self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().await.unwrap().success());
        let status = timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
        assert!(!self.log().contains("panicked"), "{}", self.log());
        let requests = audit::requests_of(&self.cluster, GATEWAY).unwrap_or_default();
        let refused: Vec<_> = requests.iter().filter(|request| !request.is_allowed).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the log of the gateway ends:\n{}", lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n"));
        }
    }
}

/// Sends a request without TLS and reads the whole answer.
pub(crate) async fn ask(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask_with(address, &format!("{method} {path}"), headers, "").await
}

/// As [`ask`], with a body.
pub(crate) async fn ask_with(address: &str, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = begin(address, line, headers, body).await;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).unwrap();
    Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head, body }
}

/// Sends a request without TLS; its answer is left to the caller.
async fn begin(address: &str, line: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let given = headers.iter().fold(String::new(), |lines, (name, value)| format!("{lines}{name}: {value}\r\n"));
    let len = body.len();
    let rest = format!("host: {address}\r\nconnection: close\r\ncontent-length: {len}\r\n{given}\r\n{body}");
    stream.write_all(format!("{line} HTTP/1.1\r\n{rest}").as_bytes()).await.unwrap();
    stream
}

/// Asks with a token, hands the body of the answer piece by piece to `take`, and returns how long it was.
pub(crate) async fn receive(address: &str, path: &str, token: &str, mut take: impl FnMut(&[u8])) -> u64 {
    let bearer = format!("Bearer {token}");
    let mut stream = begin(address, &format!("GET {path}"), &[("authorization", &bearer)], "").await;
    let (mut buffer, mut head, mut len) = (vec![0; 256 << 10], Vec::new(), 0);
    while let n @ 1.. = stream.read(&mut buffer).await.unwrap() {
        let mut bytes = &buffer[..n];
        if len == 0 {
            head.extend_from_slice(bytes);
            let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head[..end]));
            bytes = &bytes[bytes.len() - (head.len() - end - 4)..];
        }
        take(bytes);
        len += bytes.len() as u64;
    }
    len
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.head))
    }

    /// Returns the reason of a problem document; empty where it is none.
    pub(crate) fn reason(&self) -> String {
        let document: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        document["reason"].as_str().unwrap_or_default().to_owned()
    }
}
