//! The real operator as a process, with the rights of `config/rbac` and no others.

use std::fs::{self, File};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

use crate::audit;
use crate::cluster::{Cluster, PATIENCE};
use crate::rights::{self, Scope};

/// The image of collector pods. It is never pulled: where there are nodes, pods say that it cannot be.
pub(crate) const IMAGE: &str = "tracecapture.invalid/tracecapture:test";

/// What an operator tries to read and does without where it may not: it has no rights beyond its namespaces.
const ALSO_WITHOUT: [&str; 2] = ["apiextensions.k8s.io/customresourcedefinitions", "storage.k8s.io/storageclasses"];

/// Lines of the log that are shown where a test fails.
const SHOWN_LINES: usize = 40;

/// A running operator; dropped, it is killed.
pub(crate) struct Operator {
    child: Child,
    dir: TempDir,
    admin: String,
    cluster: Cluster,
}

impl Operator {
    /// Starts an operator that watches the namespace of the test and is installed there, too.
    pub(crate) async fn start(cluster: &Cluster, identity: &str) -> Self {
        Self::start_in(cluster, Scope::Namespace, identity, &[]).await
    }

    /// Starts it with a scope and further flags.
    pub(crate) async fn start_in(cluster: &Cluster, scope: Scope, identity: &str, flags: &[&str]) -> Self {
        rights::grant(cluster, scope).await;
        let dir = tempfile::tempdir().unwrap();
        let kubeconfig = dir.path().join("kubeconfig");
        fs::write(&kubeconfig, rights::kubeconfig(cluster, rights::ACCOUNT).await).unwrap();
        let namespace = &*cluster.namespace;
        let watched: &[&str] = if scope == Scope::Namespace { &["--watch-namespace", namespace] } else { &[] };
        let child = Command::new(env!("CARGO_BIN_EXE_tracecapture"))
            .args(["operator", "--image", IMAGE, "--namespace", namespace, "--identity", identity])
            .args(["--admin-listen", "127.0.0.1:0", "--revisit-seconds", "5"])
            .args(watched)
            .args(flags)
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stderr(File::create(dir.path().join("log")).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut operator = Self { child, dir, admin: String::new(), cluster: cluster.clone() };
        let started = eventually("the operator starts", async || {
            assert!(operator.child.try_wait().unwrap().is_none(), "it ended: {}", operator.log());
            operator.lines().into_iter().find(|line| line["message"] == "operator started")
        });
        let started = started.await;
        operator.admin.push_str(started["admin"].as_str().unwrap());
        operator
    }

    /// Returns what it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Returns the whole lines of its log.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Asks its admin port.
    pub(crate) async fn ask(&self, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: operator\r\nconnection: close\r\n\r\n");
        exchange(&self.admin, &request).await.unwrap()
    }

    /// Returns the sum of a metric over its labels.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.ask("/metrics").await;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let named = lines.filter(|line| line.split(['{', ' ']).next() == Some(name));
        named.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    pub(crate) async fn until_leading(&self) {
        eventually("it leads", async || (self.metric("tracecapture_operator_leader").await > 0).then_some(())).await;
    }

    /// Waits until it has visited so often more.
    pub(crate) async fn until_visits(&self, n_more: u64) {
        let name = "tracecapture_operator_reconciles_total";
        let before = self.metric(name).await;
        let enough = async || (self.metric(name).await >= before + n_more).then_some(());
        eventually("it visits", enough).await;
    }

    /// Ends it as the kubelet does, and checks that it ended well and was never refused anything.
    pub(crate) async fn end(mut self) {
        let status = self.signal("TERM").await;
        assert!(status.success(), "{status}: {}", self.log());
        let log = self.log();
        for word in ["panicked", "\"reason\":\"Forbidden\""] {
            assert!(!log.contains(word), "{word} in {log}");
        }
        let refused = audit::refused(&self.cluster);
        assert!(refused.iter().all(|(verb, what)| verb == "get" && ALSO_WITHOUT.contains(&&**what)), "{refused:?}");
    }

    /// Ends it at once, as the loss of a node does.
    pub(crate) async fn kill(mut self) {
        self.signal("KILL").await;
    }

    async fn signal(&mut self, signal: &str) -> ExitStatus {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().await.unwrap().success());
        timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the log of the operator ends:\n{}", lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n"));
        }
    }
}

/// Looks again and again until there is something to see.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut pulse = interval(Duration::from_millis(100));
    let found = timeout(PATIENCE, async {
        loop {
            pulse.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Sends a request that asks to close the connection, and returns the status and the body.
pub(crate) async fn exchange(address: &str, request: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    Ok((head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned()))
}
