//! What is left when a capture is deleted.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tracecapture::api::TraceCapture;

use crate::cluster::{Cluster, capture, on_cluster, until};
use crate::operator::Operator;
use crate::samples::{api_of, generated, until_told};

/// Waits until every object of a capture but its claim is there, or gone.
async fn until_children(cluster: &Cluster, spec: &str, are_there: bool) {
    for child in generated(cluster, &capture("checkout", spec)) {
        if child["kind"] == "PersistentVolumeClaim" {
            continue;
        }
        let (api, what) = (api_of(cluster, &child), format!("{} there: {are_there}", child["kind"]));
        let name = child["metadata"]["name"].as_str().unwrap();
        until(&api, name, &what, |child: Option<&DynamicObject>| child.is_some() == are_there).await;
    }
}

async fn delete(cluster: &Cluster) {
    cluster.api::<TraceCapture>().delete("checkout", &DeleteParams::background()).await.unwrap();
}

async fn until_gone(cluster: &Cluster) {
    until(&cluster.api(), "checkout", "it is gone", |capture: Option<&TraceCapture>| capture.is_none()).await;
}

async fn claim(cluster: &Cluster) -> PersistentVolumeClaim {
    let is_there = |claim: Option<&PersistentVolumeClaim>| claim.is_some();
    until(&cluster.api(), "checkout-chunks", "the claim is made", is_there).await.unwrap()
}

#[test]
fn the_volume_outlives_its_capture_and_is_taken_up_again() {
    on_cluster(async |cluster| {
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("checkout", "{}").await;
        until_children(&cluster, "{}", true).await;
        let before = claim(&cluster).await;
        assert_eq!(before.finalizers(), ["kubernetes.io/pvc-protection"]);
        delete(&cluster).await;
        until_gone(&cluster).await;
        until_children(&cluster, "{}", false).await;
        cluster.create("checkout", "{}").await;
        until_children(&cluster, "{}", true).await;
        let after = claim(&cluster).await;
        assert_eq!((after.uid(), after.metadata.deletion_timestamp), (before.uid(), None));
        operator.end().await;
    });
}

#[test]
fn the_volume_goes_with_its_capture_where_that_is_asked_for() {
    on_cluster(async |cluster| {
        let spec = "{storage: {deletionPolicy: Delete}}";
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("checkout", spec).await;
        until_children(&cluster, spec, true).await;
        claim(&cluster).await;
        delete(&cluster).await;
        until_gone(&cluster).await;
        let is_gone = |claim: Option<&PersistentVolumeClaim>| claim.is_none();
        until(&cluster.api(), "checkout-chunks", "the claim is gone", is_gone).await;
        until_children(&cluster, spec, false).await;
        operator.end().await;
    });
}

#[test]
fn a_deletion_waits_for_an_operator_that_is_away() {
    on_cluster(async |cluster| {
        let spec = "{storage: {deletionPolicy: Delete}}";
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("checkout", spec).await;
        claim(&cluster).await;
        operator.end().await;
        delete(&cluster).await;
        let waiting = cluster.api::<TraceCapture>().get("checkout").await.unwrap();
        assert_eq!(waiting.finalizers(), ["tracecapture.dev/volume"]);
        let operator = Operator::start(&cluster, "operator-1").await;
        until_gone(&cluster).await;
        operator.end().await;
    });
}

#[test]
fn a_change_of_mind_about_the_volume_counts() {
    on_cluster(async |cluster| {
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("checkout", "{storage: {deletionPolicy: Delete}}").await;
        until_told(&cluster, "checkout").await;
        let has = |n: usize| move |capture: Option<&TraceCapture>| capture.is_some_and(|c| c.finalizers().len() == n);
        until(&cluster.api(), "checkout", "it has the finalizer", has(1)).await;
        cluster.merge("checkout", json!({ "spec": { "storage": { "deletionPolicy": "Retain" } } })).await;
        until(&cluster.api(), "checkout", "it has no finalizer", has(0)).await;
        delete(&cluster).await;
        until_gone(&cluster).await;
        assert_eq!(claim(&cluster).await.metadata.deletion_timestamp, None);
        operator.end().await;
    });
}

#[test]
fn finalizers_of_others_are_left_alone() {
    on_cluster(async |cluster| {
        let foreign = |finalizers: Value| json!({ "metadata": { "finalizers": finalizers } });
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("checkout", "{storage: {deletionPolicy: Delete}}").await;
        let api = cluster.api::<TraceCapture>();
        let has = |n: usize| move |capture: Option<&TraceCapture>| capture.is_some_and(|c| c.finalizers().len() == n);
        until(&api, "checkout", "it has the finalizer", has(1)).await;
        let both = foreign(json!(["tracecapture.dev/volume", "example.com/mine"]));
        api.patch("checkout", &PatchParams::default(), &Patch::Merge(&both)).await.unwrap();
        delete(&cluster).await;
        let ours_is_gone =
            |capture: Option<&TraceCapture>| capture.is_some_and(|c| c.finalizers() == ["example.com/mine"]);
        until(&api, "checkout", "only the finalizer of the other is left", ours_is_gone).await;
        api.patch("checkout", &PatchParams::default(), &Patch::Merge(&foreign(Value::Null))).await.unwrap();
        until_gone(&cluster).await;
        operator.end().await;
    });
}
