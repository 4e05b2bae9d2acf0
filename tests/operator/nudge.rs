//! Pods are told that their settings changed, so that no kubelet has to come by first.

use serde_json::{Value, json};

use crate::fake::Fault;
use crate::site::{SHOP, Site, capture, minutes, pass, seconds};

const POD: &str = "checkout-collector-0";

/// Returns a site whose collectors work by the first settings.
async fn at_rest() -> Site {
    let site = Site::start([capture(json!({}))]);
    site.reports.0.lock().unwrap().generation = Some(1);
    pass(seconds(5)).await;
    site.api.settle(SHOP, "checkout");
    pass(minutes(5)).await;
    site.api.forget_verbs();
    site
}

fn edit(site: &Site) {
    site.api.edit("tracecaptures", SHOP, "checkout", |capture| {
        capture["spec"]["retention"] = json!({ "maxAgeSeconds": 3600 });
    });
}

fn note(site: &Site) -> Value {
    site.api.get("pods", SHOP, POD).unwrap()["metadata"]["annotations"]["tracecapture.dev/settings-generation"].clone()
}

/// How many times a pod was written.
fn notes(site: &Site) -> usize {
    site.api.writes().iter().filter(|write| write.target.resource == "pods").count()
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_told_once_and_looked_at_soon() {
    let site = at_rest().await;
    assert_eq!(note(&site), Value::Null, "it mounted what it works by");
    edit(&site);
    pass(seconds(2)).await;
    assert_eq!(note(&site), "2");
    assert_eq!(site.condition("checkout", "ReceiversReady").1, "SettingsPending");
    site.reports.0.lock().unwrap().generation = Some(2);
    pass(seconds(4)).await;
    assert_eq!(site.condition("checkout", "ReceiversReady").1, "AllReady");
    pass(minutes(10)).await;
    assert_eq!(notes(&site), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_told_in_vain_waits_for_its_kubelet() {
    let site = at_rest().await;
    edit(&site);
    pass(minutes(10)).await;
    assert_eq!(notes(&site), 1);
    assert_eq!(site.condition("checkout", "ReceiversReady").1, "SettingsPending");
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_told_when_its_settings_are_there() {
    let site = at_rest().await;
    let refused = Fault::Status(422, "Invalid", "as the test wants it");
    site.api.fail(usize::MAX, refused, |asked| asked.is("patch", "configmaps"));
    edit(&site);
    pass(minutes(2)).await;
    assert_eq!(notes(&site), 0, "it would read what it has");
    site.api.heal();
    pass(minutes(6)).await;
    assert_eq!(note(&site), "2");
}

#[tokio::test(start_paused = true)]
async fn where_pods_may_not_be_written_all_else_goes_on() {
    let site = at_rest().await;
    let refused = Fault::Status(403, "Forbidden", "as the test wants it");
    site.api.fail(usize::MAX, refused, |asked| asked.is("patch", "pods"));
    edit(&site);
    pass(minutes(4)).await;
    assert_eq!(site.condition("checkout", "ReceiversReady").1, "SettingsPending");
    assert_eq!(notes(&site), 1, "what was refused is left alone for a while");
    site.reports.0.lock().unwrap().generation = Some(2);
    pass(seconds(31)).await;
    assert_eq!(site.condition("checkout", "ReceiversReady").1, "AllReady");
    assert_eq!(site.condition("checkout", "Ready").1, "Receiving");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_slow_with_pods_keeps_no_status_back() {
    let site = at_rest().await;
    site.api.fail(usize::MAX, Fault::Stall, |asked| asked.is("patch", "pods"));
    edit(&site);
    pass(seconds(8)).await;
    assert_eq!(site.condition("checkout", "ReceiversReady").1, "SettingsPending");
    site.reports.0.lock().unwrap().generation = Some(2);
    pass(seconds(31)).await;
    assert_eq!(site.condition("checkout", "ReceiversReady").1, "AllReady");
}
