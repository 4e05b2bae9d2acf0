//! The operator uses every right that it asks for, and no other.

use std::collections::BTreeSet;

use kube::ResourceExt as _;
use kube::api::{DeleteParams, DynamicObject};
use serde_json::{Value, json};
use tracecapture::api::TraceCapture;
use tracecapture::api::names::CAPTURE_LABEL;

use crate::audit::{self, Use};
use crate::cluster::{Cluster, alone_on_cluster, on_cluster, until, until_reason};
use crate::collector::be_annotated;
use crate::link_command::until_link;
use crate::operator::Operator;
use crate::rights::Scope;
use crate::samples::{api_of, until_told};

/// What admission asks for and no request shows: the tier has `OwnerReferencesPermissionEnforcement` on.
const ASKED_BY_ADMISSION: (&str, &str) = ("update", "tracecapture.dev/tracecaptures/finalizers");

/// What only a collector that runs brings about; where a kubelet runs, it has no image to run here.
const ASKED_FOR_COLLECTORS: (&str, &str) = ("patch", "/pods");

#[test]
fn in_named_namespaces_every_right_is_used_and_none_is_missing() {
    on_cluster(async |cluster| check_contract(&cluster, Scope::Namespace).await);
}

#[test]
fn in_every_namespace_every_right_is_used_and_none_is_missing() {
    alone_on_cluster(async |cluster| check_contract(&cluster, Scope::Everywhere).await);
}

async fn check_contract(cluster: &Cluster, scope: Scope) {
    let flags = ["--public-url", "https://captures.example.com"];
    let operator = Operator::start_in(cluster, scope, "operator-0", &flags).await;
    live_through(cluster).await;
    operator.end().await;
    // A key that is there is read and not made.
    let has_nodes = cluster.has_nodes().await;
    if has_nodes {
        let operator = Operator::start_in(cluster, scope, "operator-1", &[]).await;
        operator.until_leading().await;
        operator.end().await;
    } else {
        be_annotated(cluster, scope).await;
    }
    let Some(requests) = audit::requests(cluster) else { return };
    let granted = scope.granted(cluster);
    let used: BTreeSet<Use> = requests.into_iter().filter(|request| request.is_allowed).flat_map(uses).collect();
    let mut excused = vec![ASKED_BY_ADMISSION];
    excused.extend(has_nodes.then_some(ASKED_FOR_COLLECTORS));
    let is_excused = |granted: &&Use| excused.contains(&(&*granted.0, &*granted.1));
    let unused: Vec<_> = granted.difference(&used).filter(|granted| !is_excused(granted)).collect();
    assert!(unused.is_empty(), "granted and not used: {unused:#?}");
    let missing: Vec<_> = used.difference(&granted).collect();
    assert!(missing.is_empty(), "used and not granted: {missing:#?}");
}

/// An apply that makes an object is noted as a patch, and asks for both rights.
fn uses(request: audit::Request) -> Vec<Use> {
    let made =
        (request.verb == "patch" && request.code == 201).then(|| ("create".to_owned(), request.resource.clone()));
    made.into_iter().chain([request.into_use()]).collect()
}

/// Everything that happens to captures.
async fn live_through(cluster: &Cluster) {
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "none" }, "spec": { "hard": { "pods": "0" } } });
    cluster.apply("somebody-else", &quota).await;
    let is_counted =
        |quota: Option<&DynamicObject>| quota.is_some_and(|quota| quota.data["status"]["hard"].is_object());
    until(&api_of(cluster, &quota), "none", "the quota counts", is_counted).await;
    cluster.create("refused", "{storage: {storageClassName: no-such-class}}").await;
    until_reason(cluster, "refused", "ReceiversReady", "QuotaExceeded").await;
    api_of(cluster, &quota).delete("none", &DeleteParams::default()).await.unwrap();

    cluster
        .create(
            "checkout",
            "{storage: {deletionPolicy: Delete, accessModes: [ReadWriteMany]}, collector: {replicas: 2}}",
        )
        .await;
    let made = until_told(cluster, "checkout").await;
    // The second time, the event is counted in the first one.
    for _ in 0..2 {
        overlay(
            cluster,
            json!({ "spec": { "containers": [{ "name": "collector", "securityContext": { "privileged": true } }] } }),
        )
        .await;
        until_reason(cluster, "checkout", "ReceiversReady", "OverlayRefused").await;
        overlay(cluster, Value::Null).await;
        until_told(cluster, "checkout").await;
    }
    for (wanted, is_there) in [("Signed", true), ("None", false), ("Signed", true)] {
        cluster.merge("checkout", json!({ "spec": { "download": { "statusLink": wanted } } })).await;
        until_link(cluster, "checkout", is_there).await;
    }
    leave_behind(cluster, &made).await;
    cluster.api::<TraceCapture>().delete("checkout", &DeleteParams::default()).await.unwrap();
    until(&cluster.api(), "checkout", "it is gone", |capture: Option<&TraceCapture>| capture.is_none()).await;
}

async fn overlay(cluster: &Cluster, overlay: Value) {
    cluster.merge("checkout", json!({ "spec": { "collector": { "podOverlay": overlay } } })).await;
}

/// Makes objects such as an earlier version may have made, and waits until they are deleted.
async fn leave_behind(cluster: &Cluster, capture: &TraceCapture) {
    let metadata = json!({
        "name": "checkout-former", "labels": { CAPTURE_LABEL: "checkout" },
        "ownerReferences": [{ "apiVersion": "tracecapture.dev/v1alpha1", "kind": "TraceCapture", "name": "checkout",
            "uid": capture.uid().unwrap(), "controller": true }],
    });
    for (version, kind, rest) in [
        ("v1", "ConfigMap", json!({})),
        ("v1", "ServiceAccount", json!({})),
        ("v1", "Service", json!({ "spec": { "ports": [{ "port": 1 }] } })),
        ("networking.k8s.io/v1", "NetworkPolicy", json!({ "spec": { "podSelector": {} } })),
        ("policy/v1", "PodDisruptionBudget", json!({ "spec": { "minAvailable": 1 } })),
    ] {
        let mut object = json!({ "apiVersion": version, "kind": kind, "metadata": metadata });
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        cluster.apply("tracecapture", &object).await;
        let (api, what) = (api_of(cluster, &object), format!("{kind} is deleted"));
        until(&api, "checkout-former", &what, |object: Option<&DynamicObject>| object.is_none()).await;
    }
}
