//! Whatever opens a door is where it belongs and nowhere else: not in an object, an event, a log or a metric.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

use crate::access::{Setup, Site, without_nodes};
use crate::cluster::Cluster;
use crate::operator::exchange;
use crate::{links, roles};

/// The Secrets that are meant to hold keys.
const KEPT_IN: [&str; 2] = ["tracecapture-keys", "tracecapture-link-keys"];

/// Something that opens a door, and what of it must not be seen.
struct Opener {
    what: String,
    text: String,
}

/// A place where people and programs look, and what stands there.
struct Place {
    what: String,
    content: String,
}

#[test]
fn nothing_that_opens_a_door_stands_where_others_read() {
    without_nodes(async |cluster| {
        // Everything that can be logged is logged.
        let site = Site::start(&cluster, Setup { level: "trace", ..Setup::default() }).await;
        assert_eq!(site.collector.send(250).await, 200);
        roles::walk(&site).await;
        links::walk(&site).await;
        for log in [site.gateway.log(), site.operator.log()] {
            assert!(log.contains("\"level\":\"DEBUG\""), "not everything is logged");
        }
        let openers = openers(&site).await;
        let mut places = objects(&cluster).await;
        places.extend(logs(&site).await);
        let kinds = ["tracecaptures", "configmaps", "events", "pods", "secrets"];
        assert!(kinds.iter().all(|kind| places.iter().any(|place| place.what.ends_with(kind))), "not all was read");
        let found: Vec<String> = places
            .iter()
            .flat_map(|place| {
                openers.iter().filter(|opener| place.content.contains(&opener.text)).map(move |opener| (place, opener))
            })
            .map(|(place, opener)| format!("{} stands in {}", opener.what, place.what))
            .collect();
        assert!(found.is_empty(), "{found:#?}");
        eprintln!("{} openers in none of {} places", openers.len(), places.len());
        site.end().await;
    });
}

/// Returns everything that was used to open a door, and each part of it that would do.
async fn openers(site: &Site) -> Vec<Opener> {
    let mut all = Vec::new();
    let mut add = |what: String, text: &str| {
        assert!(text.len() > 20, "{what} is too short to be looked for: {text}");
        all.push(Opener { what, text: text.to_owned() });
    };
    for person in &site.people {
        if let Some(token) = &person.token {
            // The signature alone too: what it signs can be guessed.
            add(format!("the token of {}", person.name), token);
            add(format!("the signature in the token of {}", person.name), token.rsplit('.').next().unwrap());
        }
    }
    let links = site.links.borrow().clone();
    assert!(links.len() > 20, "{}", links.len());
    for link in &links {
        add("a whole link".to_owned(), link);
        add("the signature of a link".to_owned(), link.rsplit('.').next().unwrap());
    }
    let grants = site.wire.asked("authorization");
    assert!(grants.len() > 20, "{}", grants.len());
    for grant in &grants {
        let grant = grant.strip_prefix("Bearer ").unwrap();
        add("a grant".to_owned(), grant);
        add("the signature of a grant".to_owned(), grant.rsplit('.').next().unwrap());
    }
    for name in KEPT_IN {
        let secret = site.cluster.api::<Secret>().get(name).await.unwrap();
        for (entry, bytes) in secret.data.unwrap() {
            // A private key of Ed25519 stands behind 16 bytes that are the same in every such document, and before the
            // public one, which collectors are told (RFC 8410).
            let key = if bytes.0.len() == 32 { &bytes.0[..] } else { &bytes.0[16..48] };
            let hex = key.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"));
            for text in [STANDARD.encode(&bytes.0), STANDARD.encode(key), URL_SAFE_NO_PAD.encode(key), hex] {
                add(format!("{entry} of {name}"), &text);
            }
        }
    }
    // The operator asks the collector for its figures: any other grant begins like this, with the beginning of an object.
    all.push(Opener { what: "some grant".to_owned(), text: format!("v1.{}", URL_SAFE_NO_PAD.encode("{\"u")) });
    all
}

/// Reads all objects of all kinds, as JSON, with what Secrets hold.
async fn objects(cluster: &Cluster) -> Vec<Place> {
    let client = &cluster.client;
    let mut lists = Vec::new();
    for version in client.list_core_api_versions().await.unwrap().versions {
        lists.push((format!("/api/{version}"), client.list_core_api_resources(&version).await.unwrap()));
    }
    for group in client.list_api_groups().await.unwrap().groups {
        for version in group.versions {
            let resources = client.list_api_group_resources(&version.group_version).await.unwrap();
            lists.push((format!("/apis/{}", version.group_version), resources));
        }
    }
    let mut places = Vec::new();
    for (base, list) in lists {
        let listed = list.resources.into_iter().filter(|resource| resource.verbs.iter().any(|verb| verb == "list"));
        for resource in listed {
            let path = format!("{base}/{}", resource.name);
            let request = http::Request::get(&path).body(Vec::new()).unwrap();
            let content = client.request_text(request).await.unwrap();
            let content = if resource.name == "secrets" { without_keys(&content, cluster) } else { content };
            places.push(Place { what: path, content });
        }
    }
    places
}

/// Returns Secrets in clear, without those that are meant to hold keys.
fn without_keys(list: &str, cluster: &Cluster) -> String {
    let list: Value = serde_json::from_str(list).unwrap();
    let mut text = String::new();
    for secret in list["items"].as_array().unwrap() {
        let is_ours = secret["metadata"]["namespace"] == cluster.namespace.as_str();
        if is_ours && KEPT_IN.iter().any(|name| secret["metadata"]["name"] == *name) {
            continue;
        }
        text.push_str(&secret.to_string());
        for value in secret["data"].as_object().into_iter().flatten().map(|(_, value)| value) {
            let bytes = STANDARD.decode(value.as_str().unwrap()).unwrap();
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    text
}

/// Reads what every process logged and counts, and what the API server wrote down.
async fn logs(site: &Site) -> Vec<Place> {
    let metrics = "GET /metrics HTTP/1.1\r\nhost: collector\r\nconnection: close\r\n\r\n";
    let mut places = vec![
        Place { what: "the operator's log".to_owned(), content: site.operator.log() },
        Place { what: "the operator's metrics".to_owned(), content: site.operator.ask("/metrics").await.1 },
        Place { what: "the gateway's log".to_owned(), content: site.gateway.log() },
        Place { what: "the gateway's metrics".to_owned(), content: site.gateway.metrics().await },
        Place { what: "the collector's log".to_owned(), content: site.collector.log() },
        Place {
            what: "the collector's metrics".to_owned(),
            content: exchange(&site.collector.admin, metrics).await.unwrap().1,
        },
    ];
    // Its own log and those of its controllers stand beside it.
    let audit_log = std::env::var_os("TRACECAPTURE_AUDIT_LOG");
    for dir in audit_log.iter().filter_map(|path| Path::new(path).parent()) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let content = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            places.push(Place { what: path.display().to_string(), content });
        }
    }
    assert!(places.iter().all(|place| !place.content.is_empty() || place.what.contains("etcd")));
    places
}
