//! Links: made by who may, opened by anybody, until they end.

use serde_json::json;

use crate::client::{Answer, Client, wait_until};
use crate::site::{BASE, Captured, SYSTEM, Site, cluster, options};

fn site(n_requests: u64) -> (Site, Captured) {
    let (api, key) = cluster();
    let captured = Captured::start(&api, key, n_requests);
    let site = Site::start(api, options(&captured.web));
    (site, captured)
}

fn path(link: &serde_json::Value) -> String {
    link["path"].as_str().unwrap().to_owned()
}

fn bundle(link: &serde_json::Value) -> String {
    format!("{}/bundle.tar", path(link))
}

#[test]
fn a_link_opens_a_page_and_a_bundle() {
    let (site, _captured) = site(2);
    let link = site.link(&json!({}));
    let url = link["url"].as_str().unwrap();
    assert_eq!(url, format!("https://captures.example.com{}", path(&link)));
    let page = site.ask("GET", &path(&link), &[("accept", "text/html")]);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let text = page.text();
    for part in ["shop/checkout", "about 12.3 MB", link["expires"].as_str().unwrap(), "Download</a>", "curl -f -C - -o"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains(&format!("{url}/bundle.tar")) && !text.contains("<script"), "{text}");
    let whole = site.ask("GET", &bundle(&link), &[]);
    assert_eq!((whole.status, whole.header("content-type")), (200, Some("application/x-tar")));
    assert_eq!((whole.header("content-location"), whole.header("link")), (None, None));
    let id = &link["id"].as_str().unwrap()[..12];
    assert!(text.contains(&format!("-o shop_checkout_{id}.tar ")), "{text}");
    let narrowed = site.ask("GET", &format!("{}?service=x", bundle(&link)), &[]);
    assert_eq!(narrowed.status, 400, "nobody is to believe that less comes: {}", narrowed.text());
    let exact = format!("({} bytes)", whole.body.len());
    assert!(site.ask("GET", &path(&link), &[]).text().contains(&exact));
    let head = site.ask("HEAD", &bundle(&link), &[]);
    assert_eq!(head.header("content-length"), whole.header("content-length"));
    assert_eq!(head.header("etag"), whole.header("etag"));
}

#[test]
fn scanners_and_heads_cost_the_keeper_nothing() {
    let (site, captured) = site(1);
    let link = site.link(&json!({}));
    for (method, path) in [("HEAD", path(&link)), ("GET", path(&link)), ("HEAD", bundle(&link))] {
        assert_eq!(site.ask(method, &path, &[]).status, 200);
    }
    let log = serde_json::to_string(&captured.pod.log()).unwrap();
    assert!(!log.contains("\"target\":\"audit\""), "{log}");
}

#[test]
fn a_bare_range_goes_on_with_the_same_bytes_at_any_replica() {
    let (site, captured) = site(2);
    let link = bundle(&site.link(&json!({})));
    let whole = site.ask("GET", &link, &[]);
    captured.send(1);
    let other = Site::start(site.api.clone(), options(&captured.web));
    for replica in [&site, &other] {
        let rest = replica.ask("GET", &link, &[("range", "bytes=1000-")]);
        assert_eq!((rest.status, &rest.body[..]), (206, &whole.body[1000..]));
        assert_eq!(replica.ask("GET", &link, &[]).body, whole.body);
        let end = format!("bytes={}-", whole.body.len());
        assert_eq!(replica.ask("GET", &link, &[("range", &end)]).status, 416);
    }
    let fresh = site.ask("GET", &bundle(&site.link(&json!({}))), &[]);
    assert!(fresh.body.len() > whole.body.len());
}

#[test]
fn two_replicas_that_begin_at_once_agree() {
    let (site, captured) = site(2);
    let other = Site::start(site.api.clone(), options(&captured.web));
    for _ in 0..5 {
        let link = bundle(&site.link(&json!({})));
        let bodies: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let ask = |replica| {
                let link = &link;
                scope.spawn(move || Site::ask(replica, "GET", link, &[]).body)
            };
            let asked = [ask(&site), ask(&other), ask(&site)];
            captured.send(1);
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        assert!(bodies.iter().all(|body| *body == bodies[0] && !body.is_empty()));
    }
}

#[test]
fn what_is_no_link_looks_like_nothing() {
    let (site, _captured) = site(1);
    let link = path(&site.link(&json!({})));
    let nothing = site.ask("GET", "/l/nothing", &[]);
    assert_eq!(nothing.problem(404), "NotFound");
    let (rest, last) = link.split_at(link.len() - 1);
    let tampered = format!("{rest}{}", if last == "A" { "B" } else { "A" });
    let cut = &link[..link.len() - 10];
    let other_key = link.replacen("v1.", "v1.0", 1);
    for wrong in [&tampered, cut, &other_key, &format!("{link}x"), &link.replacen("v1", "v2", 1)] {
        for end in ["", "/bundle.tar"] {
            let answer = site.ask("GET", &format!("{wrong}{end}"), &[]);
            assert_eq!((answer.status, answer.body), (404, nothing.body.clone()), "{wrong}{end}");
        }
    }
    assert_eq!(site.ask("GET", &format!("{link}/chunks"), &[]).status, 404);
    assert_eq!(site.ask("DELETE", &format!("{link}/bundle.tar"), &[]).problem(405), "MethodNotAllowed");
}

#[test]
fn links_end_by_time_by_hand_and_with_their_capture() {
    let (site, captured) = site(1);
    let other = Site::start(site.api.clone(), options(&captured.web));
    let short = site.link(&json!({ "ttlSeconds": 60 }));
    let (revoked, deleted) = (site.link(&json!({})), site.link(&json!({ "ttlSeconds": 604_800 })));
    let bearer = [("authorization", "Bearer admin-token")];
    let listed = || site.ask("GET", &format!("{BASE}/links"), &bearer).json()["links"].as_array().unwrap().clone();
    assert_eq!(listed().len(), 3);
    assert!(listed().iter().all(|link| link["createdBy"] == "ada" && link["path"].is_null()));
    let id = revoked["id"].as_str().unwrap();
    assert_eq!(
        site.ask("DELETE", &format!("/api/v1/links/{id}"), &[("authorization", "Bearer support-token")]).problem(404),
        "NoSuchLink"
    );
    assert_eq!(site.ask("DELETE", &format!("/api/v1/links/{id}"), &bearer).status, 200);
    assert_eq!(site.ask("DELETE", &format!("{BASE}/links/ffffffffffff"), &bearer).problem(404), "NoSuchLink");
    other.clock.advance(2);
    for replica in [&site, &other] {
        assert_eq!(replica.ask("GET", &bundle(&revoked), &[]).problem(410), "LinkRevoked");
    }
    let page = site.ask("GET", &path(&revoked), &[("accept", "text/html,*/*")]);
    assert_eq!((page.status, page.header("content-type")), (410, Some("text/html; charset=utf-8")));
    assert_eq!(site.ask("GET", &bundle(&short), &[]).status, 200);
    site.clock.advance(61);
    assert_eq!(site.ask("GET", &bundle(&short), &[]).problem(410), "LinkExpired");
    site.api.delete("tracecaptures", "shop", "checkout");
    wait_until("the capture is gone", || site.get("admin-token", BASE).status == 404);
    assert_eq!(site.ask("GET", &bundle(&deleted), &[]).problem(410), "CaptureDeleted");
    site.api.put("tracecaptures", crate::site::capture("shop", "checkout"));
    wait_until("the capture is back", || site.get("admin-token", BASE).status != 404);
    assert_eq!(site.ask("GET", &bundle(&deleted), &[]).problem(410), "CaptureDeleted");
    site.link(&json!({}));
    let record = site.api.get("configmaps", SYSTEM, "tracecapture-links").unwrap();
    assert_eq!(record["data"].as_object().unwrap().len(), 3, "the expired one is dropped");
}

#[test]
fn what_is_asked_of_a_link_is_checked() {
    let (site, _captured) = site(1);
    let bearer = [("authorization", "Bearer admin-token")];
    for wrong in [
        "nonsense",
        "{\"ttlSeconds\": 0}",
        "{\"ttlSeconds\": 604801}",
        "{\"ttl\": 1}",
        "{\"scope\": {\"service\": \"\"}}",
        "{\"scope\": {\"traceId\": \"x\"}}",
        "{\"scope\": {\"since\": \"yesterday\"}}",
    ] {
        let answer = site.send("POST", &format!("{BASE}/links"), &bearer, wrong.as_bytes());
        assert_eq!(answer.problem(400), "BadRequest", "{wrong}");
    }
    let long = vec![b' '; 20 << 10];
    assert_eq!(site.send("POST", &format!("{BASE}/links"), &bearer, &long).problem(400), "BadRequest");
    let scope = json!({ "since": "2026-11-21T10:00:00Z", "service": "a&snapshot=x", "traceId": "00000000000000000000000000000001" });
    let link = site.link(&json!({ "ttlSeconds": 60, "scope": scope }));
    assert_eq!(link["scope"], scope);
    let opened = site.ask("GET", &format!("{}?utm=1", bundle(&link)), &[]);
    assert_eq!(opened.status, 200, "{opened:?}");
    let whole = site.get("support-token", &format!("{BASE}/bundle.tar"));
    assert!(opened.body.len() < whole.body.len() / 2);
}

#[test]
fn keys_are_exchanged_while_links_are_in_use() {
    let (site, _captured) = site(1);
    let old = bundle(&site.link(&json!({})));
    let exchange = |site: &Site| {
        site.api.edit("secrets", SYSTEM, "tracecapture-link-keys", |secret| {
            let current = secret["data"]["link.current"].clone();
            let drawn = tracecapture::api::link::LinkKey::draw().unwrap().to_vec();
            secret["data"] = json!({ "link.current": k8s_openapi::ByteString(drawn), "link.previous": current });
        });
    };
    let key_of = |link: &str| link.split('.').nth(1).unwrap().to_owned();
    exchange(&site);
    wait_until("the new key signs", || key_of(&bundle(&site.link(&json!({})))) != key_of(&old));
    assert_eq!(site.ask("GET", &old, &[]).status, 200);
    let newer = bundle(&site.link(&json!({})));
    exchange(&site);
    wait_until("the first key is forgotten", || site.ask("GET", &old, &[]).status == 404);
    assert_eq!(site.ask("GET", &newer, &[]).status, 200);
    // A Secret that is lost ends all links and nothing else.
    site.api.delete("secrets", SYSTEM, "tracecapture-link-keys");
    wait_until("another key was made", || site.ask("GET", &newer, &[]).status == 404);
    assert_eq!(site.get("support-token", &format!("{BASE}/bundle.tar")).status, 200);
    assert_eq!(site.ask("GET", &bundle(&site.link(&json!({}))), &[]).status, 200);
}

#[test]
fn a_link_has_four_streams_at_a_time() {
    // More than what sockets hold back, so that a stream that nobody reads goes on running.
    let (site, _captured) = site(40);
    let link = bundle(&site.link(&json!({})));
    let begin = || {
        let mut client = Client::connect(&site.address).unwrap();
        client.begin(&format!("GET {link}"), &[], b"").unwrap();
        let head: Answer = client.head().unwrap();
        (client, head)
    };
    let mut running: Vec<_> = (0..4).map(|_| begin()).collect();
    assert!(running.iter().all(|(_, head)| head.status == 200));
    let (mut client, head) = begin();
    assert_eq!(client.body(head).unwrap().problem(429), "TooManyDownloadsOfLink");
    // Slow readers do not stop others.
    let bearer = [("authorization", "Bearer support-token")];
    assert_eq!(site.ask("GET", &format!("{BASE}/bundle.tar"), &bearer).status, 200);
    running.pop();
    wait_until("a place is free", || begin().1.status == 200);
    assert!(site.stop() || !running.is_empty());
}

#[test]
fn without_the_record_no_link_opens_anything() {
    let (site, _captured) = site(1);
    let link = bundle(&site.link(&json!({})));
    assert_eq!(site.ask("GET", &link, &[]).status, 200);
    site.api.delete("configmaps", SYSTEM, "tracecapture-links");
    site.clock.advance(3);
    assert_eq!(site.ask("GET", &link, &[]).problem(410), "LinkRevoked");
    let link = bundle(&site.link(&json!({})));
    site.api.fail(1000, crate::fake::Fault::Status(500, "InternalError", "down"), |verb| {
        verb.target.resource == "configmaps"
    });
    site.clock.advance(3);
    let answer = site.ask("GET", &link, &[]);
    assert_eq!((answer.problem(503).as_str(), answer.header("retry-after")), ("LinksUnavailable", Some("5")));
}

#[test]
fn what_retention_removed_is_said_and_never_replaced() {
    let (site, captured) = site(1);
    let link = bundle(&site.link(&json!({})));
    assert_eq!(site.ask("GET", &link, &[]).status, 200);
    for chunk in captured.site.chunks("") {
        std::fs::remove_file(captured.site.data_dir().join("chunks").join(chunk)).unwrap();
    }
    captured.send(1);
    for range in [&[][..], &[("range", "bytes=1000-")]] {
        let gone = site.ask("GET", &link, range);
        assert_eq!(gone.problem(410), "SnapshotGone");
        assert!(gone.json()["detail"].as_str().unwrap().contains("another link"), "{gone:?}");
    }
    assert_eq!(site.ask("GET", &bundle(&site.link(&json!({}))), &[]).status, 200);
}
