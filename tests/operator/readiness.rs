//! What the metrics say of captures that take no spans.

use serde_json::json;
use tracecapture::operator::options::Options;

use crate::fake::Fault;
use crate::site::{SHOP, Site, capture, minutes, options, pass, seconds};

/// Returns what is told of `checkout`, where anything is.
fn told(site: &Site) -> Option<String> {
    let series = "tracecapture_operator_capture_ready{namespace=\"shop\",name=\"checkout\"} ";
    site.metrics().lines().find_map(|line| line.strip_prefix(series)).map(str::to_owned)
}

/// Takes the pod of `checkout` out of service, as a node does that goes away.
fn lose_the_pod(site: &Site) {
    site.api.edit("pods", SHOP, "checkout-collector-0", |pod| {
        pod["status"]["conditions"] = json!([{ "type": "Ready", "status": "False" }]);
    });
    site.api.edit("statefulsets", SHOP, "checkout-collector", |set| set["status"]["readyReplicas"] = json!(0));
}

#[tokio::test(start_paused = true)]
async fn a_capture_is_not_ready_then_ready_then_forgotten() {
    let site = Site::start([capture(json!({}))]);
    pass(minutes(20)).await;
    assert_eq!(told(&site).as_deref(), Some("0"), "nothing starts its pods");
    site.api.settle(SHOP, "checkout");
    pass(minutes(1)).await;
    assert_eq!(told(&site).as_deref(), Some("1"));
    lose_the_pod(&site);
    pass(minutes(1)).await;
    assert_eq!(told(&site).as_deref(), Some("0"));
    site.api.delete("tracecaptures", SHOP, "checkout");
    pass(minutes(1)).await;
    assert_eq!(told(&site), None);
}

#[tokio::test(start_paused = true)]
async fn a_capture_that_is_stopped_alarms_nobody() {
    let site = Site::start([capture(json!({}))]);
    pass(minutes(1)).await;
    assert_eq!(told(&site).as_deref(), Some("0"));
    let put = |state: &'static str| {
        site.api.edit("tracecaptures", SHOP, "checkout", |capture| capture["spec"]["state"] = json!(state));
    };
    put("Stopped");
    pass(seconds(2)).await;
    assert_eq!(told(&site), None);
    put("Running");
    pass(seconds(2)).await;
    assert_eq!(told(&site).as_deref(), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn a_capture_whose_end_takes_long_alarms_nobody() {
    // The server dates the deletion to the beginning of the test's clock, and pods are waited for five minutes.
    let site = Site::start([capture(json!({ "storage": { "deletionPolicy": "Delete" } }))]);
    pass(seconds(5)).await;
    site.api.settle(SHOP, "checkout");
    lose_the_pod(&site);
    site.api.edit("pods", SHOP, "checkout-collector-0", |pod| {
        pod["metadata"]["finalizers"] = json!(["example.com/lost-node"]);
    });
    pass(minutes(1)).await;
    assert_eq!(told(&site).as_deref(), Some("0"));
    site.api.delete("tracecaptures", SHOP, "checkout");
    pass(minutes(1)).await;
    assert!(site.api.get("tracecaptures", SHOP, "checkout").is_some(), "its pod holds it up");
    assert_eq!(told(&site), None);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_written_is_told_by_the_metric() {
    let site = Site::at_rest(capture(json!({}))).await;
    let forbidden = Fault::Status(403, "Forbidden", "as the test wants it");
    site.api.fail(usize::MAX, forbidden, |asked| asked.is_write() && asked.is("patch", "tracecaptures"));
    lose_the_pod(&site);
    pass(minutes(1)).await;
    assert_eq!(site.condition("checkout", "Ready").0, "True", "the last one that could be written");
    assert_eq!(told(&site).as_deref(), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_looked_at_stays_as_it_was_seen() {
    let site = Site::at_rest(capture(json!({}))).await;
    site.api.fail(usize::MAX, Fault::Stall, |asked| asked.is("get", "tracecaptures"));
    lose_the_pod(&site);
    pass(minutes(5)).await;
    assert_eq!(told(&site).as_deref(), Some("1"));
    site.api.heal();
    pass(minutes(5)).await;
    assert_eq!(told(&site).as_deref(), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn only_the_installation_that_looks_after_a_capture_tells_of_it() {
    let site = Site::at_rest(capture(json!({}))).await;
    let follower = Site::with(site.api.clone(), options("operator-1"));
    let elsewhere = Options { namespace: "another-system".to_owned(), ..options("operator-0") };
    let other = Site::with(site.api.clone(), elsewhere);
    pass(minutes(5)).await;
    assert_eq!(told(&follower), None, "it does not visit");
    let telling = [&site, &other].map(|site| told(site).is_some());
    assert_eq!(telling.iter().filter(|tells| **tells).count(), 1, "{telling:?}");
}
