//! What the API server makes of the definition beside its rules: names, columns, scale, selectors.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tracecapture::api::TraceCapture;

use crate::cluster::{Cluster, DEFINITION, MANAGER, on_cluster};

/// Asks for the captures of a namespace as the table that `kubectl get` prints.
async fn table(cluster: &Cluster) -> Value {
    let path = format!("/apis/tracecapture.dev/v1alpha1/namespaces/{}/tracecaptures", cluster.namespace);
    let request = http::Request::get(path)
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    cluster.client.request(request).await.unwrap()
}

#[test]
fn the_definition_is_accepted_and_nothing_about_it_is_amiss() {
    on_cluster(async |cluster| {
        let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
        let conditions = api.get(DEFINITION).await.unwrap().status.unwrap().conditions.unwrap();
        let found: BTreeMap<_, _> = conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str())).collect();
        // `NonStructuralSchema` would be there beside them.
        assert_eq!(found, BTreeMap::from([("Established", "True"), ("NamesAccepted", "True")]), "{conditions:?}");
    });
}

#[test]
fn the_columns_tell_how_a_capture_is() {
    on_cluster(async |cluster| {
        cluster.create("checkout", "{}").await;
        let api: Api<TraceCapture> = cluster.api();
        let status = json!({ "status": {
            "conditions": [{ "type": "Ready", "status": "True", "reason": "Receiving", "message": "",
                "lastTransitionTime": "2026-11-21T10:00:00Z" }],
            "storage": { "usedBytes": 1_000, "limitBytes": 2_000 },
            "lastSpanTime": "2000-01-01T00:00:00Z",
            "bundle": { "url": "https://example.com/bundle.tar", "sizeBytes": 1, "chunks": 1 },
        }});
        api.patch_status("checkout", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
        let table = table(&cluster).await;
        let columns: Vec<_> = table["columnDefinitions"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
        assert_eq!(columns, ["Name", "Ready", "Reason", "Used", "Limit", "Last Span", "Age", "Bundle"]);
        let cells = table["rows"][0]["cells"].as_array().unwrap();
        assert_eq!(cells[..5], [json!("checkout"), json!("True"), json!("Receiving"), json!(1_000), json!(2_000)]);
        assert!(cells[5].as_str().unwrap().ends_with('y'), "in years: {}", cells[5]);
        assert_eq!(cells[7], "https://example.com/bundle.tar");
    });
}

#[test]
fn a_capture_without_a_status_has_empty_columns() {
    on_cluster(async |cluster| {
        cluster.create("checkout", "{}").await;
        let cells = table(&cluster).await["rows"][0]["cells"].take();
        assert_eq!(cells.as_array().unwrap()[1..6], [Value::Null, Value::Null, Value::Null, Value::Null, Value::Null]);
    });
}

#[test]
fn captures_are_scaled_by_their_subresource() {
    on_cluster(async |cluster| {
        let api: Api<TraceCapture> = cluster.api();
        cluster.create("checkout", "{storage: {claimName: shared}}").await;
        let status = json!({ "status": { "replicas": 1, "selector": "a=b" } });
        api.patch_status("checkout", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
        let wish = json!({ "spec": { "replicas": 3 } });
        let scale = api.patch_scale("checkout", &PatchParams::default(), &Patch::Merge(&wish)).await.unwrap();
        assert_eq!(scale.spec.unwrap().replicas, Some(3));
        let status = scale.status.unwrap();
        assert_eq!((status.replicas, status.selector.as_deref()), (1, Some("a=b")));
        assert_eq!(api.get("checkout").await.unwrap().spec.collector.replicas, 3);
    });
}

#[test]
fn an_autoscaler_cannot_ask_for_more_than_the_volume_allows() {
    on_cluster(async |cluster| {
        let api: Api<TraceCapture> = cluster.api();
        cluster.create("checkout", "{}").await;
        let wish = json!({ "spec": { "replicas": 2 } });
        let error = api.patch_scale("checkout", &PatchParams::default(), &Patch::Merge(&wish)).await.unwrap_err();
        assert!(error.to_string().contains("more than one replica shares the volume"), "{error}");
    });
}

#[test]
fn captures_are_selected_by_their_state() {
    on_cluster(async |cluster| {
        let api: Api<TraceCapture> = cluster.api();
        cluster.create("running", "{}").await;
        cluster.create("stopped", "{state: Stopped}").await;
        for (state, expected) in [("Running", "running"), ("Stopped", "stopped")] {
            let params = ListParams::default().fields(&format!("spec.state={state}"));
            let found = api.list(&params).await.unwrap().items;
            let names: Vec<_> = found.iter().filter_map(|capture| capture.metadata.name.as_deref()).collect();
            assert_eq!(names, [expected]);
        }
    });
}

#[test]
fn status_and_spec_are_written_apart() {
    on_cluster(async |cluster| {
        let api: Api<TraceCapture> = cluster.api();
        let made = cluster.create("checkout", "{}").await;
        let both = json!({ "spec": { "state": "Stopped" }, "status": { "replicas": 7 } });
        let after = api.patch_status("checkout", &PatchParams::default(), &Patch::Merge(&both)).await.unwrap();
        assert_eq!((after.spec, after.metadata.generation), (made.spec, made.metadata.generation));
        assert_eq!(after.status.unwrap().replicas, Some(7));
        let after = api.patch("checkout", &PatchParams::default(), &Patch::Merge(&both)).await.unwrap();
        assert_eq!(after.metadata.generation, Some(2));
    });
}

#[test]
fn conditions_of_two_writers_are_merged_by_their_type() {
    on_cluster(async |cluster| {
        cluster.create("checkout", "{}").await;
        set_condition(&cluster.client, &cluster.namespace, "Ready", MANAGER).await;
        set_condition(&cluster.client, &cluster.namespace, "Foreign", "somebody-else").await;
        let api: Api<TraceCapture> = cluster.api();
        let conditions = api.get("checkout").await.unwrap().status.unwrap().conditions;
        let types: Vec<_> = conditions.iter().map(|condition| &*condition.type_).collect();
        assert_eq!(types, ["Ready", "Foreign"]);
    });
}

async fn set_condition(client: &Client, namespace: &str, kind: &str, manager: &str) {
    let api: Api<TraceCapture> = Api::namespaced(client.clone(), namespace);
    let status = json!({
        "apiVersion": "tracecapture.dev/v1alpha1", "kind": "TraceCapture",
        "status": { "conditions": [{ "type": kind, "status": "True", "reason": "A", "message": "",
            "lastTransitionTime": "2026-11-21T10:00:00Z" }] },
    });
    api.patch_status("checkout", &PatchParams::apply(manager), &Patch::Apply(&status)).await.unwrap();
}
