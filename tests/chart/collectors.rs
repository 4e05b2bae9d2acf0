//! The chart and the collectors, which the operator makes of a capture: each finds the other and lets it in.

use std::process::Command;

use serde_json::{Value, json};

use crate::rendered;
use crate::selectors::{deployments, is_within};

/// The namespace that the chart is rendered for.
const INSTALLATION: &str = "tracecapture-system";

#[test]
fn collectors_let_operator_and_gateway_in() {
    let policy = made("NetworkPolicy");
    let rules = policy["spec"]["ingress"].as_array().unwrap();
    let rule = rules.iter().find(|rule| rule["ports"][0]["port"] == "web").unwrap();
    let [visitor] = &rule["from"].as_array().unwrap()[..] else { panic!("{rule}") };
    let place = json!({ "matchLabels": { "kubernetes.io/metadata.name": INSTALLATION } });
    assert_eq!(visitor["namespaceSelector"], place);
    let mut n_checked = 0;
    for (file, objects) in rendered::all().into_iter().filter(|(file, _)| file != "numbers") {
        for (deployment, labels) in deployments(&objects) {
            assert_eq!(deployment["metadata"]["namespace"], INSTALLATION, "{file}");
            assert!(is_selected(&visitor["podSelector"], labels), "{file}: {labels}");
            n_checked += 1;
        }
    }
    assert!(n_checked > 20, "{n_checked}");
}

#[test]
fn whoever_may_call_out_reaches_collectors() {
    let (labels, ports) = pod();
    let mut n_checked = 0;
    for (file, objects) in rendered::all() {
        for policy in objects.iter().filter(|object| object["kind"] == "NetworkPolicy") {
            let Some(rules) = policy["spec"]["egress"].as_array() else { continue };
            let to_pods: Vec<_> = rules.iter().filter(|rule| rule["to"][0].get("podSelector").is_some()).collect();
            let [rule] = to_pods[..] else { panic!("{file}: {rules:?}") };
            assert!(is_selected(&rule["to"][0]["podSelector"], &labels), "{file}: {rule}");
            assert_eq!(rule["ports"], json!([{ "port": "web", "protocol": "TCP" }]), "{file}");
            assert!(ports.contains(&json!("web")), "{ports:?}");
            n_checked += 1;
        }
    }
    assert!(n_checked > 2, "{n_checked}");
}

#[test]
fn monitors_find_collectors_and_the_name_of_their_capture() {
    let (labels, ports) = pod();
    let mut n_checked = 0;
    for (file, objects) in rendered::all() {
        for monitor in objects.iter().filter(|object| object["kind"] == "PodMonitor") {
            assert!(is_selected(&monitor["spec"]["selector"], &labels), "{file}");
            let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
            assert!(ports.contains(&endpoint["port"]), "{file}: {endpoint}");
            let source = endpoint["relabelings"][0]["sourceLabels"][0].as_str().unwrap();
            let of_prometheus = |label: &String| label.replace(['.', '/', '-'], "_");
            let label = labels.as_object().unwrap().keys().find(|label| source.ends_with(&of_prometheus(label)));
            assert_eq!(label.map(|label| &labels[label]), Some(&json!("checkout")), "{file}: {source}");
            n_checked += 1;
        }
    }
    assert!(n_checked > 1, "{n_checked}");
}

/// Returns the labels of a collector's pod and the names of its ports.
fn pod() -> (Value, Vec<Value>) {
    let template = made("StatefulSet")["spec"]["template"].clone();
    let ports = template["spec"]["containers"][0]["ports"].as_array().unwrap();
    (template["metadata"]["labels"].clone(), ports.iter().map(|port| port["name"].clone()).collect())
}

/// Returns the one object of a kind that the operator makes of the capture `checkout`.
fn made(kind: &str) -> Value {
    let mut generate = Command::new(env!("CARGO_BIN_EXE_tracecapture"));
    generate.current_dir(env!("CARGO_MANIFEST_DIR")).args(["generate", "-f", "config/samples/minimal.yaml"]);
    let generated = generate.args(["--namespace", INSTALLATION]).output().unwrap();
    let objects = rendered::documents(&String::from_utf8(generated.stdout).unwrap());
    objects.into_iter().find(|object| object["kind"] == kind).unwrap()
}

/// Tells whether a selector means pods with these labels.
fn is_selected(selector: &Value, labels: &Value) -> bool {
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    is_within(&selector["matchLabels"], labels)
        && expressions.into_iter().all(|expression| {
            assert_eq!(expression["operator"], "In");
            expression["values"].as_array().unwrap().contains(&labels[expression["key"].as_str().unwrap()])
        })
}
