//! `tracecapture download` against the real gateway, while writing goes on: the client, the gateway and the collector are
//! killed again and again, and the file is the same in the end.
//!
//! 100 MB as a rule; `TRACECAPTURE_BUNDLE_BYTES` and `TRACECAPTURE_BINARY` make it a gigabyte with an optimised program.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::config::AuthInfo;
use ring::digest::{Context, SHA256};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};
use tracecapture::api::TraceCaptureStatus;

use crate::access::{Setup, Site, without_nodes};
use crate::cluster::{Cluster, PATIENCE};
use crate::collector::{post, until_status};
use crate::gateway::{binary, receive};
use crate::operator::eventually;
use crate::rights;
use crate::valve::Valve;

/// Who is killed, one after the other.
///
/// The collector not so late: some megabytes are always on their way from it, and the client must miss some of them.
#[rustfmt::skip]
const KILLED: [End; 20] = [
    End::Collector, End::Client, End::Gateway, End::Collector, End::Client, End::Gateway, End::Collector,
    End::Client, End::Collector, End::Gateway, End::Collector, End::Client, End::Collector, End::Gateway,
    End::Client, End::Gateway, End::Client, End::Gateway, End::Client, End::Gateway,
];

/// An end of the way that a download takes.
#[derive(Debug, Clone, Copy)]
enum End {
    Client,
    Gateway,
    Collector,
}

/// Bytes of one request with spans.
const REQUEST: usize = 4 << 20;

/// What the gateway may take, in KiB.
const MEMORY: u64 = 64 << 10;

/// Downloads at once, once all is there.
const AT_ONCE: usize = 10;

/// Stored as it comes, so that a gigabyte of spans is a gigabyte; nothing is removed.
const SPEC: &str = "{storage: {storageClassName: ''}, chunk: {compression: None}, retention: {maxBytes: 5G}}";

/// Returns how many bytes the bundle is to have at least.
fn wanted() -> u64 {
    std::env::var("TRACECAPTURE_BUNDLE_BYTES").map_or(100_000_000, |bytes| bytes.parse().unwrap())
}

/// Returns a request with spans whose names are long; each request has others.
fn spans(n: u64) -> String {
    let filler = "0123456789abcdef".repeat(8 << 10);
    let mut body = String::with_capacity(REQUEST + (1 << 20));
    for span in 0..REQUEST / filler.len() {
        let comma = if span == 0 { "" } else { "," };
        let (start, end) = ("1795255200000000000", "1795255200000001000");
        // Writing to a string cannot fail.
        let _ = write!(
            body,
            "{comma}{{\"traceId\":\"{:032x}\",\"spanId\":\"{:016x}\",\"startTimeUnixNano\":\"{start}\",\
             \"endTimeUnixNano\":\"{end}\",\"name\":\"{n} {filler}\"}}",
            n + 1,
            span + 1
        );
    }
    format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{body}]}}]}}]}}")
}

/// A capture that fills, and a client that downloads it through a wire.
struct Download {
    site: Site,
    /// What lies between the client and the gateway.
    front: Valve,
    /// What lies between the program that sends spans and the collector.
    intake: Valve,
    dir: TempDir,
    writing: JoinHandle<()>,
    client: Child,
    flags: Vec<String>,
    /// The most memory that any of the gateways had, in KiB.
    peak: u64,
}

impl Download {
    async fn start(cluster: &Cluster, front: Valve, with: Setup<'_>, flags: Vec<String>) -> Self {
        let site = Site::start(cluster, with).await;
        front.lead_to(site.gateway.address.parse().unwrap());
        fill(&site).await;
        let has_address = |status: &TraceCaptureStatus| {
            let url = status.bundle.as_ref().and_then(|bundle| bundle.url.as_ref());
            url.is_some_and(|url| url.starts_with(with.public_url))
        };
        until_status(cluster, "the address of the bundle is told", has_address).await;
        let intake = Valve::to(site.collector.receives_at());
        let writing = tokio::spawn(write(intake.address));
        let dir = tempfile::tempdir().unwrap();
        let token = site.person("support").token.clone().unwrap();
        let auth = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
        fs::write(dir.path().join("kubeconfig"), rights::kubeconfig_by(&auth)).unwrap();
        // The first piece; how long the whole is, is not known before.
        front.let_pass(wanted() / (KILLED.len() as u64 + 1));
        let client = begin_download(&site, dir.path(), &flags);
        Self { site, front, intake, dir, writing, client, flags, peak: 0 }
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.dir.path().join(format!("bundle.tar{ending}"))
    }

    /// Kills somebody once no more bytes may pass, and starts them again.
    async fn cut(&mut self, at: End, with: Setup<'_>) {
        let is_held = async || {
            assert!(self.client.try_wait().unwrap().is_none(), "it ended: {}", self.said());
            self.front.is_held().then_some(())
        };
        eventually("the wire is held", is_held).await;
        self.peak = self.peak.max(self.site.gateway.peak());
        let n_noticed = self.n_noticed();
        match at {
            End::Client => {
                self.client.kill().await.unwrap();
                self.front.cut_off();
                self.client = begin_download(&self.site, self.dir.path(), &self.flags);
                // Who is killed notices nothing.
                return;
            }
            End::Gateway => {
                self.site.lose_gateway(with).await;
                self.front.lead_to(self.site.gateway.address.parse().unwrap());
                self.front.cut_off();
            }
            End::Collector => {
                self.site.lose_collector().await;
                self.intake.lead_to(self.site.collector.receives_at());
                // It is for the gateway to notice.
                self.front.run_out();
            }
        }
        let is_noticed = async || {
            assert!(self.client.try_wait().unwrap().is_none(), "nothing was cut: {}", self.said());
            (self.n_noticed() > n_noticed).then_some(())
        };
        eventually("the client notices the cut", is_noticed).await;
    }

    /// Returns how many cuts the clients noticed.
    fn n_noticed(&self) -> usize {
        self.said().matches("cut at byte").count()
    }

    /// Returns what the client said, in all its lives.
    fn said(&self) -> String {
        fs::read_to_string(self.dir.path().join("said")).unwrap()
    }

    /// Returns the snapshot that is downloaded, and its length.
    async fn snapshot(&self) -> (String, u64) {
        let state = self.file(".part.json");
        let read = async || {
            let state: Value = serde_json::from_slice(&fs::read(&state).ok()?).ok()?;
            Some((state["etag"].as_str()?.trim_matches('"').to_owned(), state["total"].as_u64()?))
        };
        eventually("the download has begun", read).await
    }
}

fn begin_download(site: &Site, dir: &Path, flags: &[String]) -> Child {
    let said = fs::OpenOptions::new().create(true).append(true).open(dir.join("said")).unwrap();
    Command::new(binary())
        .args(["download", "checkout", "--via", "url", "-o", "bundle.tar", "--kubeconfig", "kubeconfig"])
        .args(["--namespace", &site.cluster.namespace])
        .args(flags)
        .current_dir(dir)
        .env_remove("TRACECAPTURE_TOKEN")
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Sends spans until there are as many bytes as are wanted.
async fn fill(site: &Site) {
    for n in 0..wanted().div_ceil(REQUEST as u64) {
        assert_eq!(post(site.collector.receives_at(), &spans(n)).await.unwrap(), 200);
    }
}

/// Goes on sending, whoever is there; a collector that is down is tried again.
async fn write(address: SocketAddr) {
    let mut pulse = interval(Duration::from_millis(500));
    for n in 1_000_000.. {
        pulse.tick().await;
        let _ = post(address, &spans(n)).await;
    }
}

/// Cuts a download at each of its ends by turns, and compares what came of it with what comes at once.
async fn check(cluster: Cluster, front: Valve, with: Setup<'_>, flags: Vec<String>) {
    let began = Instant::now();
    let mut download = Box::pin(Download::start(&cluster, front, with, flags)).await;
    let (snapshot, total) = download.snapshot().await;
    for (at, n_left) in KILLED.into_iter().zip((0..KILLED.len() as u64).rev()) {
        download.cut(at, with).await;
        let left = total - fs::metadata(download.file(".part")).unwrap().len();
        assert!(left > 0, "the download was complete with {n_left} cuts left");
        download.front.let_pass(if n_left == 0 { u64::MAX } else { left / (n_left + 1) });
    }
    let status = timeout(10 * PATIENCE, download.client.wait()).await.unwrap().unwrap();
    let said = download.said();
    assert!(status.success() && said.contains("verified"), "{status}: {said}");
    download.writing.abort();
    download.peak = download.peak.max(download.site.gateway.peak());

    let replica = download.site.replica(Setup { gateway_flags: &[], ..with }).await;
    let token = download.site.person("support").token.clone().unwrap();
    let path = format!("{}/bundle.tar?snapshot={snapshot}", download.site.base());
    let mut digest = Context::new(&SHA256);
    assert_eq!(receive(&replica.address, &path, &token, |bytes| digest.update(bytes)).await, total);
    assert_eq!(digest_of(&download.file("")), digest.finish().as_ref());
    let all = join_all((0..AT_ONCE).map(|_| receive(&replica.address, &path, &token, |_| {})));
    assert!(all.await.iter().all(|len| *len == total));
    let peaks = [download.peak, replica.peak()];
    eprintln!(
        "{total} bytes, {} cuts, {} of them noticed by a client, {:.0} s; \
         memory of the gateway in KiB: {} during the cuts, {} with {AT_ONCE} downloads at once",
        KILLED.len(),
        download.n_noticed(),
        began.elapsed().as_secs_f64(),
        peaks[0],
        peaks[1]
    );
    assert!(peaks.iter().all(|peak| *peak < MEMORY), "{peaks:?}");
    replica.end().await;
    download.site.end().await;
}

fn digest_of(file: &Path) -> Vec<u8> {
    let (mut digest, mut file) = (Context::new(&SHA256), fs::File::open(file).unwrap());
    let mut buffer = vec![0; 1 << 20];
    while let n @ 1.. = file.read(&mut buffer).unwrap() {
        digest.update(&buffer[..n]);
    }
    digest.finish().as_ref().to_vec()
}

/// Makes a wire that leads nowhere yet: the port of the gateway is known once it runs.
async fn front() -> Valve {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    Valve::to(nobody)
}

#[test]
fn a_download_that_is_cut_twenty_times_is_the_same() {
    without_nodes(async |cluster| {
        let front = front().await;
        let public_url = format!("http://{}", front.address);
        let with = Setup { spec: SPEC, public_url: &public_url, ..Setup::default() };
        Box::pin(check(cluster, front, with, Vec::new())).await;
    });
}

#[test]
fn so_it_is_over_tls_with_a_private_authority() {
    without_nodes(async |cluster| {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/tls");
        let (own, authority) = (fixtures.join("first"), fixtures.join("ca.pem"));
        let front = front().await;
        let public_url = format!("https://localhost:{}", front.address.port());
        let gateway_flags = ["--tls-dir", own.to_str().unwrap()];
        let with = Setup { spec: SPEC, public_url: &public_url, gateway_flags: &gateway_flags, ..Setup::default() };
        let flags = ["--certificate-authority", authority.to_str().unwrap()];
        Box::pin(check(cluster, front, with, flags.map(ToOwned::to_owned).into())).await;
    });
}
