//! `tracecapture link` against a real gateway and a real API server, and the link in the status.

use std::fs::{self, File};
use std::net::UdpSocket;
use std::process::Stdio;

use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret, Service};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tracecapture::api::{LinkStatus, TraceCapture};

use crate::cluster::{Cluster, MANAGER, on_cluster, until, until_reason};
use crate::operator::{IMAGE, Operator, eventually, exchange};
use crate::rights::Scope;

/// A gateway as a process, with the rights of the administrator: its own ones are looked at elsewhere.
struct Gateway {
    _child: Child,
    dir: TempDir,
    port: u16,
}

/// How a run of the command ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Gateway {
    async fn start(cluster: &Cluster) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tracecapture"))
            .args(["gateway", "--listen", "0.0.0.0:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--namespace", &cluster.namespace, "--watch-namespace", &cluster.namespace])
            .stdin(Stdio::null())
            .stderr(File::create(dir.path().join("log")).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut gateway = Self { _child: child, dir, port: 0 };
        let started = eventually("the gateway starts", async || {
            let log = gateway.log();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["message"] == "gateway started")
        })
        .await;
        let (_, port) = started["address"].as_str().unwrap().rsplit_once(':').unwrap();
        gateway.port = port.parse().unwrap();
        gateway
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Opens the page of a link, and returns the status and the body of the answer.
    async fn open(&self, link: &str) -> (u16, String) {
        let path = &link[link.find("/l/").unwrap()..];
        let request = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n");
        exchange(&self.address(), &request).await.unwrap()
    }

    /// Waits until a link is refused for this reason.
    async fn until_refused(&self, link: &str, reason: &str) {
        let is_refused = async || {
            let (status, body) = self.open(link).await;
            (status == 410 && body.contains(reason)).then_some(())
        };
        eventually(reason, is_refused).await;
    }
}

/// Runs the command as the administrator, who has no token of their own, in the namespace of the test.
async fn run(cluster: &Cluster, account: &str, args: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_tracecapture"))
        .args(args)
        .args(["-n", &cluster.namespace, "--gateway-namespace", &cluster.namespace, "--service-account", account])
        .env_remove("TRACECAPTURE_TOKEN")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Makes a link as an account, and returns it.
async fn link(cluster: &Cluster, account: &str, more: &[&str]) -> String {
    let ended = run(cluster, account, &[&["link", "checkout"], more].concat()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("/l/v1"), "{ended:?}");
    ended.stdout.trim_end().to_owned()
}

/// Makes service accounts, each with the rules of one of the roles that are shipped.
async fn accounts(cluster: &Cluster) {
    for (account, role) in
        [("ada", "tracecapture-admin"), ("sam", "tracecapture-support"), ("ada", "tracecapture-proxy")]
    {
        let text = include_str!("../../config/rbac/users.yaml");
        let shipped = text.split("\n---\n").map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
        let rules = shipped.into_iter().find(|found| found["metadata"]["name"] == role).unwrap()["rules"].clone();
        let name = format!("{account}-{role}");
        for object in [
            json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": account } }),
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": name }, "rules": rules }),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": name },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
                "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": cluster.namespace }],
            }),
        ] {
            cluster.apply(MANAGER, &object).await;
        }
    }
}

/// Waits until the status of a capture shows a link, or none.
pub(crate) async fn until_link(cluster: &Cluster, name: &str, is_there: bool) -> Option<LinkStatus> {
    let shown = |capture: &TraceCapture| capture.status.as_ref()?.bundle.as_ref()?.link.clone();
    let what = if is_there { "a link is shown" } else { "no link is shown" };
    let meets = |capture: Option<&TraceCapture>| capture.is_some_and(|capture| shown(capture).is_some() == is_there);
    shown(&until(&cluster.api(), name, what, meets).await.unwrap())
}

#[test]
fn a_link_is_made_listed_revoked_and_expires() {
    on_cluster(async |cluster| {
        accounts(&cluster).await;
        let gateway = Gateway::start(&cluster).await;
        let url = format!("http://{}", gateway.address());
        let operator = Operator::start_in(&cluster, Scope::Namespace, "operator-0", &["--public-url", &url]).await;
        cluster.create("checkout", "{}").await;
        until_reason(&cluster, "checkout", "DownloadReady", "Progressing").await;

        let made = link(&cluster, "ada", &["--ttl", "2h", "--service", "cart"]).await;
        assert!(made.starts_with(&format!("{url}/l/v1.")), "{made}");
        assert_eq!(gateway.open(&made).await.0, 200);
        let listed = run(&cluster, "ada", &["link", "list", "checkout", "-o", "json"]).await;
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
        let maker = format!("system:serviceaccount:{}:ada", cluster.namespace);
        assert_eq!(
            (&listed["links"][0]["createdBy"], &listed["links"][0]["scope"]),
            (&json!(maker), &json!({ "service": "cart" }))
        );
        let id = listed["links"][0]["id"].as_str().unwrap();

        for (args, code) in
            [(&["link", "checkout"][..], 4), (&["link", "list", "checkout"], 4), (&["link", "revoke", id], 3)]
        {
            let ended = run(&cluster, "sam", args).await;
            assert_eq!(ended.code, Some(code), "{ended:?}");
        }
        assert_eq!(run(&cluster, "ada", &["link", "nothing"]).await.code, Some(3));
        assert_eq!(gateway.open(&made).await.0, 200);
        let ended = run(&cluster, "ada", &["link", "revoke", id]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        gateway.until_refused(&made, "LinkRevoked").await;

        let short = link(&cluster, "ada", &["--ttl", "1s"]).await;
        gateway.until_refused(&short, "LinkExpired").await;
        by_api_server(&cluster, &gateway).await;
        operator.end().await;
    });
}

/// Goes to the gateway through the API server, which follows no address of this machine alone.
async fn by_api_server(cluster: &Cluster, gateway: &Gateway) {
    if cluster.has_nodes().await {
        return eprintln!("a kubelet writes the status of pods here: not checked by hand");
    }
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: the system only chooses the address that it would send from.
    let address = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()).map(|address| address.ip());
    let Some(address) = address.ok().filter(|address| !address.is_loopback()) else {
        return eprintln!("this machine has no address that others reach: the API server's proxy is not tried");
    };
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "tracecapture-gateway" },
        "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": gateway.port }] },
    });
    cluster.apply(MANAGER, &service).await;
    // The API server goes to addresses of pods alone, as their status has them.
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "tracecapture-gateway" },
        "spec": { "serviceAccountName": "ada", "containers": [{ "name": "gateway", "image": IMAGE }] },
    });
    cluster.apply(MANAGER, &pod).await;
    let status = json!({ "status": { "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }] } });
    let pods = cluster.api::<Pod>();
    pods.patch_status("tracecapture-gateway", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    let target = json!({ "kind": "Pod", "name": "tracecapture-gateway", "namespace": cluster.namespace });
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": { "name": "tracecapture-gateway" },
        "subsets": [{
            "addresses": [{ "ip": address, "targetRef": target }],
            "ports": [{ "name": "http", "port": gateway.port }],
        }],
    });
    cluster.apply(MANAGER, &endpoints).await;
    let reaches = async || {
        let ended = run(cluster, "ada", &["link", "list", "checkout", "--via", "apiserver"]).await;
        (ended.code == Some(0)).then_some(())
    };
    eventually("the API server passes requests on", reaches).await;
    let made = link(cluster, "ada", &["--via", "apiserver"]).await;
    assert_eq!(gateway.open(&made).await.0, 200);
    // By the right of the shipped role, which opens this Service and no other.
    let account = format!("system:serviceaccount:{}:ada", cluster.namespace);
    for (service, verb, expected) in [
        ("http:tracecapture-gateway:http", "create", "yes"),
        ("http:tracecapture-gateway:http", "update", "no"),
        ("tracecapture-gateway", "get", "no"),
        ("http:another:http", "get", "no"),
    ] {
        let asked = ["auth", "can-i", verb, &format!("services/{service}"), "--subresource=proxy", "--as", &account];
        let output = Command::new("kubectl").args(asked).args(["-n", &cluster.namespace]).output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.trim(), expected, "{verb} {service}");
    }
}

#[test]
fn a_link_in_the_status_is_for_who_reads_it_and_ends_with_the_wish() {
    on_cluster(async |cluster| {
        let gateway = Gateway::start(&cluster).await;
        let url = format!("http://{}", gateway.address());
        let operator = Operator::start_in(&cluster, Scope::Namespace, "operator-0", &["--public-url", &url]).await;
        cluster.create("checkout", "{download: {statusLink: Signed}}").await;
        let shown = until_link(&cluster, "checkout", true).await.unwrap();
        assert!(shown.url.starts_with(&format!("{url}/l/v1.")), "{shown:?}");
        assert_eq!(gateway.open(&shown.url).await.0, 200);
        let message = until_reason(&cluster, "checkout", "DownloadReady", "Progressing").await;
        assert!(message.contains("signed link in `status.bundle.link`"), "{message}");
        operator.until_visits(3).await;
        assert_eq!(until_link(&cluster, "checkout", true).await, Some(shown.clone()), "nothing changed");
        check_nowhere_else(&cluster, &shown.url, [operator.log(), operator.ask("/metrics").await.1, gateway.log()])
            .await;

        cluster.merge("checkout", json!({ "spec": { "download": { "statusLink": "None" } } })).await;
        until_link(&cluster, "checkout", false).await;
        gateway.until_refused(&shown.url, "LinkRevoked").await;
        // The capture goes, and takes its links along.
        cluster.merge("checkout", json!({ "spec": { "download": { "statusLink": "Signed" } } })).await;
        let next = until_link(&cluster, "checkout", true).await.unwrap();
        let captures: Api<TraceCapture> = cluster.api();
        captures.delete("checkout", &DeleteParams::default()).await.unwrap();
        gateway.until_refused(&next.url, "CaptureDeleted").await;
        operator.end().await;
    });
}

/// Checks that the payload of a link stands in none of these texts, nor in any object but the capture.
async fn check_nowhere_else(cluster: &Cluster, url: &str, logs: [String; 3]) {
    let all = ListParams::default();
    let objects = [
        serde_json::to_string(&cluster.api::<ConfigMap>().list(&all).await.unwrap().items),
        serde_json::to_string(&cluster.api::<Secret>().list(&all).await.unwrap().items),
        serde_json::to_string(&cluster.api::<Event>().list(&all).await.unwrap().items),
        serde_json::to_string(&cluster.api::<Service>().list(&all).await.unwrap().items),
        serde_json::to_string(&cluster.api::<Pod>().list(&all).await.unwrap().items),
    ];
    let payload = url.split('.').nth_back(1).unwrap();
    for text in objects.map(Result::unwrap).into_iter().chain(logs) {
        assert!(!text.contains(payload) && !text.contains("/l/v1"), "{text}");
    }
}
