//! The audit, and what must stand in no log, no metric and no object.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};

use crate::client::{Client, wait_until};
use crate::site::{BASE, Captured, Site, cluster, options};

/// Everything that this process logs, at every level.
static LOG: OnceLock<&'static Mutex<Vec<u8>>> = OnceLock::new();

struct Log(&'static Mutex<Vec<u8>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs from now on, and returns how to read what was logged.
pub(crate) fn log() -> impl Fn() -> String {
    let kept = *LOG.get_or_init(|| {
        let kept: &'static Mutex<Vec<u8>> = Box::leak(Box::default());
        let builder = tracing_subscriber::fmt().json().flatten_event(true).with_max_level(tracing::Level::TRACE);
        tracing::subscriber::set_global_default(builder.with_writer(move || Log(kept)).finish()).unwrap();
        kept
    });
    move || String::from_utf8(kept.lock().unwrap().clone()).unwrap()
}

/// Returns the audit lines with this in them.
pub(crate) fn lines(log: &str, part: &str) -> Vec<Value> {
    let lines = log.lines().filter(|line| line.contains("\"target\":\"audit\"") && line.contains(part));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_access_leaves_one_line_and_nothing_that_opens_anything() {
    let log = log();
    let (api, key) = cluster();
    let captured = Captured::start(&api, key, 20);
    let site = Site::start(api, options(&captured.web));
    site.reviewer.know("secret-token-1", "alice-of-audit", None, Some(("tracecapture-admin", "shop")));
    let bearer = [("authorization", "Bearer secret-token-1")];
    let path = format!("{BASE}/bundle.tar?service=secret-service&since=2001-01-01T00:00:00Z");
    let filtered = site.ask("GET", &path, &bearer);
    assert_eq!(filtered.status, 200);
    let bundle = format!("{BASE}/bundle.tar");
    let whole = site.ask("GET", &bundle, &bearer);
    let tag = whole.header("etag").unwrap().to_owned();
    site.ask("GET", &bundle, &[bearer[0], ("range", "bytes=5-9"), ("if-range", &tag)]);
    let link = site.send("POST", &format!("{BASE}/links"), &bearer, b"{}").json();
    let text = link["path"].as_str().unwrap().trim_start_matches("/l/").to_owned();
    let id = link["id"].as_str().unwrap().to_owned();
    site.ask("GET", &format!("/l/{text}"), &[]);
    {
        let mut client = Client::connect(&site.address).unwrap();
        client.begin(&format!("GET /l/{text}/bundle.tar?secret-query=1"), &[], b"").unwrap();
        assert_eq!(client.head().unwrap().status, 200);
    }
    site.ask("GET", &format!("{BASE}/bundle.tar"), &[("x-tracecapture-token", "secret-token-2")]);
    wait_until("the cut download is noticed", || lines(&log(), &id).len() >= 2);
    let text_of_log = log();

    let by_alice = lines(&text_of_log, "alice-of-audit");
    assert_eq!(by_alice.len(), 4, "{by_alice:#?}");
    let shown = |line: &Value| {
        let field = |name: &str| line[name].clone();
        (field("route"), field("filters"), field("bytes"), field("complete"), field("range"))
    };
    let (len, none) = (whole.body.len(), json!(""));
    assert_eq!(
        shown(&by_alice[0]),
        (json!("bundle"), json!("service,since"), json!(filtered.body.len()), json!(true), none.clone())
    );
    assert_eq!(shown(&by_alice[1]), (json!("bundle"), none.clone(), json!(len), json!(true), none.clone()));
    assert_eq!(shown(&by_alice[2]), (json!("bundle"), none, json!(5), json!(true), json!(format!("5-9/{len}"))));
    assert_eq!((&by_alice[3]["route"], &by_alice[3]["status"]), (&json!("links"), &json!(201)));
    let by_link = lines(&text_of_log, &id);
    let opened = by_link.iter().find(|line| line["route"] == "opened").unwrap();
    assert_eq!(
        (&opened["door"], &opened["outcome"], &opened["complete"]),
        (&json!("link"), &json!("cut"), &json!(false))
    );
    assert!(by_link.iter().all(|line| line["principal"] == *id && line["capture"] == "shop/checkout"));
    assert!(text_of_log.lines().any(|line| line.contains("Unauthenticated") && line.contains("refused")));

    let objects: String = ["configmaps", "secrets", "tracecaptures", "events"]
        .map(|kind| json!(site.api.list(kind)).to_string())
        .concat();
    let keeper = json!(captured.pod.log()).to_string();
    for (place, content) in
        [("log", text_of_log), ("metrics", site.metrics()), ("objects", objects), ("keeper", keeper)]
    {
        let signature = text.rsplit('.').next().unwrap();
        for secret in ["secret-token", "secret-service", "secret-query", signature, &text] {
            assert!(!content.contains(secret), "{secret} stands in the {place}");
        }
    }
    let metrics = site.metrics();
    assert!(
        metrics.contains("tracecapture_gateway_accesses_total{door=\"link\",route=\"opened\",outcome=\"cut\"} 1"),
        "{metrics}"
    );
}
