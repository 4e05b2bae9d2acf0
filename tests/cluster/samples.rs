//! What becomes of the samples: the objects that `tracecapture generate` prints, and conditions that are true.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};
use serde_json::Value;
use tracecapture::api::{ConditionType, Reason, TraceCapture};

use crate::cluster::{Cluster, capture_json, on_cluster, until};
use crate::operator::{IMAGE, Operator};

fn samples() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/samples");
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Reads a sample and moves it to the namespace of the test.
fn sample(cluster: &Cluster, file: &Path) -> TraceCapture {
    let mut value: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    value["metadata"]["namespace"] = cluster.namespace.clone().into();
    serde_json::from_value(value).unwrap()
}

/// Returns what `tracecapture generate` prints for a capture.
pub(crate) fn generated(cluster: &Cluster, capture: &TraceCapture) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("capture.yaml");
    fs::write(&file, serde_json::to_string(&capture).unwrap()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tracecapture"))
        .args(["generate", "--image", IMAGE, "--namespace", &cluster.namespace, "--file"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split("---\n").skip(1).map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

/// Returns the objects of the kind of `body` in the namespace of the test.
pub(crate) fn api_of(cluster: &Cluster, body: &Value) -> Api<DynamicObject> {
    let (version, kind) = (body["apiVersion"].as_str().unwrap(), body["kind"].as_str().unwrap());
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource)
}

/// Checks that everything in `wanted` is in `found`, which may hold more fields.
fn check_within(path: &str, wanted: &Value, found: &Value) {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(_)) => {
            for (name, wanted) in wanted {
                check_within(&format!("{path}.{name}"), wanted, &found[name]);
            }
        }
        (Value::Array(wanted), Value::Array(found)) => {
            assert_eq!(wanted.len(), found.len(), "{path}: {wanted:?} {found:?}");
            for (n, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                check_within(&format!("{path}[{n}]"), wanted, found);
            }
        }
        _ => assert_eq!(wanted, found, "{path}"),
    }
}

/// Waits until every condition speaks of the current generation.
pub(crate) async fn until_told(cluster: &Cluster, name: &str) -> TraceCapture {
    let told = |capture: Option<&TraceCapture>| {
        let Some((capture, status)) = capture.and_then(|capture| Some((capture, capture.status.as_ref()?))) else {
            return false;
        };
        let generation = capture.metadata.generation;
        status.conditions.len() == ConditionType::ALL.len()
            && status.conditions.iter().all(|condition| condition.observed_generation == generation)
    };
    until(&cluster.api(), name, "every condition speaks of the current generation", told).await.unwrap()
}

async fn check_sample(cluster: &Cluster, file: &Path) {
    let sample = sample(cluster, file);
    let name = sample.metadata.name.clone().unwrap();
    cluster.api().create(&PostParams::default(), &sample).await.unwrap();
    for mut wanted in generated(cluster, &sample) {
        let child = wanted["metadata"]["name"].as_str().unwrap().to_owned();
        if child.ends_with("-settings") {
            // They hold the uid and the key of the installation, which only the operator knows.
            wanted.as_object_mut().unwrap().remove("data");
        }
        let kind = wanted["kind"].as_str().unwrap().to_owned();
        let (api, what) = (api_of(cluster, &wanted), format!("{kind} is made"));
        until(&api, &child, &what, |child: Option<&DynamicObject>| child.is_some()).await;
        let found = serde_json::to_value(api.get(&child).await.unwrap()).unwrap();
        check_within(&format!("{kind} {child}"), &wanted, &found);
        let owner = &found["metadata"]["ownerReferences"][0];
        assert_eq!(owner["name"].as_str(), (kind != "PersistentVolumeClaim").then_some(&*name), "{kind}: {owner}");
    }
    check_truthful(cluster, &until_told(cluster, &name).await).await;
}

/// Checks conditions and endpoints against the pods that there are.
async fn check_truthful(cluster: &Cluster, capture: &TraceCapture) {
    let status = capture.status.as_ref().unwrap();
    for condition in &status.conditions {
        assert!(Reason::named(&condition.reason).is_some(), "{condition:?}");
        assert!(!condition.message.is_empty(), "{condition:?}");
    }
    let pods = cluster.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
    let is_ready = |pod: &Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let holds = |kind: &str| status.conditions.iter().any(|c| c.type_ == kind && c.status == "True");
    if !pods.iter().any(is_ready) {
        for kind in ["Ready", "ReceiversReady", "DownloadReady", "StorageReady"] {
            assert!(!holds(kind), "no pod is ready: {:?}", status.conditions);
        }
        assert_eq!((status.ready_replicas, status.storage.as_ref()), (Some(0), None));
    }
    let endpoint = status.endpoints.as_ref().unwrap().grpc.clone().unwrap();
    assert_eq!(
        endpoint,
        format!("http://{}-otlp.{}.svc:4317", capture.metadata.name.as_deref().unwrap(), cluster.namespace)
    );
}

#[test]
fn each_sample_gets_its_objects_and_conditions_that_are_true() {
    for file in samples() {
        on_cluster(async |cluster| {
            let operator = Operator::start(&cluster, "operator-0").await;
            check_sample(&cluster, &file).await;
            operator.end().await;
        });
    }
}

#[test]
fn what_the_spec_no_longer_asks_for_is_deleted() {
    on_cluster(async |cluster| {
        let operator = Operator::start(&cluster, "operator-0").await;
        let spec = "{collector: {replicas: 2}, storage: {claimName: shared}}";
        cluster.create("checkout", spec).await;
        let budget = capture_json("checkout-collector", "{}");
        let budget = serde_json::json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": budget["metadata"] });
        let budgets = api_of(&cluster, &budget);
        until(&budgets, "checkout-collector", "the budget is made", |budget: Option<&DynamicObject>| budget.is_some())
            .await;
        cluster.merge("checkout", serde_json::json!({ "spec": { "collector": { "replicas": 1 } } })).await;
        until(&budgets, "checkout-collector", "the budget is gone", |budget: Option<&DynamicObject>| budget.is_none())
            .await;
        operator.end().await;
    });
}
