//! Replicas of the operator: one visits, the others stand by.

use serde_json::{Value, json};

use crate::fake::{FakeApi, Fault, Verb};
use crate::site::{SHOP, SYSTEM, Site, capture, minutes, options, pass, seconds};

fn leads(site: &Site) -> bool {
    site.metrics().lines().any(|line| line == "tracecapture_operator_leader 1")
}

fn holder(api: &FakeApi) -> Value {
    api.get("leases", SYSTEM, "tracecapture-operator").unwrap()["spec"]["holderIdentity"].clone()
}

#[tokio::test(start_paused = true)]
async fn of_two_replicas_one_leads_and_hands_over_when_it_ends() {
    let api = FakeApi::new();
    api.put("tracecaptures", capture(json!({})));
    let first = Site::with(api.clone(), options("operator-0"));
    pass(seconds(5)).await;
    let second = Site::with(api.clone(), options("operator-1"));
    pass(minutes(3)).await;
    assert!(leads(&first) && !leads(&second));
    assert_eq!((second.operator.admin().ready)(), Ok(()), "a follower is ready");
    assert_eq!(api.list("secrets").len(), 1, "both have the same key");
    assert!(first.operator.stop().await);
    assert_eq!(holder(&api), Value::Null);
    pass(seconds(3)).await;
    assert!(leads(&second), "it is handed over at once");
    api.delete("configmaps", SHOP, "checkout-settings");
    pass(seconds(2)).await;
    assert!(second.has_children());
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_a_dead_replica_is_waited_for() {
    let api = FakeApi::new();
    api.put("tracecaptures", capture(json!({})));
    api.put("leases", json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": "tracecapture-operator", "namespace": SYSTEM },
        // Renewed in the far past by its own clock, which counts for nothing.
        "spec": { "holderIdentity": "ghost", "leaseDurationSeconds": 60, "renewTime": "2020-01-01T00:00:00.000000Z" },
    }));
    let site = Site::with(api, options("operator-0"));
    pass(seconds(55)).await;
    assert!(!leads(&site) && !site.has_children());
    pass(seconds(25)).await;
    assert!(leads(&site) && site.has_children());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_pauses_and_goes_on_later() {
    let site = Site::at_rest(capture(json!({}))).await;
    let unreachable = Fault::Stall;
    site.api.fail(usize::MAX, unreachable, |asked| asked.target.resource == "leases");
    pass(seconds(60)).await;
    assert!(!leads(&site));
    site.api.delete("configmaps", SHOP, "checkout-settings");
    pass(minutes(2)).await;
    assert!(!site.has_children(), "nothing is written without the lease");
    site.api.heal();
    pass(seconds(40)).await;
    assert!(leads(&site) && site.has_children());
}

#[tokio::test(start_paused = true)]
async fn who_cannot_list_captures_says_so_and_leaves_the_lease() {
    let start = "the watches have not told yet what is there: TraceCapture: cannot list: tracecaptures is forbidden";
    check_unable(&["tracecaptures"], start).await;
    check_unable(
        &["tracecaptures", "customresourcedefinitions"],
        "cannot list TraceCapture objects in every namespace: tracecaptures is forbidden",
    )
    .await;
}

/// Checks what an operator says that cannot read these resources, and that it leads once it can.
async fn check_unable(hidden: &'static [&'static str], start: &str) {
    let api = FakeApi::new();
    api.put("tracecaptures", capture(json!({})));
    let words = "tracecaptures is forbidden: User \"operator\" cannot list resource \"tracecaptures\"";
    let is_read = |verb: &str| ["get", "list"].contains(&verb);
    let is_hidden = move |asked: &Verb| is_read(asked.verb) && hidden.contains(&&*asked.target.resource);
    api.fail(usize::MAX, Fault::Status(403, "Forbidden", words), is_hidden);
    let site = Site::with(api.clone(), options("operator-0"));
    pass(minutes(2)).await;
    assert!(api.get("leases", SYSTEM, "tracecapture-operator").is_none());
    let said = (site.operator.admin().ready)().unwrap_err();
    assert!(said.starts_with(start), "{said}");
    assert_eq!(said.matches("forbidden").count(), 1, "{said}");
    api.heal();
    pass(minutes(1)).await;
    assert!(leads(&site) && site.has_children());
}
