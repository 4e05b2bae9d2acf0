//! Whoever selects pods or names a port finds them: services, policies, budgets, monitors, routes.

use serde_json::{Value, json};

use crate::rendered::{self, name_of};

/// Kinds that select pods of this chart, and where.
const SELECTING: [(&str, &str); 3] = [
    ("Service", "/spec/selector"),
    ("NetworkPolicy", "/spec/podSelector/matchLabels"),
    ("PodDisruptionBudget", "/spec/selector/matchLabels"),
];

#[test]
fn every_selector_finds_the_pods_of_one_deployment() {
    let mut n_checked = 0;
    for (file, objects) in rendered::all() {
        for (object, selector) in objects.iter().filter_map(|object| Some((object, pod_selector(object)?))) {
            let found: Vec<_> = deployments(&objects).filter(|(_, labels)| is_within(selector, labels)).collect();
            assert_eq!(found.len(), 1, "{file}: {}", name_of(object));
            assert_eq!(found[0].0["metadata"]["namespace"], object["metadata"]["namespace"], "{file}");
            n_checked += 1;
        }
    }
    assert!(n_checked > 50, "{n_checked}");
}

#[test]
fn every_port_that_is_named_is_there() {
    for (file, objects) in rendered::all() {
        for (object, selector) in objects.iter().filter_map(|object| Some((object, pod_selector(object)?))) {
            let (deployment, _) = deployments(&objects).find(|(_, labels)| is_within(selector, labels)).unwrap();
            let there = &deployment["spec"]["template"]["spec"]["containers"][0]["ports"];
            let there: Vec<_> = there.as_array().unwrap().iter().map(|port| port["name"].clone()).collect();
            for port in ports_of(object) {
                assert!(there.contains(&port), "{file}: {} names {port}", name_of(object));
            }
        }
    }
}

#[test]
fn monitors_and_routes_find_services_and_their_ports() {
    for (file, objects) in rendered::all() {
        let services: Vec<_> = objects.iter().filter(|object| object["kind"] == "Service").collect();
        let has_port = |service: &Value, key: &str, port: &Value| {
            service["spec"]["ports"].as_array().unwrap().iter().any(|there| there[key] == *port)
        };
        for object in &objects {
            let found = match object["kind"].as_str().unwrap() {
                "ServiceMonitor" => {
                    let (labels, port) =
                        (&object["spec"]["selector"]["matchLabels"], &object["spec"]["endpoints"][0]["port"]);
                    services.iter().any(|it| is_within(labels, &it["metadata"]["labels"]) && has_port(it, "name", port))
                }
                "Ingress" => {
                    let backend = &object["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
                    let port = &backend["port"]["name"];
                    services.iter().any(|it| it["metadata"]["name"] == backend["name"] && has_port(it, "name", port))
                }
                "HTTPRoute" => {
                    let backend = &object["spec"]["rules"][0]["backendRefs"][0];
                    let port = &backend["port"];
                    services.iter().any(|it| it["metadata"]["name"] == backend["name"] && has_port(it, "port", port))
                }
                _ => true,
            };
            assert!(found, "{file}: {}", name_of(object));
        }
    }
}

#[test]
fn policies_admit_by_port_and_let_out_by_port() {
    for (file, objects) in rendered::all() {
        for policy in objects.iter().filter(|object| object["kind"] == "NetworkPolicy") {
            let rules = ["ingress", "egress"].into_iter().filter_map(|way| policy["spec"][way].as_array());
            for rule in rules.flatten() {
                let ports = rule["ports"].as_array().map_or(0, Vec::len);
                assert!(ports > 0, "{file}: {} has a rule for every port", name_of(policy));
            }
            let types = policy["spec"]["policyTypes"].as_array().unwrap();
            assert!(types.contains(&json!("Ingress")), "{file}");
            assert_eq!(types.contains(&json!("Egress")), policy["spec"].get("egress").is_some(), "{file}");
        }
    }
}

#[test]
fn whoever_is_limited_may_ask_for_names_where_dns_listens() {
    let mut n_limited = 0;
    for (file, objects) in rendered::all() {
        for policy in objects.iter().filter(|object| object["kind"] == "NetworkPolicy") {
            let Some(rules) = policy["spec"]["egress"].as_array() else { continue };
            let open: Vec<_> = rules.iter().filter(|rule| rule.get("to").is_none()).collect();
            for port in [53, 5353] {
                for protocol in ["UDP", "TCP"] {
                    let wanted = json!({ "port": port, "protocol": protocol });
                    let is_there = open.iter().any(|rule| rule["ports"].as_array().unwrap().contains(&wanted));
                    assert!(is_there, "{file}: {} and {wanted}", name_of(policy));
                }
            }
            n_limited += 1;
        }
    }
    assert!(n_limited > 0);
}

fn pod_selector(object: &Value) -> Option<&Value> {
    let (_, pointer) = SELECTING.iter().find(|(kind, _)| object["kind"] == *kind)?;
    object.pointer(pointer)
}

/// Returns the deployments with the labels of their pods.
pub(crate) fn deployments(objects: &[Value]) -> impl Iterator<Item = (&Value, &Value)> {
    let deployments = objects.iter().filter(|object| object["kind"] == "Deployment");
    deployments.map(|deployment| (deployment, &deployment["spec"]["template"]["metadata"]["labels"]))
}

/// Returns the ports of the selected pods that an object names.
fn ports_of(object: &Value) -> Vec<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match object["kind"].as_str().unwrap() {
        "Service" => list(&object["spec"]["ports"]).iter().map(|port| port["targetPort"].clone()).collect(),
        "NetworkPolicy" => {
            let rules = list(&object["spec"]["ingress"]);
            rules.iter().flat_map(|rule| list(&rule["ports"])).map(|port| port["port"].clone()).collect()
        }
        _ => Vec::new(),
    }
}

pub(crate) fn is_within(selector: &Value, labels: &Value) -> bool {
    selector.as_object().unwrap().iter().all(|(name, value)| labels.get(name) == Some(value))
}
