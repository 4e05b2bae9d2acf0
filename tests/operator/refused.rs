//! What the API server refuses, and what belongs to somebody else: the rest of the capture goes on.

use serde_json::{Value, json};
use tracecapture::api::report::StorageHealth;
use tracecapture::operator::options::Options;

use crate::fake::{FakeApi, Fault};
use crate::site::{SHOP, Site, capture, minutes, options, pass, seconds};

const ALWAYS: usize = usize::MAX;

/// Refuses every write to a resource for good.
fn refuse(api: &FakeApi, resource: &'static str) {
    let fault = Fault::Status(422, "Invalid", "as the test wants it");
    api.fail(ALWAYS, fault, move |asked| asked.is_write() && asked.is("patch", resource));
}

/// Returns what the claim asks for.
fn claimed(site: &Site) -> Value {
    site.api.get("persistentvolumeclaims", SHOP, "checkout-chunks").unwrap()["spec"]["resources"]["requests"]["storage"]
        .clone()
}

fn set(site: &Site) -> Option<Value> {
    site.api.get("statefulsets", SHOP, "checkout-collector")
}

#[tokio::test(start_paused = true)]
async fn a_refused_object_keeps_nobody_from_looking() {
    let site = Site::at_rest(capture(json!({}))).await;
    refuse(&site.api, "networkpolicies");
    site.api.delete("networkpolicies", SHOP, "checkout-collector");
    pass(seconds(2)).await;
    assert_eq!(site.condition("checkout", "ReceiversReady").1, "ApplyFailed");
    site.api.forget_verbs();
    site.reports.0.lock().unwrap().health.storage = StorageHealth::Full { message: "no space".to_owned() };
    pass(seconds(35)).await;
    assert_eq!(site.condition("checkout", "StorageReady").1, "VolumeFull");
    pass(minutes(3)).await;
    let tries = |site: &Site| site.api.writes().iter().filter(|verb| verb.is("patch", "networkpolicies")).count();
    assert_eq!(tries(&site), 0, "what was refused is left alone for a while");
    // A change of the capture may be what it takes.
    site.api.edit("tracecaptures", SHOP, "checkout", |capture| capture["spec"]["state"] = json!("Stopped"));
    pass(seconds(2)).await;
    assert_eq!(tries(&site), 1);
    site.api.heal();
    pass(minutes(6)).await;
    assert!(site.has_children());
    assert_ne!(site.condition("checkout", "ReceiversReady").1, "ApplyFailed");
}

#[tokio::test(start_paused = true)]
async fn other_drift_is_repaired_beside_a_refused_object() {
    let site = Site::at_rest(capture(json!({}))).await;
    refuse(&site.api, "networkpolicies");
    site.api.delete("networkpolicies", SHOP, "checkout-collector");
    pass(seconds(2)).await;
    site.api.delete("configmaps", SHOP, "checkout-settings");
    pass(seconds(2)).await;
    assert!(site.api.get("configmaps", SHOP, "checkout-settings").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_refused_growth_is_told_and_can_be_taken_back() {
    let site = Site::at_rest(capture(json!({ "storage": { "size": "2Gi" } }))).await;
    refuse(&site.api, "persistentvolumeclaims");
    let ask_for = |size: &'static str| {
        site.api.edit("tracecaptures", SHOP, "checkout", |capture| {
            capture["spec"]["storage"]["size"] = json!(size);
            capture["spec"]["state"] = json!(if size == "3Gi" { "Stopped" } else { "Running" });
        });
    };
    ask_for("3Gi");
    pass(seconds(2)).await;
    let (status, reason, message) = site.condition("checkout", "StorageReady");
    assert_eq!((&*status, &*reason), ("True", "ResizeFailed"), "{message}");
    assert!(message.contains("`2Gi`") && message.contains("as the test wants it"), "{message}");
    assert_ne!(site.condition("checkout", "ReceiversReady").1, "ApplyFailed");
    let settings = site.api.get("configmaps", SHOP, "checkout-settings").unwrap();
    assert!(settings["data"]["capture.yaml"].as_str().unwrap().contains("Stopped"), "the others are applied");
    ask_for("2Gi");
    site.api.heal();
    pass(seconds(2)).await;
    assert_eq!((claimed(&site), &*site.condition("checkout", "StorageReady").1), (json!("2Gi"), "Mounted"));
    ask_for("1Gi");
    pass(seconds(2)).await;
    assert_eq!((claimed(&site), &*site.condition("checkout", "StorageReady").1), (json!("2Gi"), "ShrinkRefused"));
}

/// Checks that no pods are made while `foreign` is there, and that they are once it is gone.
async fn check_withheld(resource: &'static str, foreign: Value) {
    let api = FakeApi::new();
    let name = foreign["metadata"]["name"].as_str().unwrap().to_owned();
    api.put(resource, foreign);
    let before = api.get(resource, SHOP, &name);
    api.put("tracecaptures", capture(json!({})));
    let site = Site::with(api, options("operator-0"));
    pass(seconds(5)).await;
    assert_eq!(set(&site), None, "{name}");
    let (status, reason, message) = site.condition("checkout", "ReceiversReady");
    assert_eq!((&*status, &*reason), ("False", "ApplyFailed"), "{message}");
    assert!(message.contains(&name) && message.contains("neither made nor changed"), "{message}");
    pass(minutes(2)).await;
    assert_eq!((set(&site), site.api.get(resource, SHOP, &name)), (None, before));
    assert!(site.api.get("services", SHOP, "checkout-otlp").is_some(), "the others are made");
    site.api.delete(resource, SHOP, &name);
    pass(minutes(1)).await;
    assert!(site.has_children(), "{name}");
}

#[tokio::test(start_paused = true)]
async fn no_pods_are_made_on_what_is_somebody_elses() {
    let of = |version: &str, kind: &str, name: &str| json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name, "namespace": SHOP }, "spec": {} });
    check_withheld("configmaps", of("v1", "ConfigMap", "checkout-settings")).await;
    check_withheld("serviceaccounts", of("v1", "ServiceAccount", "checkout-collector")).await;
    check_withheld("persistentvolumeclaims", of("v1", "PersistentVolumeClaim", "checkout-chunks")).await;
}

#[tokio::test(start_paused = true)]
async fn pods_that_run_stay_as_they_are_beside_what_is_somebody_elses() {
    let spec = json!({ "collector": { "replicas": 2 }, "storage": { "accessModes": ["ReadWriteMany"] } });
    let site = Site::at_rest(capture(spec)).await;
    site.api.fail(1, Fault::Stall, |asked| asked.is("patch", "configmaps"));
    site.api.delete("configmaps", SHOP, "checkout-settings");
    site.api.put(
        "configmaps",
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "checkout-settings", "namespace": SHOP } }),
    );
    let before = set(&site).unwrap();
    assert!(site.operator.stop().await);
    let site = Site::with(site.api, options("operator-1"));
    pass(seconds(5)).await;
    site.api.edit("tracecaptures", SHOP, "checkout", |capture| capture["spec"]["collector"]["replicas"] = json!(3));
    pass(minutes(1)).await;
    assert_eq!(set(&site).unwrap(), before);
    assert_eq!(site.api.list("pods").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_two_installations_one_gives_way_and_the_other_tells() {
    let first = Site::at_rest(capture(json!({}))).await;
    let elsewhere = Options { namespace: "another-system".to_owned(), ..options("operator-0") };
    let second = Site::with(first.api.clone(), elsewhere);
    pass(minutes(1)).await;
    let (_, reason, message) = first.condition("checkout", "ReceiversReady");
    assert_eq!(reason, "Contested", "{message}");
    assert!(message.contains("`tracecapture-system`") && message.contains("--watch-namespace"), "{message}");
    first.api.forget_verbs();
    pass(minutes(60)).await;
    let writes = first.api.writes();
    assert!(writes.len() < 200, "in an hour: {}", writes.len());
    assert_eq!(first.condition("checkout", "ReceiversReady").1, "Contested");
    assert!(first.operator.stop().await);
    pass(minutes(11)).await;
    assert_ne!(second.condition("checkout", "ReceiversReady").1, "Contested");
}
