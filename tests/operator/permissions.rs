//! The operator under exactly the rules of `config/rbac`: none is missing, none is never used.

use serde_json::{Value, json};
use tracecapture::operator::options::{Options, Watched};

use crate::fake::{FakeApi, Rules};
use crate::site::{SHOP, Site, capture, minutes, options, pass, seconds};

/// What no request shows: an admission plugin asks for it in the name of the operator.
const NOT_A_REQUEST: &str = "update tracecaptures/finalizers.tracecapture.dev";

/// Runs a capture from its first day to its last under the rules of a file.
async fn check(rules: &str, options: Options) {
    let api = FakeApi::new();
    api.enforce(Rules::parse(rules));
    let spec = json!({
        "collector": { "replicas": 2 },
        "storage": { "accessModes": ["ReadWriteMany"], "storageClassName": "shared", "deletionPolicy": "Delete" },
        "download": { "statusLink": "Signed" },
    });
    let site = Site::with(api, options);
    site.api.put("tracecaptures", capture(spec));
    pass(seconds(5)).await;
    site.api.settle(SHOP, "checkout");
    pass(minutes(2)).await;
    assert!(site.has_children());
    site.api
        .edit("tracecaptures", SHOP, "checkout", |capture| capture["spec"]["download"]["statusLink"] = json!("None"));
    pass(minutes(1)).await;
    for leftover in leftovers(&site.api) {
        site.api.put(leftover.0, leftover.1);
    }
    pass(seconds(2)).await;
    for leftover in leftovers(&site.api) {
        assert!(site.api.get(leftover.0, SHOP, "leftover").is_none(), "{}", leftover.0);
    }
    // Paused and on again, twice: the second event of a kind is told as a series of the first.
    for value in ["true", "false", "true", "false"] {
        site.api.edit("tracecaptures", SHOP, "checkout", |capture| {
            capture["metadata"]["annotations"] = json!({ "tracecapture.dev/paused": value });
        });
        let state = if value == "true" { "Stopped" } else { "Running" };
        site.api.edit("tracecaptures", SHOP, "checkout", |capture| capture["spec"]["state"] = json!(state));
        site.reports.0.lock().unwrap().health.storage = if value == "true" {
            tracecapture::api::report::StorageHealth::Full { message: "no space".to_owned() }
        } else {
            tracecapture::api::report::StorageHealth::Ok
        };
        pass(minutes(1)).await;
    }
    site.api.delete("tracecaptures", SHOP, "checkout");
    pass(minutes(7)).await;
    assert!(site.api.get("persistentvolumeclaims", SHOP, "checkout-chunks").is_none());
    let metrics = site.metrics();
    let refused =
        metrics.lines().find(|line| line.contains("error=\"Forbidden\"") || line.contains("watch_errors_total{"));
    assert_eq!(refused, None);
    assert_eq!(site.api.unused_grants(), [NOT_A_REQUEST]);
}

/// Returns objects of the capture that this version does not make, as an earlier one may have left them.
fn leftovers(api: &FakeApi) -> Vec<(&'static str, Value)> {
    let uid = api.get("tracecaptures", SHOP, "checkout").unwrap()["metadata"]["uid"].clone();
    let kinds = [
        ("configmaps", "v1", "ConfigMap"),
        ("serviceaccounts", "v1", "ServiceAccount"),
        ("services", "v1", "Service"),
        ("networkpolicies", "networking.k8s.io/v1", "NetworkPolicy"),
        ("poddisruptionbudgets", "policy/v1", "PodDisruptionBudget"),
        ("statefulsets", "apps/v1", "StatefulSet"),
    ];
    let leftover = |(resource, version, kind): (&'static str, &str, &str)| {
        let owner = json!({ "apiVersion": "tracecapture.dev/v1alpha1", "kind": "TraceCapture", "name": "checkout", "uid": uid });
        let object = json!({
            "apiVersion": version, "kind": kind,
            "metadata": {
                "name": "leftover", "namespace": SHOP, "ownerReferences": [owner],
                "labels": { "tracecapture.dev/capture": "checkout" },
            },
        });
        (resource, object)
    };
    kinds.into_iter().map(leftover).collect()
}

#[tokio::test(start_paused = true)]
async fn every_namespace_takes_exactly_the_cluster_role() {
    check(include_str!("../../config/rbac/operator-cluster.yaml"), options("operator-0")).await;
}

#[tokio::test(start_paused = true)]
async fn named_namespaces_take_exactly_their_roles() {
    let watched = Watched::Namespaces(vec![SHOP.to_owned()]);
    let options = Options { watched, ..options("operator-0") };
    check(include_str!("../../config/rbac/operator-namespaced.yaml"), options).await;
}
