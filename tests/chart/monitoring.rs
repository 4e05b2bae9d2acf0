//! Alerts and dashboard tell installations and captures apart, and know how often captures are visited.

use serde_json::Value;

use crate::rendered;

#[test]
fn alerts_about_an_installation_look_at_no_other() {
    for (file, group, rule) in rules() {
        let expression = rule["expr"].as_str().unwrap();
        // Captures have names and namespaces of their own.
        let is_of_installation = group != "tracecapture-collector";
        assert_eq!(
            expression.contains("{namespace=\"tracecapture-system\""),
            is_of_installation,
            "{file}: {expression}"
        );
        for word in ["INSTALLATION", "OVERDUE", "RUNBOOK"] {
            assert!(!rule.to_string().contains(word), "{file}: {rule}");
        }
    }
}

#[test]
fn a_capture_is_overdue_once_it_missed_three_visits() {
    let check = |file: &str, seconds: u64| {
        let of_file =
            rules().into_iter().filter(|(of, _, rule)| of == file && rule["alert"] == "TraceCaptureNotVisited");
        let expressions: Vec<_> = of_file.map(|(_, _, rule)| rule["expr"].as_str().unwrap().to_owned()).collect();
        let [expression] = &expressions[..] else { panic!("{file}: {expressions:?}") };
        assert!(expression.ends_with(&format!(" > {seconds}")), "{file}: {expression}");
    };
    check("monitoring", 900);
    check("ingress-plain", 10_800);
}

#[test]
fn captures_of_one_name_in_two_namespaces_are_two_lines() {
    let mut n_grouped = 0;
    for (query, legend) in queries() {
        assert!(!query.contains("by (capture"), "{query}");
        if query.contains("by (namespace, capture") {
            assert!(legend.starts_with("{{namespace}}/{{capture}}"), "{legend}: {query}");
            n_grouped += 1;
        }
    }
    assert!(n_grouped > 10, "{n_grouped}");
}

#[test]
fn a_full_volume_stays_on_the_dashboard() {
    let of_volume: Vec<_> = queries().into_iter().filter(|(query, _)| query.contains("volume_free_bytes")).collect();
    let [(query, _)] = &of_volume[..] else { panic!("{of_volume:?}") };
    // Pods that are not the keeper have zero there for ever, and are told apart by their names.
    assert!(query.contains("pod=~\".+-0\"") && !query.contains('>'), "{query}");
}

/// Returns every alert with its file and its group.
fn rules() -> Vec<(String, String, Value)> {
    let mut rules = Vec::new();
    for (file, objects) in rendered::all() {
        for object in objects.iter().filter(|object| object["kind"] == "PrometheusRule") {
            for group in object["spec"]["groups"].as_array().unwrap() {
                let name = group["name"].as_str().unwrap();
                let of_group = group["rules"].as_array().unwrap().iter();
                rules.extend(of_group.map(|rule| (file.clone(), name.to_owned(), rule.clone())));
            }
        }
    }
    assert!(!rules.is_empty());
    rules
}

/// Returns every query of the dashboard with its legend.
fn queries() -> Vec<(String, String)> {
    let objects = rendered::of("monitoring.yaml");
    let dashboards = objects.iter().find(|object| object["metadata"]["name"] == "tracecapture-dashboard");
    let dashboard: Value =
        serde_json::from_str(dashboards.unwrap()["data"]["tracecapture.json"].as_str().unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let text = |target: &Value, key: &str| target[key].as_str().unwrap().to_owned();
    targets.map(|target| (text(&target, "expr"), text(&target, "legendFormat"))).collect()
}
