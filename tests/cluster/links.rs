//! Links at the real API server: whole, changed, ended, of others.

use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};
use tracecapture::api::TraceCapture;
use tracecapture::api::link::{Link, LinkId, LinkKey, LinkKeys, LinkScope};
use tracecapture::clock::{Clock as _, SystemClock};

use crate::access::{Setup, Site, without_nodes};
use crate::gateway::Answer;
use crate::operator::eventually;

/// What is opened, and how it is answered: by the page and by the bundle behind it.
#[rustfmt::skip]
const EXPECTED: [(&str, u16, u16, &str); 12] = [
    ("whole",                         200, 200, ""),
    ("with a wrong token beside it",  200, 200, ""),
    ("with one character changed",    404, 404, "NotFound"),
    ("with another capture in it",    404, 404, "NotFound"),
    ("with another end in it",        404, 404, "NotFound"),
    ("cut",                           404, 404, "NotFound"),
    ("cut down to its signed part",   404, 404, "NotFound"),
    ("with more behind it",           404, 404, "NotFound"),
    ("by a key that nobody has",      404, 404, "NotFound"),
    ("expired",                       410, 410, "LinkExpired"),
    ("revoked",                       410, 410, "LinkRevoked"),
    // The page asks nobody; the bundle asks a collector that has another capture, and takes no grant for this one.
    ("of another capture",            200, 503, "KeeperRefuses"),
];

/// Returns the text of a link.
fn text(made: &Value) -> String {
    made["path"].as_str().unwrap().trim_start_matches("/l/").to_owned()
}

/// Returns a link whose signed part was written anew, under its old signature.
fn forged(link: &str, change: impl FnOnce(&mut Value)) -> String {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let parts: Vec<&str> = link.split('.').collect();
    let mut payload: Value = serde_json::from_slice(&base64.decode(parts[2]).unwrap()).unwrap();
    change(&mut payload);
    [parts[0], parts[1], &base64.encode(payload.to_string()), parts[3]].join(".")
}

/// Returns a link to the capture by a key of somebody else.
fn by_strange_key(uid: &str) -> String {
    let keys = LinkKeys::new(LinkKey::new(&LinkKey::draw().unwrap()).unwrap(), None);
    let expires = SystemClock::new().now().as_unix_nanos() / 1_000_000_000 + 3600;
    let link = Link { id: LinkId::draw().unwrap(), uid: uid.to_owned(), scope: LinkScope::default(), expires };
    keys.sign(&link).unwrap().expose().to_owned()
}

/// Opens links of every kind; every one that was made is noted.
pub(crate) async fn walk(site: &Site) {
    let base = site.base();
    let whole = text(&site.link("admin", &base, &json!({})).await);
    let theirs = format!("/api/v1/captures/{}/checkout", site.other);
    let of_other = text(&site.link("neighbour", &theirs, &json!({})).await);
    let ended = site.link("admin", &base, &json!({})).await;
    let revoke = format!("{base}/links/{}", ended["id"].as_str().unwrap());
    assert_eq!(site.ask_as("admin", "DELETE", &revoke).await.status, 200);
    let short = text(&site.link("admin", &base, &json!({ "ttlSeconds": 1 })).await);
    let is_over = async || (page(site, &short).await.status == 410).then_some(());
    eventually("the link expires", is_over).await;
    let captures: Api<TraceCapture> = site.cluster.api();
    let uid = captures.get("checkout").await.unwrap().metadata.uid.unwrap();
    let (rest, last) = whole.split_at(whole.len() - 1);
    for (what, of_page, of_bundle, reason) in EXPECTED {
        let link = match what {
            "whole" | "with a wrong token beside it" => whole.clone(),
            "with one character changed" => format!("{rest}{}", if last == "A" { "B" } else { "A" }),
            "with another capture in it" => forged(&whole, |link| link["uid"] = "another".into()),
            "with another end in it" => forged(&whole, |link| link["expires"] = 99_999_999_999_u64.into()),
            "cut" => rest[..rest.len() - 10].to_owned(),
            "cut down to its signed part" => whole.rsplit_once('.').unwrap().0.to_owned(),
            "with more behind it" => format!("{whole}A"),
            "by a key that nobody has" => by_strange_key(&uid),
            "expired" => short.clone(),
            "revoked" => text(&ended),
            "of another capture" => of_other.clone(),
            other => panic!("no such link: {other}"),
        };
        let wrong = [("authorization", "Bearer wrong")];
        let headers = if what.contains("token") { &wrong[..] } else { &[] };
        let answers =
            [site.ask("GET", &format!("/l/{link}"), headers).await, site.ask("GET", &bundle(&link), headers).await];
        assert_eq!(answers.each_ref().map(|answer| answer.status), [of_page, of_bundle], "{what}");
        assert_eq!(answers[1].reason(), reason, "{what}");
    }
    check_ranges(site, &whole).await;
}

fn bundle(link: &str) -> String {
    format!("/l/{link}/bundle.tar")
}

async fn page(site: &Site, link: &str) -> Answer {
    site.ask("GET", &format!("/l/{link}"), &[]).await
}

/// Checks that a link goes on where it was cut, with the bytes that it began with.
async fn check_ranges(site: &Site, link: &str) {
    let whole = site.ask("GET", &bundle(link), &[]).await;
    assert_eq!(site.collector.send(10).await, 200);
    let rest = site.ask("GET", &bundle(link), &[("range", "bytes=600-")]).await;
    assert_eq!((rest.status, &rest.body[..]), (206, &whole.body[600..]));
    let head = site.ask("HEAD", &bundle(link), &[]).await;
    assert!(head.status == 200 && head.head.contains(&format!("content-length: {}\r\n", whole.body.len())), "{head:?}");
}

#[test]
fn links_open_what_they_say_until_they_end() {
    without_nodes(async |cluster| {
        let site = Site::start(&cluster, Setup::default()).await;
        assert_eq!(site.collector.send(250).await, 200);
        let before = site.collector.log();
        // A mail scanner opens what it finds; none of it is a download.
        let scanned = text(&site.link("admin", &site.base(), &json!({})).await);
        for (method, path) in
            [("HEAD", format!("/l/{scanned}")), ("GET", format!("/l/{scanned}")), ("HEAD", bundle(&scanned))]
        {
            assert_eq!(site.ask(method, &path, &[("user-agent", "mail scanner")]).await.status, 200);
        }
        let n_asked = |log: &str| log.matches("\"target\":\"audit\"").count();
        assert_eq!(n_asked(&site.collector.log()), n_asked(&before));
        walk(&site).await;
        let last = text(&site.link("admin", &site.base(), &json!({})).await);
        // With its capture everything ends, for who may know and for who has a link.
        let captures: Api<TraceCapture> = cluster.api();
        captures.delete("checkout", &DeleteParams::default()).await.unwrap();
        let bundle_of_token = format!("{}/bundle.tar", site.base());
        let is_gone = async || (site.ask_as("support", "GET", &bundle_of_token).await.status == 404).then_some(());
        eventually("the capture is gone", is_gone).await;
        assert_eq!(site.ask("GET", &bundle(&last), &[]).await.reason(), "CaptureDeleted");
        assert_eq!(site.ask_as("nobody", "GET", &bundle_of_token).await.status, 403);
        site.end().await;
    });
}
