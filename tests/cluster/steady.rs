//! A capture that does nothing costs nothing, and an operator that starts anew changes nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};
use tracecapture::api::TraceCapture;
use tracecapture::api::names::CAPTURE_LABEL;

use crate::audit;
use crate::cluster::{Cluster, on_cluster, until};
use crate::operator::Operator;
use crate::samples::{api_of, until_told};

/// Kinds that nobody but the operator writes to.
const KINDS: [(&str, &str); 4] =
    [("v1", "ConfigMap"), ("v1", "ServiceAccount"), ("networking.k8s.io/v1", "NetworkPolicy"), ("v1", "Service")];

/// Returns the version of each object of a capture that only the operator writes to.
async fn versions(cluster: &Cluster) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for (version, kind) in KINDS {
        let api = api_of(cluster, &json!({ "apiVersion": version, "kind": kind }));
        for object in api.list(&ListParams::default().labels(CAPTURE_LABEL)).await.unwrap().items {
            versions.insert(format!("{kind} {}", object.name_any()), object.resource_version().unwrap());
        }
    }
    versions
}

#[test]
fn visits_without_a_change_write_nothing() {
    on_cluster(async |cluster| {
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("checkout", "{}").await;
        until_told(&cluster, "checkout").await;
        // The set's controller makes its pod and counts it, which is told; two rounds later that has settled.
        let is_counted = |set: Option<&StatefulSet>| {
            let status = set.and_then(|set| set.status.as_ref());
            status.is_some_and(|status| status.replicas == 1 && status.observed_generation.is_some())
        };
        until(&cluster.api(), "checkout-collector", "its pod is counted", is_counted).await;
        let is_told = |capture: Option<&TraceCapture>| {
            capture.and_then(|capture| capture.status.as_ref()).is_some_and(|status| status.replicas == Some(1))
        };
        until(&cluster.api(), "checkout", "its pod is told of", is_told).await;
        operator.until_visits(2).await;
        let (before, n_writes) = (versions(&cluster).await, audit::writes(&cluster).len());
        assert_eq!(before.len(), 6, "{before:?}");
        operator.until_visits(3).await;
        assert_eq!(versions(&cluster).await, before);
        let after = audit::writes(&cluster);
        assert!(after.len() == n_writes, "{:?}", &after[n_writes..]);
        operator.end().await;
    });
}

#[test]
fn an_operator_that_starts_anew_changes_nothing() {
    on_cluster(async |cluster| {
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("checkout", "{collector: {replicas: 2}, storage: {claimName: shared}}").await;
        until_told(&cluster, "checkout").await;
        operator.until_visits(2).await;
        operator.end().await;
        let before = versions(&cluster).await;
        let operator = Operator::start(&cluster, "operator-0").await;
        operator.until_visits(2).await;
        assert_eq!(versions(&cluster).await, before);
        let set = cluster.api::<StatefulSet>().get("checkout-collector").await.unwrap();
        assert_eq!(set.metadata.generation, Some(1));
        operator.end().await;
    });
}

#[test]
fn drift_is_repaired_and_what_others_own_stays() {
    on_cluster(async |cluster| {
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("checkout", "{}").await;
        until_told(&cluster, "checkout").await;
        for (version, kind, name, drift) in drifts() {
            let foreign = json!({ "apiVersion": version, "kind": kind, "metadata": {
                "name": name, "labels": { "team": "shop" }, "annotations": { "example.com/owner": "shop" },
            }});
            let api = api_of(&cluster, &foreign);
            let ours = until(&api, name, "it is made", |child: Option<&DynamicObject>| child.is_some()).await.unwrap();
            cluster.apply("somebody-else", &foreign).await;
            let drifted = cluster.patch(&foreign, &drift).await;
            assert!(pointers(&drift).iter().any(|at| drifted.data.pointer(at) != ours.data.pointer(at)), "{drift}");
            let is_whole = |found: Option<&DynamicObject>| {
                found.is_some_and(|found| {
                    let is_ours = pointers(&drift).iter().all(|at| found.data.pointer(at) == ours.data.pointer(at));
                    is_ours
                        && found.labels().get("team").is_some()
                        && found.annotations().contains_key("example.com/owner")
                })
            };
            until(&api, name, &format!("{kind} is mended and keeps what others own"), is_whole).await;
        }
        operator.end().await;
    });
}

/// What somebody does to fields of ours.
fn drifts() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    vec![
        ("v1", "ConfigMap", "checkout-settings", json!({ "data": { "capture.yaml": "spec: {}" } })),
        ("v1", "ConfigMap", "checkout-otlp-env", json!({ "data": { "OTEL_EXPORTER_OTLP_ENDPOINT": null } })),
        ("v1", "Service", "checkout-otlp", json!({ "spec": { "selector": { "app.kubernetes.io/component": "x" } } })),
        ("networking.k8s.io/v1", "NetworkPolicy", "checkout-collector", json!({ "spec": { "ingress": [] } })),
        ("apps/v1", "StatefulSet", "checkout-collector", json!({ "spec": { "replicas": 4 } })),
        ("v1", "ServiceAccount", "checkout-collector", json!({ "automountServiceAccountToken": true })),
    ]
}

/// Returns the paths of the leaves of a value.
fn pointers(value: &Value) -> Vec<String> {
    let Value::Object(members) = value else { return vec![String::new()] };
    let below = |(name, member): (&String, &Value)| {
        let name = name.replace('/', "~1");
        pointers(member).into_iter().map(move |rest| format!("/{name}{rest}")).collect::<Vec<_>>()
    };
    members.iter().flat_map(below).collect()
}

/// Returns the ports of a Service by name, number and protocol.
fn ports(service: &Service) -> Vec<(String, i32, String)> {
    let ports = service.spec.as_ref().unwrap().ports.iter().flatten();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut ports: Vec<_> = ports.map(|port| (text(&port.name), port.port, text(&port.protocol))).collect();
    ports.sort();
    ports
}

/// Does to the ports of a Service what somebody might, and waits until ours are back beside `others`.
async fn check_ports(cluster: &Cluster, changed: Value, others: &[(&str, i32)]) {
    let api = cluster.api::<Service>();
    let before = api.get("checkout-otlp").await.unwrap();
    let mut wanted: Vec<_> = [("otlp-grpc", 4317), ("otlp-http", 4318)]
        .iter()
        .chain(others)
        .map(|(name, port)| ((*name).to_owned(), *port, "TCP".to_owned()))
        .collect();
    wanted.sort();
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "checkout-otlp" } });
    cluster.patch(&service, &json!({ "spec": { "ports": changed } })).await;
    let is_back = |service: Option<&Service>| service.is_some_and(|service| ports(service) == wanted);
    let after = until(&api, "checkout-otlp", &format!("the ports are {wanted:?}"), is_back).await.unwrap();
    let address = |service: &Service| (service.uid(), service.spec.as_ref().unwrap().cluster_ip.clone());
    assert_eq!(address(&after), address(&before), "it is the same Service");
}

#[test]
fn ports_that_somebody_changed_are_put_back() {
    on_cluster(async |cluster| {
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("checkout", "{}").await;
        until_told(&cluster, "checkout").await;
        let is_there = |service: Option<&Service>| service.is_some();
        until(&cluster.api(), "checkout-otlp", "it is made", is_there).await;
        let (grpc, http) = (json!({ "name": "otlp-grpc", "port": 4317 }), json!({ "name": "otlp-http", "port": 4318 }));
        let other = json!({ "name": "metrics", "port": 9100 });
        let moved = |port: &Value, number: u16| json!({ "name": port["name"], "port": number });
        check_ports(&cluster, json!([moved(&grpc, 9999), http]), &[]).await;
        check_ports(&cluster, json!([moved(&grpc, 4318), moved(&http, 4317)]), &[]).await;
        check_ports(&cluster, json!([{ "name": "otlp-grpc", "port": 4317, "protocol": "UDP" }, http]), &[]).await;
        check_ports(&cluster, json!([moved(&grpc, 1), moved(&http, 2), other]), &[("metrics", 9100)]).await;
        // What was written on the way is owned once: a port that is not asked for any more goes.
        cluster.merge("checkout", json!({ "spec": { "receiver": { "http": { "enabled": false } } } })).await;
        let is_alone = |service: Option<&Service>| {
            service.is_some_and(|service| ports(service).iter().all(|(name, ..)| name != "otlp-http"))
        };
        until(&cluster.api(), "checkout-otlp", "the port of HTTP is gone", is_alone).await;
        assert!(!operator.log().contains("an object is not applied"), "{}", operator.log());
        operator.end().await;
    });
}

#[test]
fn a_restart_that_somebody_asked_for_is_not_undone() {
    on_cluster(async |cluster| {
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("checkout", "{}").await;
        until_told(&cluster, "checkout").await;
        let set =
            json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "checkout-collector" } });
        // What `kubectl rollout restart` does.
        let restart = json!({ "spec": { "template": { "metadata": { "annotations": {
            "kubectl.kubernetes.io/restartedAt": "2026-11-21T10:00:00Z",
        }}}}});
        cluster.patch(&set, &restart).await;
        operator.until_visits(3).await;
        let set = cluster.api::<StatefulSet>().get("checkout-collector").await.unwrap();
        let annotations = set.spec.unwrap().template.metadata.unwrap().annotations.unwrap_or_default();
        assert!(annotations.contains_key("kubectl.kubernetes.io/restartedAt"), "{annotations:?}");
        assert_eq!(set.metadata.generation, Some(2));
        operator.end().await;
    });
}

#[test]
fn a_child_that_somebody_deleted_is_made_anew() {
    on_cluster(async |cluster| {
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("checkout", "{}").await;
        until_told(&cluster, "checkout").await;
        for (version, kind, name, _) in drifts() {
            let api = api_of(&cluster, &json!({ "apiVersion": version, "kind": kind }));
            let old = until(&api, name, "it is made", |child: Option<&DynamicObject>| child.is_some()).await.unwrap();
            api.delete(name, &kube::api::DeleteParams::background()).await.unwrap();
            let is_new = |child: Option<&DynamicObject>| child.is_some_and(|child| child.uid() != old.uid());
            until(&api, name, &format!("{kind} is made anew"), is_new).await;
        }
        operator.end().await;
    });
}
