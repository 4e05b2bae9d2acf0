//! What people see of the definition through `kubectl`.

use std::process::Command;

use kube::CustomResourceExt as _;
use serde_json::Value;
use tracecapture::api::TraceCapture;

use crate::cluster::on_cluster;

/// Runs `kubectl`, which must succeed, and returns what it prints.
fn kubectl(args: &[&str]) -> String {
    let output = Command::new("kubectl").args(args).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "kubectl {args:?}: {err}");
    out
}

/// The words of a text, one blank between them.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn short_name_and_category_list_captures() {
    on_cluster(async |cluster| {
        cluster.create("checkout", "{}").await;
        for name in ["tcap", "tracecapture", "observability"] {
            let listed = kubectl(&["get", "--namespace", &cluster.namespace, name, "-o", "name"]);
            assert_eq!(listed.trim(), "tracecapture.tracecapture.dev/checkout");
        }
    });
}

#[test]
fn every_field_is_explained() {
    on_cluster(async |_| {
        let crd = serde_json::to_value(TraceCapture::crd()).unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        for part in ["spec", "status"] {
            let schema = &schema[part];
            check_explained(part, schema);
            for (name, member) in schema["properties"].as_object().unwrap() {
                if member["properties"].is_object() {
                    check_explained(&format!("{part}.{name}"), member);
                }
            }
        }
    });
}

/// Compares the descriptions of an object's fields with what is explained.
fn check_explained(path: &str, schema: &Value) {
    let explained = words(&kubectl(&["explain", &format!("tracecaptures.{path}")]));
    let descriptions = schema["properties"].as_object().unwrap().iter();
    for (name, description) in descriptions.map(|(name, member)| (name, &member["description"])) {
        let Some(description) = description.as_str() else { continue };
        assert!(explained.contains(&words(description)), "{path}.{name}: {description}\nnot in\n{explained}");
    }
}

#[test]
fn plain_kubectl_apply_takes_the_definition_too() {
    on_cluster(async |_| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/crds/tracecaptures.yaml");
        let said = kubectl(&["apply", "--dry-run=server", "--filename", file]);
        assert!(said.contains("tracecaptures.tracecapture.dev"), "{said}");
    });
}
