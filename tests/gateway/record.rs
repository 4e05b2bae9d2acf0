//! The record of links: who gets a place in it, and what gives its place up.

use std::time::Duration;

use serde_json::{Value, json};
use tracecapture::api::link::LinkId;
use tracecapture::clock::{Clock as _, SystemClock, Timestamp};

use crate::audit;
use crate::client::{Answer, Client, wait_until};
use crate::site::{BASE, Captured, SYSTEM, Site, capture, cluster, options};

const RECORD: &str = "tracecapture-links";

/// How many links the record holds.
const PLACES: usize = 1000;

fn site() -> Site {
    Site::start(cluster().0, options("http://127.0.0.1:1"))
}

fn ago(minutes: u64) -> Timestamp {
    SystemClock::new().now().saturating_sub(Duration::from_mins(minutes))
}

/// Returns the entry of an open link that was made some minutes ago and lives for a day.
fn entry(capture: &str, minutes: u64, more: &Value) -> Value {
    let (created, expires) = (ago(minutes), ago(minutes).saturating_add(Duration::from_hours(24)));
    let mut entry = json!({
        "capture": capture, "uid": format!("uid of {capture}"), "createdBy": "ada",
        "created": created, "expires": expires, "scope": {},
    });
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry
}

/// Returns the record by id.
fn recorded(site: &Site) -> Vec<(String, Value)> {
    let record = site.api.get("configmaps", SYSTEM, RECORD).unwrap_or_default();
    let entries = record["data"].as_object().cloned().unwrap_or_default().into_iter();
    entries.map(|(id, text)| (id, serde_json::from_str(text.as_str().unwrap()).unwrap())).collect()
}

/// Puts entries beside those that are there; returns their ids.
fn fill(site: &Site, entries: impl IntoIterator<Item = Value>) -> Vec<String> {
    let mut data = site.api.get("configmaps", SYSTEM, RECORD).unwrap_or_default()["data"].take();
    data = if data.is_null() { json!({}) } else { data };
    let ids = entries.into_iter().map(|entry| {
        let id = LinkId::draw().unwrap().to_string();
        data[&id] = entry.to_string().into();
        id
    });
    let ids = ids.collect();
    let metadata = json!({ "name": RECORD, "namespace": SYSTEM });
    site.api.put("configmaps", json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data }));
    // What was read a moment ago counts for a second or two.
    site.clock.advance(3);
    ids
}

/// Asks for a link of the capture `checkout` of a namespace.
fn make(site: &Site, token: &str, namespace: &str) -> Answer {
    let bearer = [("authorization", &*format!("Bearer {token}"))];
    site.send("POST", &format!("/api/v1/captures/{namespace}/checkout/links"), &bearer, b"{}")
}

#[test]
fn revoked_links_give_up_their_places_and_stay_revoked() {
    let log = audit::log();
    let site = site();
    let link = site.link(&json!({}));
    let (path, id) = (link["path"].as_str().unwrap(), link["id"].as_str().unwrap());
    let bearer = [("authorization", "Bearer admin-token")];
    assert_eq!(site.ask("DELETE", &format!("/api/v1/links/{id}"), &bearer).status, 200);
    fill(&site, (1..PLACES).map(|_| entry("shop/checkout", 0, &json!({ "revoked": true }))));
    assert_eq!(make(&site, "admin-token", "shop").status, 201);
    let left = recorded(&site);
    assert!(left.len() <= PLACES && left.iter().all(|(left, _)| !left.starts_with(id)), "the oldest goes first");
    for end in ["", "/bundle.tar"] {
        assert_eq!(site.ask("GET", &format!("{path}{end}"), &[]).problem(410), "LinkRevoked");
    }
    let lines = audit::lines(&log(), id);
    let told = |line: &Value| ["door", "principal", "reason"].map(|field| line[field].clone());
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines.iter().all(|line| told(line) == [json!("link"), json!(id), json!("LinkRevoked")]), "{lines:#?}");
}

#[test]
fn a_namespace_gets_no_more_places_than_it_leaves() {
    let site = site();
    site.api.put("tracecaptures", capture("other", "checkout"));
    wait_until("the other capture is known", || {
        site.get("other-token", "/api/v1/captures/other/checkout").status == 503
    });
    let ids = fill(&site, (0..PLACES / 2).map(|_| entry("shop/checkout", 1, &json!({}))));
    let refused = make(&site, "admin-token", "shop");
    assert_eq!(refused.problem(409), "TooManyLinks");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("`shop` has 500 links") && detail.contains("tracecapture link revoke"), "{detail}");
    assert_eq!(make(&site, "other-token", "other").status, 201);
    // What is advised helps.
    let bearer = [("authorization", "Bearer admin-token")];
    assert_eq!(site.ask("DELETE", &format!("/api/v1/links/{}", ids[0]), &bearer).status, 200);
    assert_eq!(make(&site, "admin-token", "shop").status, 201);
}

#[test]
fn links_that_were_replaced_in_a_status_give_way_once_nobody_uses_them() {
    let site = site();
    let used = json!({ "inStatus": true, "pin": { "snapshot": "s", "bytes": 1 } });
    // Forty captures, each of which is downloaded all the time: a link takes another one's place again and again.
    let crowd = (0..PLACES as u64 - 2).map(|n| entry(&format!("shop/crowd-{}", n % 40), n / 40 * 50, &used));
    let crowd = fill(&site, crowd);
    let mut running = entry("shop/crowd-0", 1300, &used);
    running["used"] = json!(ago(10));
    // Somebody may have taken its address from the status and come with it later.
    let unused = entry("shop/crowd-0", 1301, &json!({ "inStatus": true }));
    let kept = fill(&site, [running, unused]);
    assert_eq!(make(&site, "admin-token", "shop").status, 201);
    let left: Vec<String> = recorded(&site).into_iter().map(|(id, _)| id).collect();
    assert_eq!(left.len(), PLACES);
    assert!(kept.iter().chain(&crowd[..160]).all(|id| left.contains(id)));
}

#[test]
fn use_of_a_link_in_a_status_is_noted_while_it_lasts() {
    let (api, key) = cluster();
    // More than what sockets hold back, so that a stream that nobody reads goes on running.
    let captured = Captured::start(&api, key, 40);
    let site = Site::start(api, options(&captured.web));
    let bundle = format!("{}/bundle.tar", site.link(&json!({ "ttlSeconds": 604_800 }))["path"].as_str().unwrap());
    let used = || serde_json::from_value::<Timestamp>(recorded(&site)[0].1["used"].clone()).ok();
    let (id, mut entry) = recorded(&site).remove(0);
    entry["inStatus"] = json!(true);
    site.api.edit("configmaps", SYSTEM, RECORD, |record| record["data"][&id] = entry.to_string().into());
    site.clock.advance(3);
    let mut client = Client::connect(&site.address).unwrap();
    client.begin(&format!("GET {bundle}"), &[], b"").unwrap();
    assert_eq!(client.head().unwrap().status, 200);
    let first = used().expect("the first use");
    site.clock.advance(3600);
    wait_until("a stream that runs is noted", || used().is_some_and(|used| used > first));
    drop(client);
    wait_until("the stream has ended", || site.metrics().contains("outcome=\"cut\"} 1"));
    let second = used().unwrap();
    site.clock.advance(3600);
    assert_eq!(site.ask("GET", &bundle, &[("range", "bytes=5-9")]).status, 206);
    assert!(used().unwrap() > second, "who goes on uses it");
    // Links that nobody replaces keep their places anyway.
    let own = format!("{}/bundle.tar", site.link(&json!({ "ttlSeconds": 604_800 }))["path"].as_str().unwrap());
    assert_eq!(site.ask("GET", &own, &[("range", "bytes=5-9")]).status, 206);
    let before = site.api.get("configmaps", SYSTEM, RECORD).unwrap();
    site.clock.advance(3600);
    assert_eq!(site.ask("GET", &own, &[("range", "bytes=5-9")]).status, 206);
    assert_eq!(site.api.get("configmaps", SYSTEM, RECORD).unwrap(), before);
}

#[test]
fn every_replica_lists_and_revokes_what_another_one_made() {
    let site = site();
    let other = Site::start(site.api.clone(), options("http://127.0.0.1:1"));
    let bearer = [("authorization", "Bearer admin-token")];
    let listed = || other.ask("GET", &format!("{BASE}/links"), &bearer).json()["links"].as_array().unwrap().len();
    assert_eq!(listed(), 0);
    for n in 1..=2 {
        let link = site.link(&json!({}));
        assert_eq!(listed(), n);
        let of_capture = format!("{BASE}/links/{}", link["id"].as_str().unwrap());
        let of_any = format!("/api/v1/links/{}", link["id"].as_str().unwrap());
        let path = if n == 1 { of_capture } else { of_any };
        assert_eq!(other.ask("DELETE", &path, &bearer).status, 200, "{path}");
    }
}
