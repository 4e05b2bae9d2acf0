//! Every manifest is of the form that the API server knows: read through the type of its kind, nothing is lost.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::foreign::{Certificate, HttpRoute, PodMonitor, PrometheusRule, ServiceMonitor};
use crate::rendered;

#[test]
fn no_manifest_has_a_key_that_its_kind_does_not_know() {
    let files = rendered::all().into_iter().chain([("kustomize".to_owned(), rendered::of("kustomize"))]);
    for (file, objects) in files {
        for object in objects {
            let lost = lost(&object);
            assert_eq!(lost, Vec::<String>::new(), "{file}: {}", rendered::name_of(&object));
        }
    }
}

#[test]
fn the_check_finds_what_is_misspelt() {
    let check = |object: Value, path: &str| {
        let lost = lost(&object);
        assert!(lost.iter().any(|lost| lost.contains(path)), "{path}: {lost:?}");
    };
    let pod = |spec: Value| json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" }, "spec": spec });
    check(
        pod(json!({ "containers": [{ "name": "a", "imagePullpolicy": "Never" }] })),
        "/spec/containers/0/imagePullpolicy",
    );
    check(pod(json!({ "containers": [], "serviceAccount": null })), "/spec/serviceAccount");
    check(json!({ "apiVersion": "v1", "kind": "Pods", "metadata": {} }), "v1 Pods");
    let monitor = |endpoint: Value| {
        let spec = json!({ "selector": {}, "endpoints": [endpoint] });
        json!({ "apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": { "name": "a" }, "spec": spec })
    };
    check(monitor(json!({ "port": "a", "intervall": "30s" })), "intervall");
    let capture = json!({ "apiVersion": "tracecapture.dev/v1alpha1", "kind": "TraceCapture", "metadata": { "name": "a" },
        "spec": { "storage": { "sice": "1Gi" } } });
    check(capture, "spec.storage.sice");
}

/// Returns the paths of what is lost when an object is read and written again, or why it cannot be read.
fn lost(object: &Value) -> Vec<String> {
    match through_its_kind(object) {
        Ok(back) => {
            let mut lost = Vec::new();
            compare(object, &back, "", &mut lost);
            lost
        }
        Err(why) => vec![why],
    }
}

fn through_its_kind(object: &Value) -> Result<Value, String> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    match (text("apiVersion"), text("kind")) {
        ("v1", "ConfigMap") => through::<ConfigMap>(object),
        ("v1", "Namespace") => through::<Namespace>(object),
        ("v1", "Pod") => through::<Pod>(object),
        ("v1", "Service") => through::<Service>(object),
        ("v1", "ServiceAccount") => through::<ServiceAccount>(object),
        ("apps/v1", "Deployment") => through::<Deployment>(object),
        ("networking.k8s.io/v1", "Ingress") => through::<Ingress>(object),
        ("networking.k8s.io/v1", "NetworkPolicy") => through::<NetworkPolicy>(object),
        ("policy/v1", "PodDisruptionBudget") => through::<PodDisruptionBudget>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => through::<ClusterRole>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => through::<ClusterRoleBinding>(object),
        ("rbac.authorization.k8s.io/v1", "Role") => through::<Role>(object),
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => through::<RoleBinding>(object),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => through::<CustomResourceDefinition>(object),
        ("monitoring.coreos.com/v1", "ServiceMonitor") => through::<ServiceMonitor>(object),
        ("monitoring.coreos.com/v1", "PodMonitor") => through::<PodMonitor>(object),
        ("monitoring.coreos.com/v1", "PrometheusRule") => through::<PrometheusRule>(object),
        ("cert-manager.io/v1", "Certificate") => through::<Certificate>(object),
        ("gateway.networking.k8s.io/v1", "HTTPRoute") => through::<HttpRoute>(object),
        ("tracecapture.dev/v1alpha1", "TraceCapture") => match tracecapture::api::parse(&object.to_string()) {
            Ok(_) => Ok(object.clone()),
            Err(faults) => Err(format!("{faults:?}")),
        },
        (version, kind) => Err(format!("nothing is known of {version} {kind}")),
    }
}

fn through<T: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, String> {
    let typed: T = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    Ok(serde_json::to_value(typed).unwrap())
}

/// Notes every path of `object` that `back` does not have, or has otherwise.
fn compare(object: &Value, back: &Value, path: &str, lost: &mut Vec<String>) {
    match (object, back) {
        (Value::Object(object), Value::Object(back)) => {
            for (key, value) in object {
                let path = format!("{path}/{key}");
                match back.get(key) {
                    Some(back) => compare(value, back, &path, lost),
                    None => lost.push(path),
                }
            }
        }
        (Value::Array(object), Value::Array(back)) if object.len() == back.len() => {
            for (n, (value, back)) in object.iter().zip(back).enumerate() {
                compare(value, back, &format!("{path}/{n}"), lost);
            }
        }
        _ if is_same(object, back) => {}
        _ => lost.push(path.to_owned()),
    }
}

/// Tells whether two scalars mean the same: a quantity may be written as a number and is read as a text, and a
/// number of the schema may come back with a fraction of zero.
fn is_same(object: &Value, back: &Value) -> bool {
    let as_number = |value: &Value| value.as_f64();
    object == back
        || (as_number(object).is_some() && as_number(object) == as_number(back))
        || (object.is_number() && back.as_str() == Some(&object.to_string()))
}
