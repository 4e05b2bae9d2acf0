//! What is left of a capture that somebody deletes.

use serde_json::{Value, json};

use crate::fake::FakeApi;
use crate::site::{SHOP, Site, capture, minutes, options, pass, seconds};

const FINALIZER: &str = "tracecapture.dev/volume";

fn with_its_volume() -> Value {
    capture(json!({ "storage": { "deletionPolicy": "Delete" } }))
}

fn claim(api: &FakeApi) -> Option<Value> {
    api.get("persistentvolumeclaims", SHOP, "checkout-chunks")
}

#[tokio::test(start_paused = true)]
async fn the_volume_stays_by_default() {
    let site = Site::at_rest(capture(json!({}))).await;
    assert!(site.api.get("tracecaptures", SHOP, "checkout").unwrap()["metadata"]["finalizers"].is_null());
    site.api.delete("tracecaptures", SHOP, "checkout");
    pass(minutes(2)).await;
    assert!(site.api.get("statefulsets", SHOP, "checkout-collector").is_none());
    assert!(claim(&site.api).is_some());
    assert!(!site.metrics().contains("name=\"checkout\""), "{}", site.metrics());
}

#[tokio::test(start_paused = true)]
async fn the_volume_goes_where_that_was_asked_for() {
    let site = Site::at_rest(with_its_volume()).await;
    let finalizers = site.api.get("tracecaptures", SHOP, "checkout").unwrap()["metadata"]["finalizers"].clone();
    assert_eq!(finalizers, json!([FINALIZER]));
    site.api.delete("tracecaptures", SHOP, "checkout");
    pass(minutes(1)).await;
    assert!(site.api.get("tracecaptures", SHOP, "checkout").is_none());
    assert!(claim(&site.api).is_none());
    assert!(site.api.list("pods").is_empty());
}

#[tokio::test(start_paused = true)]
async fn pods_that_do_not_end_hold_it_up_for_five_minutes_also_across_a_restart() {
    let site = Site::at_rest(with_its_volume()).await;
    site.api.edit("pods", SHOP, "checkout-collector-0", |pod| {
        pod["metadata"]["finalizers"] = json!(["example.com/lost-node"]);
    });
    site.api.delete("tracecaptures", SHOP, "checkout");
    // The server dates the deletion before the first minute of the test's clock, which has run for five.
    pass(seconds(10)).await;
    assert!(site.api.get("statefulsets", SHOP, "checkout-collector").is_none());
    assert!(site.operator.stop().await);
    let site = Site::with(site.api, options("operator-1"));
    pass(minutes(6)).await;
    assert!(claim(&site.api).is_none());
    assert!(site.api.get("tracecaptures", SHOP, "checkout").is_none());
}

#[tokio::test(start_paused = true)]
async fn who_changes_their_mind_keeps_the_volume() {
    let site = Site::at_rest(with_its_volume()).await;
    site.api.edit("tracecaptures", SHOP, "checkout", |capture| {
        capture["spec"]["storage"]["deletionPolicy"] = json!("Retain");
        capture["metadata"]["finalizers"].as_array_mut().unwrap().push(json!("example.com/other"));
    });
    pass(seconds(2)).await;
    let finalizers = site.api.get("tracecaptures", SHOP, "checkout").unwrap()["metadata"]["finalizers"].clone();
    assert_eq!(finalizers, json!(["example.com/other"]), "that of somebody else stays");
}

#[tokio::test(start_paused = true)]
async fn who_changes_their_mind_while_nobody_looks_keeps_the_volume() {
    let site = Site::at_rest(with_its_volume()).await;
    assert!(site.operator.stop().await);
    site.api.edit("tracecaptures", SHOP, "checkout", |capture| {
        capture["spec"]["storage"]["deletionPolicy"] = json!("Retain");
    });
    site.api.delete("tracecaptures", SHOP, "checkout");
    let site = Site::with(site.api, options("operator-1"));
    pass(minutes(6)).await;
    assert!(site.api.get("tracecaptures", SHOP, "checkout").is_none());
    assert!(claim(&site.api).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_paused_capture_keeps_its_volume_until_it_goes_on() {
    let site = Site::at_rest(with_its_volume()).await;
    let annotate = |annotations: Value| {
        site.api.edit("tracecaptures", SHOP, "checkout", |capture| capture["metadata"]["annotations"] = annotations);
    };
    annotate(json!({ "tracecapture.dev/paused": "true" }));
    pass(seconds(2)).await;
    site.api.delete("tracecaptures", SHOP, "checkout");
    pass(minutes(10)).await;
    assert!(claim(&site.api).is_some() && site.has_children());
    let (_, _, message) = site.condition("checkout", "Ready");
    assert!(message.contains("tracecapture.dev/paused") && message.contains("the volume"), "{message}");
    annotate(json!({}));
    pass(minutes(1)).await;
    assert!(site.api.get("tracecaptures", SHOP, "checkout").is_none());
    assert!(claim(&site.api).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_brought_never_goes() {
    let api = FakeApi::new();
    let storage = json!({ "deletionPolicy": "Delete", "claimName": "mine" });
    api.put(
        "persistentvolumeclaims",
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "mine", "namespace": SHOP },
            "spec": { "accessModes": ["ReadWriteMany"] }, "status": { "phase": "Bound" },
        }),
    );
    let before = api.get("persistentvolumeclaims", SHOP, "mine");
    api.put("tracecaptures", capture(json!({ "storage": storage })));
    let site = Site::with(api, options("operator-0"));
    pass(minutes(1)).await;
    site.api.delete("tracecaptures", SHOP, "checkout");
    pass(minutes(1)).await;
    assert!(site.api.get("tracecaptures", SHOP, "checkout").is_none());
    assert_eq!(site.api.get("persistentvolumeclaims", SHOP, "mine"), before);
}
