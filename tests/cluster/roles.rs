//! Who may do what: every role at every door, as the real API server judges.

use std::fs;
use std::process::Stdio;

use serde_json::json;
use tokio::process::Command;

use crate::access::{Setup, Site, own_address, without_nodes};
use crate::gateway::binary;
use crate::rights::kubeconfig_by;

/// What everybody tries.
const DOORS: [&str; 14] = [
    "object",
    "list",
    "summary",
    "bundle",
    "head",
    "manifest",
    "chunks",
    "chunk",
    "clear",
    "make link",
    "list links",
    "revoke link",
    "revoke by id",
    "api server",
];

/// What everybody gets at each of the doors.
///
/// `object` and `api server` are the API server's own answers, the latter with a token for the gateway in the second
/// header. 409 says that a running capture is not cleared; `revoke by id` names no capture, so who may not gets 404.
#[rustfmt::skip]
const EXPECTED: [(&str, [u16; 14]); 12] = [
    //               object list  summary bundle head manifest chunks chunk clear make list revoke by id proxy
    ("viewer",      [200,   200,  200,    403,   403, 403,     403,   403,  403,  403, 403, 403,   404,  403]),
    ("view",        [200,   200,  200,    403,   403, 403,     403,   403,  403,  403, 403, 403,   404,  403]),
    ("getter",      [200,   200,  200,    403,   403, 403,     403,   403,  403,  403, 403, 403,   404,  403]),
    ("support",     [200,   200,  200,    200,   200, 200,     200,   200,  403,  403, 403, 403,   404,  200]),
    ("robot",       [401,   200,  200,    200,   200, 200,     200,   200,  403,  403, 403, 403,   404,  401]),
    ("admin",       [200,   200,  200,    200,   200, 200,     200,   200,  409,  201, 200, 200,   200,  200]),
    ("owner",       [200,   200,  200,    200,   200, 200,     200,   200,  409,  201, 200, 200,   200,  200]),
    ("neighbour",   [403,   200,  403,    403,   403, 403,     403,   403,  403,  403, 403, 403,   404,  403]),
    ("nobody",      [403,   200,  403,    403,   403, 403,     403,   403,  403,  403, 403, 403,   404,  403]),
    ("foreign",     [401,   401,  401,    401,   401, 401,     401,   401,  401,  401, 401, 401,   401,  401]),
    ("certificate", [200,   401,  401,    401,   401, 401,     401,   401,  401,  401, 401, 401,   401,  401]),
    ("anonymous",   [403,   401,  401,    401,   401, 401,     401,   401,  401,  401, 401, 401,   401,  403]),
];

/// Has everybody try every door.
pub(crate) async fn walk(site: &Site) {
    assert_eq!(EXPECTED.map(|(name, _)| name).to_vec(), site.people.iter().map(|who| who.name).collect::<Vec<_>>());
    let chunks = site.ask_as("admin", "GET", &format!("{}/chunks", site.base())).await.json();
    let chunk = chunks["chunks"][0]["chunk"].as_str().unwrap();
    let mut found = Vec::new();
    for (name, _) in EXPECTED {
        let mut row = [0; DOORS.len()];
        for (status, door) in row.iter_mut().zip(DOORS) {
            *status = knock(site, name, door, chunk).await;
        }
        found.push((name, row));
    }
    // As a whole: one wrong cell is often explained by another one.
    assert_eq!(found, EXPECTED, "{DOORS:?}");
}

/// Has somebody try a door, and returns the status.
async fn knock(site: &Site, name: &str, door: &str, chunk: &str) -> u16 {
    let base = site.base();
    let ask = async |method: &str, path: &str| site.ask_as(name, method, path).await.status;
    let made = async || site.link("admin", &base, &json!({})).await["id"].as_str().unwrap().to_owned();
    match door {
        "object" => site.object(name).await,
        "list" => ask("GET", "/api/v1/captures").await,
        "summary" => ask("GET", &base).await,
        "bundle" => ask("GET", &format!("{base}/bundle.tar")).await,
        "head" => ask("HEAD", &format!("{base}/bundle.tar")).await,
        "manifest" => ask("GET", &format!("{base}/manifest")).await,
        "chunks" => ask("GET", &format!("{base}/chunks")).await,
        "chunk" => ask("GET", &format!("{base}/chunks/{chunk}")).await,
        "clear" => ask("DELETE", &format!("{base}/chunks?before=2026-11-21T10:30:00Z")).await,
        "make link" => {
            let answer = site.ask_as(name, "POST", &format!("{base}/links")).await;
            site.note_link(&answer);
            answer.status
        }
        "list links" => ask("GET", &format!("{base}/links")).await,
        "revoke link" => ask("DELETE", &format!("{base}/links/{}", made().await)).await,
        "revoke by id" => ask("DELETE", &format!("/api/v1/links/{}", made().await)).await,
        "api server" => site.ask_by_proxy(name, &format!("{base}/bundle.tar")).await,
        other => panic!("no such door: {other}"),
    }
}

#[test]
fn every_role_gets_what_it_may_at_every_door() {
    without_nodes(async |cluster| {
        let site = Site::start(&cluster, Setup::default()).await;
        assert_eq!(site.collector.send(250).await, 200);
        walk(&site).await;
        check_lists(&site).await;
        check_who_may_not_know(&site).await;
        check_claims(&site).await;
        check_downloads(&site).await;
        site.end().await;
    });
}

/// Checks that a list shows the captures of which one may list the objects, and no others.
async fn check_lists(site: &Site) {
    for (name, namespaces) in [
        ("viewer", vec![&*site.cluster.namespace]),
        ("robot", vec![&*site.cluster.namespace]),
        ("neighbour", vec![&*site.other]),
        ("getter", vec![]),
        ("nobody", vec![]),
    ] {
        let listed = site.ask_as(name, "GET", "/api/v1/captures").await.json();
        let listed =
            listed["captures"].as_array().unwrap().iter().map(|capture| capture["namespace"].as_str().unwrap());
        assert_eq!(listed.collect::<Vec<_>>(), namespaces, "{name}");
    }
}

/// Checks that who may not know of a capture cannot tell whether there is one.
async fn check_who_may_not_know(site: &Site) {
    let there = format!("{}/bundle.tar", site.base());
    let missing = there.replace("checkout", "nothing");
    for name in ["viewer", "neighbour", "nobody", "foreign", "anonymous"] {
        let (there, missing) = (site.ask_as(name, "GET", &there).await, site.ask_as(name, "GET", &missing).await);
        let text = |body: Vec<u8>| String::from_utf8(body).unwrap().replace("checkout", "nothing");
        assert_eq!((there.status, text(there.body)), (missing.status, text(missing.body)), "{name}");
    }
    assert_eq!(site.ask_as("support", "GET", &missing).await.reason(), "NoSuchCapture");
    // The grant for one capture opens no other one's collector: that of this test has the captures of `site.base()`.
    let theirs = format!("/api/v1/captures/{}/checkout/bundle.tar", site.other);
    assert_eq!(site.ask_as("neighbour", "GET", &theirs).await.reason(), "KeeperRefuses");
    assert_eq!(site.ask_as("support", "GET", &theirs).await.status, 403);
}

/// Checks that nobody becomes somebody else by saying so.
async fn check_claims(site: &Site) {
    let bundle = format!("{}/bundle.tar", site.base());
    let nobody = format!("Bearer {}", site.person("nobody").token.as_ref().unwrap());
    let basic = "Basic YWRtaW46YWRtaW4=";
    let claims = [
        ("x-remote-user", "system:admin"),
        ("x-remote-group", "system:masters"),
        ("impersonate-user", "system:admin"),
        ("x-forwarded-user", "admin"),
        ("x-client-cert", "admin"),
        ("cookie", "token=admin"),
    ];
    for (name, value) in claims {
        let status = async |authorization: &str| {
            site.ask("GET", &bundle, &[("authorization", authorization), (name, value)]).await.status
        };
        assert_eq!((status(&nobody).await, status(basic).await), (403, 401), "{name}");
    }
    // A token in the query is no token, and is refused, lest it becomes a habit that ends up in logs.
    let token = site.person("support").token.as_ref().unwrap();
    let query = format!("{bundle}?access_token={token}");
    assert_eq!(site.ask("GET", &query, &[]).await.status, 401);
    assert_eq!(site.ask_as("support", "GET", &query).await.status, 400);
}

/// Checks with which exit code the command ends that people type, through the API server's service proxy.
async fn check_downloads(site: &Site) {
    for (name, flags, code, said) in [
        ("support", &[][..], 0, "verified"),
        ("admin", &[], 0, "verified"),
        ("viewer", &[], 4, "tracecapture-support"),
        ("neighbour", &[], 4, "tracecapture-support"),
        ("foreign", &[], 4, "401"),
        // A certificate is the API server's own business: the gateway wants a token, of an account that may.
        ("certificate", &[], 4, "--service-account"),
        ("certificate", &["--service-account", "nobody"], 4, "tracecapture-support"),
        ("certificate", &["--service-account", "support"], 0, "verified"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("kubeconfig"), kubeconfig_by(&site.person(name).auth)).unwrap();
        let namespace = &site.cluster.namespace;
        let output = Command::new(binary())
            .args(["download", "checkout", "--via", "apiserver", "--gateway-namespace", namespace])
            .args(["--kubeconfig", "kubeconfig", "--namespace", namespace])
            .args(flags)
            .current_dir(dir.path())
            .env_remove("TRACECAPTURE_TOKEN")
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.code() == Some(code) && printed.contains(said), "{name} {flags:?}: {printed}");
        assert_eq!(dir.path().join("checkout.tar").exists(), code == 0, "{name} {flags:?}");
    }
    // Nobody is trusted here, so all of them have the API server's address.
    let lines = site.gateway.lines();
    assert!(lines.iter().any(|line| line["client"] == own_address().to_string()), "{}", site.gateway.log());
}
