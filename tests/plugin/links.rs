//! `link`, `link list` and `link revoke`.

use serde_json::{Value, json};

use crate::gateway::{Plan, TOKEN};
use crate::site::{Ended, Site};

const ID: &str = "000102030405";

/// A link as the gateway shows it.
fn link() -> Value {
    json!({
        "id": ID, "capture": "shop/checkout", "createdBy": "ada", "created": "2026-11-21T10:00:00Z",
        "expires": "2036-11-21T11:00:00Z", "scope": {}, "revoked": false, "inStatus": false,
    })
}

/// What it answers to who makes one.
fn made(url: Option<&str>) -> Value {
    let mut made = link();
    made["url"] = json!(url);
    made["path"] = json!("/l/v1.key.payload.tag");
    made
}

fn site() -> Site {
    let site = Site::new();
    site.checkout();
    site
}

fn make(site: &Site, args: &[&str], url: Option<&str>) -> Ended {
    site.tell(201, made(url));
    site.check(&[&["link", "checkout"], args].concat(), 0, &[], &[])
}

#[test]
fn the_link_alone_is_on_stdout() {
    let site = site();
    let url = "https://captures.example.com/l/v1.key.payload.tag";
    let ended = make(&site, &[], Some(url));
    assert_eq!(ended.stdout, format!("{url}\n"));
    for said in [
        "the link 000102030405 opens the bundle of shop/checkout to everybody who has it, until 2036-11-21T11:00:00Z",
        "curl -f -C - -o shop_checkout_000102030405.tar 'LINK/bundle.tar'",
        "revoke it: tracecapture link revoke 000102030405 -n shop\n",
    ] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("payload"), "{}", ended.stderr);
    let asked = site.gateway.lock().asked[0].clone();
    assert_eq!((&*asked.method, &*asked.path), ("POST", "/api/v1/captures/shop/checkout/links"));
    assert_eq!(asked.body, json!({ "ttlSeconds": 3600, "scope": {} }).to_string());
}

#[test]
fn life_and_filters_are_passed_on() {
    let site = site();
    let id = "5b8efff798038103d269b633813fc60c";
    let filters = ["--since", "2026-11-21T10:00:00Z", "--until", "1795345200", "--service", "a b", "--trace-id", id];
    make(&site, &[&["--ttl", "1d12h"][..], &filters].concat(), None);
    let body: Value = serde_json::from_str(&site.gateway.lock().asked[0].body).unwrap();
    let scope =
        json!({ "since": "2026-11-21T10:00:00Z", "until": "2026-11-22T11:00:00Z", "service": "a b", "traceId": id });
    assert_eq!(body, json!({ "ttlSeconds": 129_600, "scope": scope }));
    for wrong in [&["--ttl", "soon"], &["--ttl", "0"], &["--trace-id", "x"]] {
        site.check(&[&["link", "checkout"][..], wrong].concat(), 2, &[], &[]);
    }
    assert_eq!(site.gateway.lock().asked.len(), 1);
}

#[test]
fn without_a_public_address_the_way_there_is_the_address() {
    let site = site();
    assert_eq!(make(&site, &[], None).stdout, format!("{}/l/v1.key.payload.tag\n", site.address));
    let proxied = make(&site, &["--via", "apiserver"], None);
    assert_eq!(proxied.stdout, "/l/v1.key.payload.tag\n");
    assert!(
        proxied.stderr.contains("--public-url") && proxied.stderr.contains("--via apiserver"),
        "{}",
        proxied.stderr
    );
    let service = "/api/v1/namespaces/tracecapture-system/services/http:tracecapture-gateway:http/proxy";
    assert_eq!(site.gateway.lock().asked[1].path, format!("{service}/api/v1/captures/shop/checkout/links"));
}

#[test]
fn programs_get_a_document_and_no_words() {
    let site = site();
    let ended = make(&site, &["-o", "json"], None);
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    let url = format!("{}/l/v1.key.payload.tag", site.address);
    assert_eq!((&document["url"], &document["id"], ended.stderr.as_str()), (&json!(url), &json!(ID), ""));
    site.tell(200, json!({ "links": [link()] }));
    let listed = site.check(&["link", "list", "checkout", "-o", "json"], 0, &[], &[]).stdout;
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap()["links"][0], link());
}

#[test]
fn links_are_listed_with_what_they_open() {
    let site = site();
    let mut narrow = link();
    narrow["scope"] = json!({ "service": "cart\u{1b}[2J" });
    narrow["revoked"] = json!(true);
    let mut status = link();
    status["inStatus"] = json!(true);
    site.tell(200, json!({ "links": [link(), narrow, status] }));
    let table =
        site.check(&["link", "list", "checkout"], 0, &["ID", ID, "ada", "all", "revoked", "open, in the status"], &[]);
    assert_eq!(table.stdout.lines().count(), 4);
    assert!(table.stdout.contains("service=cart\\u{1b}[2J") && !table.stdout.contains('\u{1b}'), "{}", table.stdout);
    assert_eq!(site.gateway.lock().asked[0].method, "GET");
    site.tell(200, json!({ "links": [] }));
    assert_eq!(site.check(&["link", "list", "checkout"], 0, &[], &["no links of shop/checkout"]).stdout, "");
}

#[test]
fn an_id_alone_revokes() {
    let site = site();
    site.tell(200, json!({ "id": ID, "revoked": true }));
    site.check(&["link", "revoke", "000102030405"], 0, &["revoked the link 000102030405"], &[]);
    let asked = site.gateway.lock().asked[0].clone();
    assert_eq!((&*asked.method, &*asked.path), ("DELETE", "/api/v1/links/000102030405"));
    // Of a namespace without an address for downloads by the API server.
    site.tell(200, json!({ "id": ID, "revoked": true }));
    site.check(&["link", "revoke", ID, "-n", "empty"], 0, &[], &[]);
    assert!(site.gateway.lock().asked[1].path.ends_with("/proxy/api/v1/links/000102030405"));
    site.check(&["link", "revoke", ID, "-n", "empty", "--via", "url"], 3, &[], &["no capture of the namespace empty"]);
    site.check(&["link", "revoke", "checkout"], 2, &[], &["8 to 32 hexadecimal digits"]);
    site.check(&["link", "revoke"], 2, &[], &[]);
}

#[test]
fn refusals_have_their_exit_codes() {
    let site = site();
    for (status, code) in [(401, 4), (403, 4), (404, 3), (400, 2), (409, 1), (410, 9), (503, 1), (504, 8)] {
        for args in [&["link", "checkout"][..], &["link", "list", "checkout"], &["link", "revoke", ID]] {
            site.gateway.plan([Plan::Refuse(status, "said so")]);
            let ended = site.check(args, code, &[], &["said so"]);
            assert_eq!(ended.stdout, "");
        }
    }
    site.gateway.plan([Plan::Refuse(403, "said so")]);
    site.check(&["link", "checkout"], 4, &[], &["tracecapture-admin"]);
    site.tell(403, json!({ "kind": "Status", "message": "services \"http:tracecapture-gateway:http\" is forbidden" }));
    site.check(&["link", "checkout", "--via", "apiserver"], 4, &[], &["tracecapture-proxy"]);
    site.tell(404, json!({ "kind": "Status", "message": "services \"tracecapture-gateway\" not found" }));
    site.check(&["link", "checkout", "--via", "apiserver"], 3, &[], &["--gateway-namespace"]);
    site.tell(200, json!({ "unknown": true }));
    site.check(&["link", "checkout"], 1, &[], &["cannot read the answer of the gateway"]);
    site.check(&["link", "nothing"], 3, &[], &["cannot get the capture shop/nothing"]);
    site.check(&["link", "Not_A_Name"], 2, &[], &["is not a name"]);
    site.check(&["link", "--ttl", "1h"], 2, &[], &[]);
}

#[test]
fn a_capture_may_be_called_like_a_command_and_a_token_come_from_outside() {
    let site = site();
    site.capture("shop", "list", json!({}), json!({}));
    site.tell(201, made(None));
    site.check(&["link", "--via", "apiserver", "--", "list"], 0, &["/l/"], &[]);
    site.log_in(json!({}));
    site.check(&["link", "checkout"], 4, &[], &["no token"]);
    for args in [&["link", "checkout"][..], &["link", "list", "checkout"], &["link", "revoke", ID]] {
        let mut answer = made(None);
        answer["links"] = json!([]);
        site.tell(200, answer);
        let given = site.command(args).env("TRACECAPTURE_TOKEN", TOKEN).output().unwrap();
        assert!(given.status.success(), "{args:?}: {}", String::from_utf8_lossy(&given.stderr));
    }
}
