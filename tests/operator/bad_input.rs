//! Bad input: each fault gives a condition that says what to do, and the other captures go on.

use serde_json::{Value, json};

use crate::fake::FakeApi;
use crate::site::{SHOP, Site, capture, minutes, named, options, pass, seconds};

/// Checks what a condition says of a capture named `checkout`, and that its neighbour is well.
async fn check(api: FakeApi, bad: Value, condition: &str, reason: &str, says: &str) {
    api.put("tracecaptures", named("neighbour", json!({})));
    api.put("tracecaptures", bad);
    let site = Site::with(api, options("operator-0"));
    pass(seconds(5)).await;
    let (status, found, message) = site.condition("checkout", condition);
    assert_eq!((status.as_str(), found.as_str()), ("False", reason), "{message}");
    assert!(message.contains(says), "`{says}` in `{message}`");
    assert!(site.api.get("statefulsets", SHOP, "neighbour-collector").is_some(), "the others go on");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_parsed() {
    let bad = capture(json!({ "chunk": "large" }));
    check(FakeApi::new(), bad, "Ready", "Unreadable", "spec.chunk").await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_an_older_definition_let_in() {
    let bad = capture(json!({ "retention": { "maxBytes": "60M" } }));
    check(FakeApi::new(), bad, "Ready", "Invalid", "five").await;
}

#[tokio::test(start_paused = true)]
async fn an_overlay_that_weakens_security() {
    let overlay =
        json!({ "spec": { "containers": [{ "name": "collector", "securityContext": { "privileged": true } }] } });
    let bad = capture(json!({ "collector": { "podOverlay": overlay } }));
    check(FakeApi::new(), bad, "Ready", "OverlayRefused", "privileged").await;
    let bad = capture(json!({ "collector": { "podOverlay": { "spec": { "hostNetwork": true } } } }));
    check(FakeApi::new(), bad, "Ready", "Invalid", "hostNetwork").await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_does_not_exist() {
    let bad = capture(json!({ "storage": { "claimName": "nowhere" } }));
    check(FakeApi::new(), bad, "StorageReady", "ClaimMissing", "nowhere").await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_cannot_be_shared() {
    let api = FakeApi::new();
    api.put(
        "persistentvolumeclaims",
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "mine", "namespace": SHOP },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
            "status": { "phase": "Bound", "accessModes": ["ReadWriteOnce"] },
        }),
    );
    let bad = capture(json!({ "collector": { "replicas": 2 }, "storage": { "claimName": "mine" } }));
    let before = api.get("persistentvolumeclaims", SHOP, "mine");
    check(api.clone(), bad, "StorageReady", "AccessModeMismatch", "ReadWriteMany").await;
    assert_eq!(api.get("persistentvolumeclaims", SHOP, "mine"), before, "a claim that was brought is never touched");
}

#[tokio::test(start_paused = true)]
async fn a_storage_class_that_does_not_exist() {
    let bad = capture(json!({ "storage": { "storageClassName": "gold" } }));
    check(FakeApi::new(), bad, "StorageReady", "StorageClassMissing", "gold").await;
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_refuses_the_pods() {
    let api = FakeApi::new();
    api.put(
        "events",
        json!({
            "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e-1", "namespace": SHOP }, "type": "Warning",
            "involvedObject": { "kind": "StatefulSet", "name": "checkout-collector" }, "reason": "FailedCreate",
            "message": "create Pod checkout-collector-0 failed: exceeded quota: compute, requested: memory=1Gi",
            "lastTimestamp": "2026-11-21T11:59:00Z",
        }),
    );
    api.put("tracecaptures", capture(json!({})));
    let site = Site::with(api, options("operator-0"));
    pass(minutes(1)).await;
    let (status, reason, message) = site.condition("checkout", "ReceiversReady");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "QuotaExceeded"), "{message}");
    assert!(message.contains("exceeded quota: compute"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled() {
    let site = Site::at_rest(capture(json!({}))).await;
    site.api.edit("pods", SHOP, "checkout-collector-0", |pod| {
        pod["status"] = json!({
            "phase": "Pending",
            "containerStatuses": [{
                "name": "collector", "ready": false, "restartCount": 0, "image": "i", "imageID": "",
                "state": { "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } },
            }],
        });
    });
    pass(seconds(2)).await;
    let (status, reason, message) = site.condition("checkout", "ReceiversReady");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "ImagePullFailed"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn two_captures_on_one_directory_of_one_claim() {
    let storage = json!({ "storage": { "claimName": "shared", "subPath": "traces" } });
    let site = Site::start([named("early", storage.clone()), named("late", storage)]);
    pass(seconds(5)).await;
    let (_, reason, message) = site.condition("late", "Ready");
    assert_eq!(reason, "ClaimShared", "{message}");
    assert!(message.contains("shop/early"), "{message}");
    assert!(site.api.get("statefulsets", SHOP, "late-collector").is_none());
    assert!(site.api.get("statefulsets", SHOP, "early-collector").is_some());
    site.api.delete("tracecaptures", SHOP, "early");
    pass(seconds(5)).await;
    assert!(site.api.get("statefulsets", SHOP, "late-collector").is_some(), "it has the directory now");
}

#[tokio::test(start_paused = true)]
async fn a_name_of_63_characters_is_well() {
    let name = "a".repeat(63);
    let site = Site::start([named(&name, json!({}))]);
    pass(seconds(5)).await;
    assert_eq!(site.api.list("statefulsets").len(), 1);
    let (_, reason, message) = site.condition(&name, "Ready");
    assert_eq!(reason, "ClaimPending", "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_corrected_recovers() {
    let site = Site::start([capture(json!({ "chunk": "large" }))]);
    pass(seconds(5)).await;
    assert!(!site.has_children());
    site.api.edit("tracecaptures", SHOP, "checkout", |capture| capture["spec"] = json!({}));
    pass(seconds(2)).await;
    assert!(site.has_children());
}
