//! The claim that is made for a capture grows with it.

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::{CLUSTER_WIDE_LABEL, Cluster, MANAGER, on_cluster, until, until_reason};
use crate::operator::Operator;

/// Makes a class of which volumes are made by hand, and that lets them grow or not.
async fn make_class(cluster: &Cluster, lets_grow: bool) {
    let class = json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": marked(cluster),
        "provisioner": "tracecapture.dev/by-hand", "allowVolumeExpansion": lets_grow });
    let api: Api<StorageClass> = Api::all(cluster.client.clone());
    api.patch(&cluster.namespace, &PatchParams::apply(MANAGER), &Patch::Apply(&class)).await.unwrap();
}

/// Gives the claim of the capture a volume of a class, and waits until it has it.
pub(crate) async fn bind(cluster: &Cluster, class: &str) {
    let volume = json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": marked(cluster), "spec": {
        "capacity": { "storage": "10Gi" }, "accessModes": ["ReadWriteOnce"], "storageClassName": class,
        "persistentVolumeReclaimPolicy": "Retain", "hostPath": { "path": "/var/empty" },
        "claimRef": { "namespace": cluster.namespace, "name": "checkout-chunks" },
    }});
    let api: Api<PersistentVolume> = Api::all(cluster.client.clone());
    api.patch(&cluster.namespace, &PatchParams::apply(MANAGER), &Patch::Apply(&volume)).await.unwrap();
    let is_bound = |claim: Option<&PersistentVolumeClaim>| {
        claim.is_some_and(|claim| claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound")))
    };
    until(&cluster.api(), "checkout-chunks", "the claim is bound", is_bound).await;
}

fn marked(cluster: &Cluster) -> Value {
    json!({ "name": cluster.namespace, "labels": { CLUSTER_WIDE_LABEL: cluster.namespace } })
}

async fn ask_for(cluster: &Cluster, size: &str) {
    cluster.merge("checkout", json!({ "spec": { "storage": { "size": size } } })).await;
}

#[test]
fn a_volume_grows_where_its_class_lets_it_and_is_never_made_smaller() {
    on_cluster(async |cluster| {
        make_class(&cluster, true).await;
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("checkout", &format!("{{storage: {{storageClassName: {}}}}}", cluster.namespace)).await;
        bind(&cluster, &cluster.namespace).await;
        ask_for(&cluster, "20Gi").await;
        let asks_for = |size: &'static str| {
            move |claim: Option<&PersistentVolumeClaim>| {
                let requests = claim.and_then(|claim| claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref());
                requests.is_some_and(|requests| requests["storage"].0 == size)
            }
        };
        until(&cluster.api(), "checkout-chunks", "the claim asks for 20Gi", asks_for("20Gi")).await;
        // By hand, somebody made it even larger: what is asked for in the object is less, and is let be.
        let larger = json!({ "spec": { "resources": { "requests": { "storage": "30Gi" } } } });
        let claim =
            json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "checkout-chunks" } });
        cluster.patch(&claim, &larger).await;
        operator.until_visits(3).await;
        until(&cluster.api(), "checkout-chunks", "the claim asks for 30Gi", asks_for("30Gi")).await;
        operator.end().await;
    });
}

#[test]
fn a_volume_that_may_not_grow_is_told_and_the_rest_goes_on() {
    on_cluster(async |cluster| {
        make_class(&cluster, false).await;
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("checkout", &format!("{{storage: {{storageClassName: {}}}}}", cluster.namespace)).await;
        bind(&cluster, &cluster.namespace).await;
        cluster.merge("checkout", json!({ "spec": { "state": "Stopped", "storage": { "size": "20Gi" } } })).await;
        let message = until_reason(&cluster, "checkout", "StorageReady", "ResizeFailed").await;
        let words = ["checkout-chunks", "from 2Gi to 20Gi", "support resize", "back to `2Gi`"];
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        let is_stopped = |settings: Option<&ConfigMap>| {
            settings.is_some_and(|settings| settings.data.as_ref().unwrap()["capture.yaml"].contains("Stopped"))
        };
        until(&cluster.api(), "checkout-settings", "the settings are applied", is_stopped).await;
        // Visits go on, and none of them asks again for what is refused.
        let refused = |log: &str| log.matches("an object is not applied").count();
        let before = refused(&operator.log());
        operator.until_visits(3).await;
        assert_eq!((before, refused(&operator.log())), (1, 1), "{}", operator.log());
        // The way back: to what the claim has, to less, which changes nothing, and to no wish at all.
        for size in [json!("2Gi"), json!("1Gi"), Value::Null] {
            ask_for(&cluster, "20Gi").await;
            until_reason(&cluster, "checkout", "StorageReady", "ResizeFailed").await;
            cluster.merge("checkout", json!({ "spec": { "storage": { "size": size } } })).await;
            until_reason(&cluster, "checkout", "StorageReady", "NoPodReady").await;
            let claim = cluster.api::<PersistentVolumeClaim>().get("checkout-chunks").await.unwrap();
            assert_eq!(claim.spec.unwrap().resources.unwrap().requests.unwrap()["storage"].0, "2Gi", "{size}");
        }
        operator.end().await;
    });
}
