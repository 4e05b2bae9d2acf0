//! What of others stays as it is while a capture that is in its way begins and ends.

use serde_json::{Value, json};

use crate::fake::{FakeApi, Fault};
use crate::site::{SHOP, Site, capture, minutes, named, options, pass, seconds};

const FINALIZER: &str = "tracecapture.dev/volume";

fn with_its_volume() -> Value {
    capture(json!({ "storage": { "deletionPolicy": "Delete" } }))
}

/// Returns a capture named `archive` that brings the claim of `checkout`.
fn archive() -> Value {
    named("archive", json!({ "storage": { "claimName": "checkout-chunks" } }))
}

fn claim(api: &FakeApi) -> Option<Value> {
    api.get("persistentvolumeclaims", SHOP, "checkout-chunks")
}

fn finalizers(api: &FakeApi) -> Value {
    api.get("tracecaptures", SHOP, "checkout").expect("the capture")["metadata"]["finalizers"].clone()
}

/// Returns a set of somebody else under the name of ours.
fn foreign_set() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": "checkout-collector", "namespace": SHOP, "labels": { "app": "other" } },
        "spec": { "replicas": 3, "selector": { "matchLabels": { "app": "other" } }, "serviceName": "other",
            "template": { "metadata": { "labels": { "app": "other" } }, "spec": { "containers": [] } } },
        "status": { "replicas": 3, "readyReplicas": 3 },
    })
}

#[tokio::test(start_paused = true)]
async fn a_set_of_somebody_else_stays() {
    let api = FakeApi::new();
    api.put("statefulsets", foreign_set());
    let before = api.get("statefulsets", SHOP, "checkout-collector");
    api.put("tracecaptures", with_its_volume());
    let site = Site::with(api, options("operator-0"));
    pass(seconds(5)).await;
    assert_eq!(site.condition("checkout", "ReceiversReady").1, "ApplyFailed");
    assert_eq!(finalizers(&site.api), json!([FINALIZER]));
    site.api.delete("tracecaptures", SHOP, "checkout");
    pass(minutes(1)).await;
    assert_eq!(site.api.get("statefulsets", SHOP, "checkout-collector"), before);
    assert!(site.api.get("tracecaptures", SHOP, "checkout").is_none());
    assert!(claim(&site.api).is_none(), "its own claim goes all the same");
}

#[tokio::test(start_paused = true)]
async fn pods_of_somebody_else_are_not_told_as_ours() {
    let api = FakeApi::new();
    api.put("statefulsets", foreign_set());
    api.put("tracecaptures", capture(json!({})));
    let site = Site::with(api, options("operator-0"));
    pass(seconds(5)).await;
    let status = site.api.get("tracecaptures", SHOP, "checkout").unwrap()["status"].clone();
    assert_eq!((&status["replicas"], &status["readyReplicas"]), (&json!(0), &json!(0)));
}

#[tokio::test(start_paused = true)]
async fn a_claim_stays_where_another_capture_had_it_first() {
    let site = Site::at_rest(capture(json!({}))).await;
    site.api.delete("tracecaptures", SHOP, "checkout");
    pass(seconds(5)).await;
    site.api.put("tracecaptures", archive());
    pass(seconds(5)).await;
    site.api.put("tracecaptures", with_its_volume());
    pass(seconds(5)).await;
    assert_eq!(site.condition("checkout", "Ready").1, "ClaimShared");
    assert_eq!(finalizers(&site.api), Value::Null, "it has nothing to end");
    // One that an earlier version, or a manifest, gave it.
    assert!(site.operator.stop().await);
    site.api.edit("tracecaptures", SHOP, "checkout", |capture| capture["metadata"]["finalizers"] = json!([FINALIZER]));
    site.api.delete("tracecaptures", SHOP, "checkout");
    let site = Site::with(site.api, options("operator-1"));
    pass(minutes(6)).await;
    assert!(site.api.get("tracecaptures", SHOP, "checkout").is_none());
    assert!(claim(&site.api).is_some());
    assert!(site.api.get("statefulsets", SHOP, "archive-collector").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_claim_stays_where_another_capture_waits_for_it() {
    let site = Site::at_rest(with_its_volume()).await;
    site.api.put("tracecaptures", archive());
    pass(seconds(5)).await;
    assert_eq!(site.condition("archive", "Ready").1, "ClaimShared");
    site.api.delete("tracecaptures", SHOP, "checkout");
    pass(minutes(1)).await;
    assert!(site.api.get("tracecaptures", SHOP, "checkout").is_none());
    assert!(site.api.get("statefulsets", SHOP, "checkout-collector").is_none());
    assert!(claim(&site.api).is_some());
    assert!(site.api.get("statefulsets", SHOP, "archive-collector").is_some(), "it has the claim now");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_brought_under_our_name_never_goes() {
    let site = Site::at_rest(capture(json!({}))).await;
    site.api.delete("tracecaptures", SHOP, "checkout");
    pass(seconds(5)).await;
    assert!(site.operator.stop().await);
    let storage = json!({ "deletionPolicy": "Delete", "claimName": "checkout-chunks" });
    let mut brings_it = capture(json!({ "storage": storage }));
    brings_it["metadata"]["finalizers"] = json!([FINALIZER]);
    site.api.put("tracecaptures", brings_it);
    site.api.delete("tracecaptures", SHOP, "checkout");
    let site = Site::with(site.api, options("operator-1"));
    pass(minutes(6)).await;
    assert!(site.api.get("tracecaptures", SHOP, "checkout").is_none());
    assert!(claim(&site.api).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_that_came_with_the_manifest_is_taken_away() {
    let mut restored = with_its_volume();
    restored["metadata"]["finalizers"] = json!(["example.com/other", FINALIZER]);
    let site = Site::at_rest(restored).await;
    // Whoever changes the object at that very moment costs another visit and nothing more.
    let conflict = Fault::Status(409, "Conflict", "the object has been modified");
    site.api.delete("tracecaptures", SHOP, "checkout");
    site.api.fail(1, conflict, |asked| asked.is("patch", "tracecaptures"));
    pass(minutes(1)).await;
    assert!(claim(&site.api).is_none());
    assert_eq!(finalizers(&site.api), json!(["example.com/other"]), "that of somebody else stays");
    site.api.forget_verbs();
    pass(minutes(5)).await;
    assert_eq!(site.api.writes(), []);
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_that_came_with_the_manifest_goes_with_the_wish() {
    let mut restored = capture(json!({}));
    restored["metadata"]["finalizers"] = json!([FINALIZER]);
    let site = Site::at_rest(restored).await;
    assert_eq!(finalizers(&site.api).as_array().map_or(0, Vec::len), 0);
    site.api.delete("tracecaptures", SHOP, "checkout");
    pass(seconds(5)).await;
    assert!(site.api.get("tracecaptures", SHOP, "checkout").is_none());
    assert!(claim(&site.api).is_some());
}
