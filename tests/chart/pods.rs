//! Every pod of the chart keeps the restricted profile, and has what users expect of a pod.

use std::process::Command;

use serde_json::{Value, json};

use crate::pod_profile::violations;
use crate::rendered::{self, name_of};

#[test]
fn every_pod_keeps_the_restricted_profile_with_a_read_only_root() {
    for (name, template) in pods() {
        assert_eq!(violations(&template), Vec::<String>::new(), "{name}");
        for container in containers(&template) {
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{name}");
        }
    }
}

#[test]
fn every_container_has_an_image_by_name_and_a_limit_of_memory() {
    for (name, template) in pods() {
        for container in containers(&template) {
            let image = container["image"].as_str().unwrap();
            assert!(image.contains("/tracecapture:") || image.contains("/tracecapture@sha256:"), "{name}: {image}");
            assert!(container["resources"]["limits"].get("memory").is_some(), "{name}");
        }
    }
}

#[test]
fn every_argument_is_one_that_the_program_takes() {
    let mut n_checked = 0;
    for (name, template) in pods() {
        for container in containers(&template) {
            let args: Vec<String> = serde_json::from_value(container["args"].clone()).unwrap();
            // Arguments are read one after the other, so help is what is left once all of them were understood.
            let asked = Command::new(env!("CARGO_BIN_EXE_tracecapture")).args(&args).arg("--help").output().unwrap();
            assert!(asked.status.success(), "{name}: {}", String::from_utf8_lossy(&asked.stderr));
            n_checked += 1;
        }
    }
    assert!(n_checked > 50, "{n_checked}");
}

#[test]
fn collectors_have_the_image_that_is_named_field_by_field() {
    for (file, image) in [
        ("default.yaml", format!("tracecapture/tracecapture:{}", env!("CARGO_PKG_VERSION"))),
        ("air-gapped.yaml", "registry.example.com:5000/mirror/tracecapture:0.1.0".to_owned()),
        ("collectors-by-tag.yaml", "registry.example.com/mirror/tracecapture:0.1.0".to_owned()),
    ] {
        let objects = rendered::of(file);
        let operators = objects.iter().filter(|object| object["kind"] == "Deployment");
        let args = operators.flat_map(|object| containers(&object["spec"]["template"])).flat_map(|container| {
            let args = container["args"].as_array().cloned().unwrap_or_default();
            args.into_iter().filter_map(|arg| arg.as_str()?.strip_prefix("--image=").map(str::to_owned))
        });
        assert_eq!(args.collect::<Vec<_>>(), [image], "{file}");
    }
}

#[test]
fn deployments_are_probed_and_collectors_admit_them() {
    for (name, template) in pods() {
        if !name.contains("Deployment") {
            continue;
        }
        let [container] = &containers(&template)[..] else { panic!("{name}") };
        for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            assert_eq!(container[probe]["httpGet"], json!({ "path": path, "port": "admin" }), "{name}");
        }
        assert!(container["ports"].as_array().unwrap().iter().any(|port| port["name"] == "admin"), "{name}");
        let labels = &template["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/name"], "tracecapture", "{name}");
        assert_eq!(labels["app.kubernetes.io/component"], container["name"], "{name}");
    }
}

#[test]
fn constraints_of_topology_are_about_these_pods_unless_they_say_otherwise() {
    let check = |file: &str, component: &str, expected: Value| {
        let of_component = |(name, template): &(String, Value)| {
            name.starts_with(&format!("{file}: apps/v1")) && template["spec"]["containers"][0]["name"] == component
        };
        let (name, template) = pods().into_iter().find(of_component).unwrap();
        let constraints = template["spec"]["topologySpreadConstraints"].as_array().unwrap();
        assert_eq!(constraints.len(), 1, "{name}");
        assert_eq!(constraints[0]["labelSelector"]["matchLabels"], expected, "{name}");
    };
    let these = |component: &str| {
        json!({ "app.kubernetes.io/name": "tracecapture", "app.kubernetes.io/instance": "tracecapture",
            "app.kubernetes.io/component": component })
    };
    check("ha", "gateway", these("gateway"));
    check("ha", "operator", these("operator"));
    check("every-pod-field", "operator", json!({ "example.com/label": "c" }));
}

/// Returns the template of every pod, by file and name.
fn pods() -> Vec<(String, Value)> {
    let mut pods = Vec::new();
    for (file, objects) in rendered::all() {
        for object in objects {
            let name = format!("{file}: {}", name_of(&object));
            match object["kind"].as_str().unwrap() {
                "Pod" => pods.push((name, object)),
                "Deployment" => pods.push((name, object["spec"]["template"].clone())),
                _ => {}
            }
        }
    }
    pods
}

fn containers(template: &Value) -> Vec<Value> {
    let list = |key: &str| template["spec"].get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    [list("initContainers"), list("containers")].concat()
}
