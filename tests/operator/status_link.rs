//! `download.statusLink: Signed`: what stands in the status, how often it changes, and where it stands nowhere else.

use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tracecapture::api::link::{Link, LinkKey, LinkKeys, Refused};
use tracecapture::clock::Timestamp;
use tracecapture::operator::options::Options;

use crate::fake::{FakeApi, Fault};
use crate::site::{SHOP, SYSTEM, Site, capture, minutes, options, pass};

const RECORD: &str = "tracecapture-links";

async fn signed() -> Site {
    Site::at_rest(capture(json!({ "download": { "statusLink": "Signed" } }))).await
}

/// The link in the status.
fn shown(site: &Site) -> Value {
    site.api.get("tracecaptures", SHOP, "checkout").unwrap()["status"]["bundle"]["link"].clone()
}

/// The record: one entry for each link.
fn recorded(api: &FakeApi) -> Vec<Value> {
    let record = api.get("configmaps", SYSTEM, RECORD).unwrap();
    let entries = record["data"].as_object().unwrap().values();
    entries.map(|entry| serde_json::from_str(entry.as_str().unwrap()).unwrap()).collect()
}

/// Changes the one entry of the record.
fn change_record(site: &Site, change: impl FnOnce(&mut Value)) {
    site.api.edit("configmaps", SYSTEM, RECORD, |record| {
        let entry = record["data"].as_object_mut().unwrap().values_mut().next().unwrap();
        let mut parsed: Value = serde_json::from_str(entry.as_str().unwrap()).unwrap();
        change(&mut parsed);
        *entry = parsed.to_string().into();
    });
}

/// What a gateway makes of the address, with the keys that lie in the Secret.
fn open(site: &Site, url: &Value) -> Result<Link, Refused> {
    let secret = site.api.get("secrets", SYSTEM, "tracecapture-link-keys").unwrap();
    let key: ByteString = serde_json::from_value(secret["data"]["link.current"].clone()).unwrap();
    let keys = LinkKeys::new(LinkKey::new(&key.0).unwrap(), None);
    let text = url.as_str().unwrap().strip_prefix("https://captures.example.com/l/").unwrap();
    keys.verify(text, "2026-11-21T13:00:00Z".parse().unwrap())
}

fn set(site: &Site, value: &str) {
    site.api
        .edit("tracecaptures", SHOP, "checkout", |object| object["spec"]["download"] = json!({ "statusLink": value }));
}

#[tokio::test(start_paused = true)]
async fn a_link_stands_in_the_status_and_a_condition_says_so() {
    let site = signed().await;
    let (link, uid) =
        (shown(&site), site.api.get("tracecaptures", SHOP, "checkout").unwrap()["metadata"]["uid"].clone());
    let opened = open(&site, &link["url"]).unwrap();
    assert_eq!((json!(opened.uid), json!(opened.id.prefix())), (uid, link["id"].clone()));
    let expires: Timestamp = link["expirationTime"].as_str().unwrap().parse().unwrap();
    assert_eq!(expires, Timestamp::from_unix_nanos(opened.expires * 1_000_000_000));
    let (status, reason, message) = site.condition("checkout", "DownloadReady");
    assert_eq!((&*status, &*reason), ("True", "SignedLink"));
    assert!(message.contains("status.bundle.link") && message.contains("statusLink: None"), "{message}");
    let [record] = &recorded(&site.api)[..] else { panic!("{:?}", recorded(&site.api)) };
    assert_eq!((&record["capture"], &record["inStatus"]), (&json!("shop/checkout"), &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn an_idle_day_writes_two_renewals() {
    let (api, options) = (FakeApi::new(), Options { revisit: minutes(5), ..options("operator-0") });
    api.put("tracecaptures", capture(json!({ "download": { "statusLink": "Signed" } })));
    let site = Site::with(api, options);
    pass(minutes(6)).await;
    site.api.settle(SHOP, "checkout");
    pass(minutes(12)).await;
    site.api.forget_verbs();
    let mut links = vec![shown(&site)["id"].clone()];
    for _ in 0..25 {
        pass(minutes(60)).await;
        links.push(shown(&site)["id"].clone());
    }
    links.dedup();
    assert_eq!(links.len(), 3, "{links:?}");
    let writes = site.api.writes();
    let of = |resource: &str| writes.iter().filter(|verb| verb.target.resource == resource).count();
    assert_eq!((of("configmaps"), of("tracecaptures"), writes.len()), (2, 2, 4), "{writes:?}");
    assert_eq!(recorded(&site.api).len(), 2, "the first one has expired");
}

#[tokio::test(start_paused = true)]
async fn turned_off_it_is_gone_and_opens_nothing() {
    for off in ["None", "paused"] {
        let site = signed().await;
        if off == "paused" {
            site.api.edit("tracecaptures", SHOP, "checkout", |object| {
                object["metadata"]["annotations"] = json!({ "tracecapture.dev/paused": "true" });
            });
        }
        set(&site, "None");
        pass(minutes(1)).await;
        assert_eq!(shown(&site), Value::Null, "{off}");
        assert!(recorded(&site.api).iter().all(|record| record["revoked"] == true), "{off}");
        assert_eq!(site.condition("checkout", "DownloadReady").1, "Available");
        site.api.forget_verbs();
        pass(minutes(10)).await;
        assert_eq!(site.api.writes().len(), 0, "{:?}", site.api.writes());
        set(&site, "Signed");
        pass(minutes(1)).await;
        assert!(open(&site, &shown(&site)["url"]).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn what_ends_it_brings_another_one() {
    let site = signed().await;
    let first = shown(&site);
    change_record(&site, |record| record["revoked"] = json!(true));
    pass(minutes(1)).await;
    let second = shown(&site);
    assert_ne!(first["id"], second["id"]);
    site.api.delete("configmaps", SYSTEM, RECORD);
    pass(minutes(1)).await;
    let third = shown(&site);
    assert_ne!(second["id"], third["id"]);
    // Another key signs the same link anew.
    site.api.delete("secrets", SYSTEM, "tracecapture-link-keys");
    pass(minutes(1)).await;
    let fourth = shown(&site);
    assert_eq!(third["id"], fourth["id"]);
    assert_ne!(third["url"], fourth["url"]);
    assert_eq!(open(&site, &third["url"]), Err(Refused::Unknown));
    assert!(open(&site, &fourth["url"]).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_link_that_was_used_gives_way_after_an_hour() {
    let site = signed().await;
    let first = shown(&site);
    change_record(&site, |record| record["pin"] = json!({ "snapshot": "s", "bytes": 1 }));
    pass(minutes(30)).await;
    assert_eq!(shown(&site), first);
    pass(minutes(31)).await;
    assert_ne!(shown(&site), first);
    // Who downloads by the first one goes on.
    assert!(open(&site, &first["url"]).is_ok());
    assert!(recorded(&site.api).iter().all(|record| record["revoked"] == false));
}

#[tokio::test(start_paused = true)]
async fn a_full_record_makes_room_for_what_is_newer() {
    let site = Site::at_rest(capture(json!({}))).await;
    // Forty captures, each of which was downloaded every twenty minutes.
    let entries = (0..1000).map(|n| {
        let (capture, hour, minute) = (format!("crowd-{}", n % 40), n / 40 / 3, n / 40 % 3 * 20);
        let entry = json!({
            "capture": format!("{SHOP}/{capture}"), "uid": capture, "createdBy": "tracecapture-operator", "scope": {},
            "created": format!("2026-11-21T{hour:02}:{minute:02}:00Z"), "expires": "2026-11-22T00:00:00Z",
            "inStatus": true, "pin": { "snapshot": "s", "bytes": 1 },
        });
        (format!("{n:032x}"), entry.to_string().into())
    });
    let data: serde_json::Map<String, Value> = entries.collect();
    let metadata = json!({ "name": RECORD, "namespace": SYSTEM });
    site.api.put("configmaps", json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data }));
    set(&site, "Signed");
    pass(minutes(1)).await;
    assert!(open(&site, &shown(&site)["url"]).is_ok());
    assert_eq!(recorded(&site.api).len(), 1000, "one went for it");
}

#[tokio::test(start_paused = true)]
async fn what_hinders_it_is_said_and_hinders_nothing_else() {
    let site = Site::at_rest(capture(json!({}))).await;
    let on_secrets = |verb: &crate::fake::Verb| verb.target.resource == "secrets";
    site.api.fail(100_000, Fault::Status(403, "Forbidden", "may not get secrets"), on_secrets);
    set(&site, "Signed");
    pass(minutes(2)).await;
    let (status, reason, message) = site.condition("checkout", "DownloadReady");
    assert_eq!((&*status, &*reason), ("True", "StatusLinkFailed"));
    assert!(message.contains("`tracecapture-link-keys`: ") && !message.contains("Status {"), "{message}");
    assert_eq!((shown(&site), site.has_children()), (Value::Null, true));
    site.api.heal();
    pass(minutes(1)).await;
    assert!(open(&site, &shown(&site)["url"]).is_ok());
    assert_eq!(site.condition("checkout", "DownloadReady").1, "SignedLink");
}

#[tokio::test(start_paused = true)]
async fn its_text_stands_nowhere_but_in_the_status() {
    let site = signed().await;
    set(&site, "None");
    pass(minutes(1)).await;
    set(&site, "Signed");
    pass(minutes(1)).await;
    let url = shown(&site)["url"].as_str().unwrap().to_owned();
    // Version and key stand before the payload, which is what opens.
    let secret = url.split('.').nth_back(1).unwrap();
    for resource in ["configmaps", "events", "services", "statefulsets", "secrets"] {
        let text = json!(site.api.list(resource)).to_string();
        assert!(!text.contains(secret) && !text.contains("/l/v1."), "{resource}: {text}");
    }
    assert!(!site.metrics().contains(secret));
    let conditions = site.api.get("tracecaptures", SHOP, "checkout").unwrap()["status"]["conditions"].to_string();
    assert!(!conditions.contains(secret) && !conditions.contains("/l/"), "{conditions}");
}
