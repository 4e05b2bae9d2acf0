//! What operators of earlier versions made, as `tests/golden/operator` keeps it: no pod is restarted for it.

use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};
use tracecapture::api::TraceCapture;

use crate::cluster::{Cluster, on_cluster};
use crate::operator::Operator;
use crate::samples::until_told;

/// Returns the files of every version.
fn golden() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/operator");
    let versions = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = |version: PathBuf| fs::read_dir(version).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = versions.flat_map(files).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Makes what an earlier operator left: a capture and its children, applied by the same field manager.
async fn restore(cluster: &Cluster, file: &Path) -> TraceCapture {
    let text = fs::read_to_string(file).unwrap();
    let text =
        text.replace("capture-namespace", &cluster.namespace).replace("installation-namespace", &cluster.namespace);
    let mut documents = text.split("---\n").map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    let capture: TraceCapture = serde_json::from_value(documents.next().unwrap()).unwrap();
    let made = cluster.api().create(&PostParams::default(), &capture).await.unwrap();
    for mut object in documents {
        if object["kind"] != "PersistentVolumeClaim" {
            object["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "tracecapture.dev/v1alpha1", "kind": "TraceCapture", "name": made.name_any(),
                "uid": made.uid().unwrap(), "controller": true, "blockOwnerDeletion": true,
            }]);
        }
        cluster.apply("tracecapture", &object).await;
    }
    made
}

#[test]
fn objects_of_earlier_versions_are_taken_over_without_a_restart_of_pods() {
    for file in golden() {
        on_cluster(async |cluster| {
            let capture = restore(&cluster, &file).await;
            let operator = Operator::start(&cluster, "operator-0").await;
            until_told(&cluster, &capture.name_any()).await;
            operator.until_visits(2).await;
            let sets = cluster.api::<StatefulSet>().list(&ListParams::default()).await.unwrap().items;
            assert_eq!(sets.len(), 1);
            assert_eq!(sets[0].metadata.generation, Some(1), "{}: {:?}", file.display(), sets[0]);
            operator.end().await;
        });
    }
}
