//! Objects that are nested more deeply than a parser goes: each is one capture's fault alone.

use serde_json::{Value, json};

use crate::fake::FakeApi;
use crate::site::{SHOP, Site, capture, named, options, pass, seconds};

/// The API server takes ten thousand levels, JSON parsers a hundred and some.
const LEVELS: usize = 200;

/// Returns maps within maps.
fn nested() -> Value {
    (0..LEVELS).fold(json!(1), |inner, _| json!({ "a": inner }))
}

/// Checks that a nested capture tells its fault, and that others are visited before and after a restart.
async fn check(collector: Value, reason: &str) {
    let api = FakeApi::new();
    api.put("tracecaptures", named("first", json!({})));
    let site = Site::with(api, options("operator-0"));
    pass(seconds(5)).await;
    site.api.put("tracecaptures", capture(json!({ "collector": collector })));
    site.api.put("tracecaptures", named("second", json!({})));
    pass(seconds(5)).await;
    let has_set = |site: &Site, name: &str| site.api.get("statefulsets", SHOP, &format!("{name}-collector")).is_some();
    assert!(has_set(&site, "second"), "the watch goes on");
    assert!(site.operator.stop().await);
    site.api.put("tracecaptures", named("third", json!({})));
    let site = Site::with(site.api, options("operator-1"));
    pass(seconds(5)).await;
    assert!(has_set(&site, "first") && has_set(&site, "third") && !has_set(&site, "checkout"));
    let (status, found, message) = site.condition("checkout", "Ready");
    assert_eq!((&*status, &*found), ("False", reason), "{message}");
    assert!(message.contains(".a.a.a"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_nested_overlay_stops_nobody_else() {
    check(json!({ "podOverlay": { "spec": { "a": nested() } } }), "OverlayRefused").await;
}

#[tokio::test(start_paused = true)]
async fn a_nested_affinity_stops_nobody_else() {
    check(json!({ "affinity": { "nodeAffinity": nested() } }), "Invalid").await;
}

#[tokio::test(start_paused = true)]
async fn a_nested_toleration_stops_nobody_else() {
    check(json!({ "tolerations": [{ "key": "k", "operator": "Exists", "a": nested() }] }), "Invalid").await;
}
