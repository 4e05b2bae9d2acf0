//! A collector as its pod would be: settings from the mounted `ConfigMap`, figures in the status.
//!
//! No kubelet runs in the tier, so the tests do what one would: lay out the mounted files, run
//! the process, and write the status of the pod.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tracecapture::api::names::SETTINGS_ANNOTATION;
use tracecapture::api::{TraceCapture, TraceCaptureStatus};

use crate::access::without_nodes;
use crate::cluster::{Cluster, until, until_reason};
use crate::gateway::binary;
use crate::operator::{Operator, eventually, exchange};
use crate::rights::Scope;
use crate::volumes;

/// The pod of all tests here.
const POD: &str = "checkout-collector-0";

/// A volume that is not made by any class, so that the test can make it.
pub(crate) const SPEC: &str = "{storage: {storageClassName: ''}, chunk: {maxAgeSeconds: 3600}}";

/// A collector process and what a kubelet would hold for it.
pub(crate) struct Collector {
    child: Child,
    dir: TempDir,
    http: String,
    pub(crate) web: String,
    pub(crate) admin: String,
}

impl Collector {
    /// Starts the process on the settings that the operator wrote; it logs from a level on.
    async fn start(cluster: &Cluster, level: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("settings")).unwrap();
        mount(dir.path(), &settings(cluster, 1).await);
        let (child, [http, web, admin]) = begin(dir.path(), level).await;
        Self { child, dir, http, web, admin }
    }

    /// Kills it as the loss of a node does, and starts another one on its volume, at other addresses.
    pub(crate) async fn lose(&mut self) {
        self.child.kill().await.unwrap();
        let (child, [http, web, admin]) = begin(self.dir.path(), "info").await;
        (self.child, self.http, self.web, self.admin) = (child, http, web, admin);
    }

    /// Sends spans over OTLP/HTTP and returns the status of the answer.
    pub(crate) async fn send(&self, n_spans: u64) -> u16 {
        let span = |n: u64| {
            json!({ "traceId": format!("{:032x}", 1), "spanId": format!("{:016x}", n + 1), "name": "GET /",
            "startTimeUnixNano": "1795255200000000000", "endTimeUnixNano": "1795255200000001000" })
        };
        let spans: Vec<Value> = (0..n_spans).map(span).collect();
        let body = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] }).to_string();
        post(self.receives_at(), &body).await.unwrap()
    }

    /// Returns where it takes OTLP over HTTP.
    pub(crate) fn receives_at(&self) -> SocketAddr {
        self.http.parse().unwrap()
    }

    /// Returns what it logged since it was started last.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of the collector:\n{}", self.log());
        }
    }
}

/// Starts the process of a collector, and returns it with its addresses: OTLP over HTTP, its HTTP API, its admin port.
async fn begin(dir: &Path, level: &str) -> (Child, [String; 3]) {
    let child = Command::new(binary())
        .args(["collector", "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
        .args(["--web-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--pod-name", POD])
        .arg("--settings-dir")
        .arg(dir.join("settings"))
        .arg("--data-dir")
        .arg(dir.join("data"))
        .env("RUST_LOG", level)
        .stdin(Stdio::null())
        .stderr(File::create(dir.join("log")).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ready = eventually("the collector is ready", async || {
        let log = fs::read_to_string(dir.join("log")).unwrap();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"] == "collector ready")
    })
    .await;
    (child, ["http", "web", "admin"].map(|field| ready[field].as_str().unwrap().to_owned()))
}

/// Sends OTLP in JSON to a collector and returns the status of the answer.
pub(crate) async fn post(address: SocketAddr, body: &str) -> std::io::Result<u16> {
    let request = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: collector\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    Ok(exchange(&address.to_string(), &request).await?.0)
}

/// Exchanges the mounted files as the kubelet does: they lead through `..data`, which is renamed over.
fn mount(dir: &Path, settings: &ConfigMap) {
    let settings_dir: PathBuf = dir.join("settings");
    let version = format!("..{}", settings.resource_version().unwrap());
    fs::create_dir(settings_dir.join(&version)).unwrap();
    for (name, text) in settings.data.as_ref().unwrap() {
        fs::write(settings_dir.join(&version).join(name), text).unwrap();
        let link = settings_dir.join(name);
        if !link.is_symlink() {
            symlink(Path::new("..data").join(name), link).unwrap();
        }
    }
    symlink(&version, settings_dir.join("..data_tmp")).unwrap();
    fs::rename(settings_dir.join("..data_tmp"), settings_dir.join("..data")).unwrap();
}

/// Waits until the operator wrote the settings of a generation.
async fn settings(cluster: &Cluster, generation: i64) -> ConfigMap {
    let is_written = |settings: Option<&ConfigMap>| {
        let text = settings.and_then(|settings| settings.data.as_ref()?.get("capture.yaml"));
        let capture: Option<Value> = text.and_then(|text| serde_saphyr::from_str(text).ok());
        capture.is_some_and(|capture| capture["metadata"]["generation"] == generation)
    };
    let what = format!("the settings are of generation {generation}");
    until(&cluster.api(), "checkout-settings", &what, is_written).await.unwrap()
}

/// Says of the pod what a kubelet would say of one that runs and is ready.
async fn make_ready(cluster: &Cluster) {
    until(&cluster.api(), POD, "the pod is made", |pod: Option<&Pod>| pod.is_some()).await;
    let conditions: Vec<Value> = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
        .map(|kind| json!({ "type": kind, "status": "True", "lastTransitionTime": "2026-11-21T10:00:00Z" }))
        .into();
    let status = json!({ "status": { "phase": "Running", "conditions": conditions } });
    cluster.api::<Pod>().patch_status(POD, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
}

pub(crate) async fn until_status(
    cluster: &Cluster,
    what: &str,
    holds: impl Fn(&TraceCaptureStatus) -> bool,
) -> TraceCaptureStatus {
    let meets =
        |capture: Option<&TraceCapture>| capture.and_then(|capture| capture.status.as_ref()).is_some_and(&holds);
    until(&cluster.api(), "checkout", what, meets).await.unwrap().status.unwrap()
}

fn condition<'a>(status: &'a TraceCaptureStatus, kind: &str) -> (&'a str, &'a str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
    (&found.status, &found.reason)
}

/// Brings a capture up to the point where spans are taken.
async fn bring_up(cluster: &Cluster, spec: &str) -> (Collector, Operator) {
    bring_up_at(cluster, spec, "https://captures.example.com/", "info").await
}

/// As [`bring_up`], with the public address of the gateway; the processes log from a level on.
pub(crate) async fn bring_up_at(cluster: &Cluster, spec: &str, public_url: &str, level: &str) -> (Collector, Operator) {
    bring_up_in(cluster, Scope::Namespace, spec, public_url, level).await
}

async fn bring_up_in(
    cluster: &Cluster,
    scope: Scope,
    spec: &str,
    public_url: &str,
    level: &str,
) -> (Collector, Operator) {
    // The first operator writes settings and key; the second one is told where the collector answers.
    let operator = Operator::start_in(cluster, scope, "operator-0", &[]).await;
    cluster.create("checkout", spec).await;
    volumes::bind(cluster, "").await;
    let collector = Collector::start(cluster, level).await;
    operator.end().await;
    let url = format!("http://{}", collector.web);
    let flags = ["--collector-url", &url, "--public-url", public_url];
    // The operator's own spans would be lost among those of its client.
    let debug: &[&str] = if level == "info" { &[] } else { &["--debug"] };
    let operator = Operator::start_in(cluster, scope, "operator-1", &[&flags, debug].concat()).await;
    make_ready(cluster).await;
    until_reason(cluster, "checkout", "Ready", "Receiving").await;
    (collector, operator)
}

/// Has an operator annotate the pod of a collector, since that works by earlier settings.
pub(crate) async fn be_annotated(cluster: &Cluster, scope: Scope) {
    let (_collector, operator) = bring_up_in(cluster, scope, SPEC, "https://captures.example.com/", "info").await;
    cluster.merge("checkout", json!({ "spec": { "state": "Stopped" } })).await;
    until_annotated(cluster, "2").await;
    operator.end().await;
}

/// Waits until the pod names the generation of the settings that it is to take up.
async fn until_annotated(cluster: &Cluster, generation: &str) {
    let is_annotated = |pod: Option<&Pod>| {
        pod.is_some_and(|pod| pod.annotations().get(SETTINGS_ANNOTATION).is_some_and(|n| n == generation))
    };
    until(&cluster.api(), POD, "it is annotated", is_annotated).await;
}

#[test]
fn the_status_tells_what_the_collector_holds() {
    without_nodes(async |cluster| {
        let (collector, operator) = bring_up(&cluster, SPEC).await;
        // The set's own controller counts the pod, at a time of its own.
        let is_up = |status: &TraceCaptureStatus| status.storage.is_some() && status.ready_replicas == Some(1);
        let status = until_status(&cluster, "the collector's report is told", is_up).await;
        for kind in ["Ready", "StorageReady", "ReceiversReady", "RetentionHealthy", "RecoveryComplete"] {
            assert_eq!(condition(&status, kind).0, "True", "{:?}", status.conditions);
        }
        assert_eq!((status.replicas, status.ready_replicas), (Some(1), Some(1)));
        assert_eq!(status.last_span_time, None);
        assert_eq!(collector.send(250).await, 200);
        // The keeper looks at the directory at a time of its own, too.
        let told = |status: &TraceCaptureStatus| {
            let on_disk: u64 = chunk_sizes(collector.dir.path()).iter().sum();
            let storage = status.storage.as_ref();
            let used = storage.filter(|storage| storage.in_progress_chunks == 1).map(|storage| storage.used_bytes);
            status.received.as_ref().is_some_and(|received| received.spans == 250)
                && used.is_some_and(|used| u64::try_from(used).unwrap() == on_disk)
        };
        let status = until_status(&cluster, "250 spans are told, and what they take on the disk", told).await;
        let storage = status.storage.unwrap();
        assert_eq!((storage.limit_bytes, storage.in_progress_chunks, storage.chunks), (1_000_000_000, 1, 0));
        assert!(status.last_span_time.is_some());
        let path = format!("/api/v1/captures/{}/checkout/bundle.tar", cluster.namespace);
        assert_eq!(status.bundle.unwrap().url, Some(format!("https://captures.example.com{path}")));
        check_no_secrets(&cluster, &operator, &collector).await;
        operator.end().await;
    });
}

/// Checks that nothing but the Secret holds the key of the installation, and nothing at all a grant.
async fn check_no_secrets(cluster: &Cluster, operator: &Operator, collector: &Collector) {
    let secret = cluster.api::<Secret>().get("tracecapture-keys").await.unwrap();
    let key = serde_json::to_value(&secret).unwrap()["data"]["grant.pkcs8"].as_str().unwrap().to_owned();
    let all = ListParams::default();
    let texts = [
        serde_json::to_string(&cluster.api::<ConfigMap>().list(&all).await.unwrap().items),
        serde_json::to_string(&cluster.api::<Event>().list(&all).await.unwrap().items),
        serde_json::to_string(&cluster.api::<Pod>().list(&all).await.unwrap().items),
        serde_json::to_string(&cluster.api::<TraceCapture>().list(&all).await.unwrap().items),
        Ok(operator.log()),
        Ok(operator.ask("/metrics").await.1),
        Ok(collector.log()),
    ];
    for text in texts.map(Result::unwrap) {
        // A grant begins with its version and a JSON object in base64; the key's last bytes are its private half.
        assert!(!text.contains("v1.ey") && !text.contains(&key) && !text.contains(&key[24..56]), "{text}");
    }
}

/// Returns the sizes of the files among the chunks.
fn chunk_sizes(dir: &Path) -> Vec<u64> {
    let entries = fs::read_dir(dir.join("data/chunks")).unwrap();
    entries
        .map(|entry| entry.unwrap().metadata().unwrap())
        .filter(fs::Metadata::is_file)
        .map(|meta| meta.len())
        .collect()
}

#[test]
fn a_stop_reaches_the_collector_through_its_settings() {
    without_nodes(async |cluster| {
        let (collector, operator) = bring_up(&cluster, SPEC).await;
        assert_eq!(collector.send(1).await, 200);
        cluster.merge("checkout", json!({ "spec": { "state": "Stopped" } })).await;
        let written = settings(&cluster, 2).await;
        until_annotated(&cluster, "2").await;
        // The kubelet takes its time all the same: until then pods work by what they have.
        until_reason(&cluster, "checkout", "ReceiversReady", "SettingsPending").await;
        mount(collector.dir.path(), &written);
        until_reason(&cluster, "checkout", "Ready", "Stopped").await;
        assert_eq!(collector.send(1).await, 503);
        cluster.merge("checkout", json!({ "spec": { "state": "Running" } })).await;
        mount(collector.dir.path(), &settings(&cluster, 3).await);
        until_reason(&cluster, "checkout", "Ready", "Receiving").await;
        assert_eq!(collector.send(1).await, 200);
        operator.end().await;
    });
}

#[test]
fn a_capture_ends_by_itself_at_its_time() {
    without_nodes(async |cluster| {
        let (collector, operator) = bring_up(&cluster, SPEC).await;
        assert_eq!(collector.send(1).await, 200);
        let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 5;
        let soon = tracecapture::clock::Timestamp::from_unix_nanos(soon * 1_000_000_000).to_string();
        cluster.merge("checkout", json!({ "spec": { "endTime": soon } })).await;
        mount(collector.dir.path(), &settings(&cluster, 2).await);
        let is_over = |status: &TraceCaptureStatus| condition(status, "Completed") == ("True", "TimeReached");
        let status = until_status(&cluster, "it is completed", is_over).await;
        assert_eq!(status.stop_time.as_deref(), Some(&*soon));
        until_reason(&cluster, "checkout", "Ready", "Completed").await;
        assert_eq!(collector.send(1).await, 503);
        operator.end().await;
    });
}
