//! What the chart ships beside manifests is true of this version: the definition, alerts, dashboard and their runbook.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use prometheus_client::registry::Registry;
use serde_json::Value;
use tracecapture::api::{ConditionType, crd_yaml};
use tracecapture::telemetry::metrics::{
    AccessLabels, AnswerLabels, CauseLabel, DownloadLabels, ErrorLabel, GatewayMetrics, KindLabel, OperatorMetrics,
    ReasonLabel, ReceiveMetrics, ReviewLabels, StateLabel, StorageMetrics, WebLabels, WebMetrics,
};

const ALERTS: [&str; 3] = [
    include_str!("../charts/tracecapture/files/alerts/operator.yaml"),
    include_str!("../charts/tracecapture/files/alerts/collector.yaml"),
    include_str!("../charts/tracecapture/files/alerts/gateway.yaml"),
];

const DASHBOARD: &str = include_str!("../charts/tracecapture/files/dashboard.json");

const RUNBOOK: &str = include_str!("../docs/operations.md");

/// Other pages that speak of metrics.
const PAGES: [&str; 2] = [include_str!("../docs/sizing.md"), include_str!("../docs/access.md")];

#[test]
fn the_chart_installs_the_definition_of_this_version() {
    assert_eq!(include_str!("../charts/tracecapture/files/crd.yaml"), crd_yaml(), "run `just crd`");
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart: Value = serde_saphyr::from_str(include_str!("../charts/tracecapture/Chart.yaml")).unwrap();
    for key in ["version", "appVersion"] {
        assert_eq!(chart.get(key).unwrap(), env!("CARGO_PKG_VERSION"), "{key}");
    }
}

#[test]
fn alerts_dashboard_and_pages_name_metrics_that_there_are() {
    let known = exposed();
    let named: BTreeSet<_> = ALERTS.into_iter().chain([DASHBOARD, RUNBOOK]).chain(PAGES).flat_map(metrics_in).collect();
    assert!(named.len() > 20, "{named:?}");
    let unknown: Vec<_> = named.iter().filter(|name| !known.contains(**name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are none of {known:#?}");
}

#[test]
fn every_alert_has_its_place_in_the_runbook() {
    let mut n_alerts = 0;
    for group in ALERTS.iter().flat_map(|text| serde_saphyr::from_str::<Vec<Value>>(text).unwrap()) {
        for rule in group.pointer("/rules").and_then(Value::as_array).unwrap() {
            let text = |pointer: &str| rule.pointer(pointer).and_then(Value::as_str).unwrap();
            let alert = text("/alert");
            assert_eq!(text("/annotations/runbook_url"), format!("RUNBOOK#{}", alert.to_lowercase()));
            assert!(RUNBOOK.lines().any(|line| line == format!("### {alert}")), "{alert} is not in docs/operations.md");
            n_alerts += 1;
        }
    }
    let told = RUNBOOK.lines().filter(|line| line.starts_with("### TraceCapture")).count();
    assert_eq!(told, n_alerts, "the runbook speaks of alerts that there are not");
}

#[test]
fn every_condition_has_its_place_in_the_runbook() {
    for condition in ConditionType::ALL {
        let name = condition.name();
        assert!(RUNBOOK.lines().any(|line| line == format!("### {name}")), "{name} is not in docs/operations.md");
    }
}

#[test]
fn what_all_pods_tell_of_one_directory_is_not_added_up() {
    let shared = ["tracecapture_storage_bytes", "tracecapture_chunks", "tracecapture_volume_free_bytes"];
    let mut n_seen = 0;
    for text in ALERTS.into_iter().chain([DASHBOARD]) {
        let named = text.match_indices("tracecapture_").map(|(start, _)| text.split_at(start));
        for (before, from) in
            named.filter(|(_, from)| metrics_in(from).first().is_some_and(|name| shared.contains(name)))
        {
            let (aggregated, _) = before.rsplit_once(" by (").unwrap();
            assert!(aggregated.ends_with("max"), "{}", from.lines().next().unwrap());
            n_seen += 1;
        }
    }
    assert!(n_seen > 3, "{n_seen}");
}

/// Returns the names of metrics in a text: all of ours begin alike.
fn metrics_in(text: &str) -> Vec<&str> {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let names = text.match_indices("tracecapture_").map(|(start, _)| {
        let name = text.get(start..).unwrap();
        name.split(|c| !is_of_name(c)).next().unwrap()
    });
    names.collect()
}

/// Returns the name of every series that operator, gateway and collectors expose.
fn exposed() -> BTreeSet<String> {
    let mut registry = Registry::with_prefix("tracecapture");
    let receive = ReceiveMetrics::default();
    receive.register(&mut registry);
    // A family shows nothing before it has a member.
    drop(receive.requests.get_or_create(&AnswerLabels { transport: "grpc", answer: "Accepted" }));
    drop(receive.rejected_spans.get_or_create(&ReasonLabel { reason: "VolumeFull" }));
    let storage = StorageMetrics::register(&mut registry);
    drop(storage.faults.get_or_create(&ReasonLabel { reason: "VolumeFull" }));
    for causes in [&storage.commit_failures, &storage.sealed, &storage.evicted, &storage.evicted_bytes] {
        drop(causes.get_or_create(&CauseLabel { cause: "size" }));
    }
    for states in [&storage.chunks, &storage.bytes] {
        drop(states.get_or_create(&StateLabel { state: "sealed" }));
    }
    let web = WebMetrics::default();
    web.register(&mut registry);
    drop(web.requests.get_or_create(&WebLabels { route: "bundle", status: 200 }));
    drop(web.downloads.get_or_create(&DownloadLabels { outcome: "complete" }));
    let gateway = GatewayMetrics::default();
    gateway.register(&mut registry);
    drop(gateway.requests.get_or_create(&WebLabels { route: "bundle", status: 200 }));
    drop(gateway.accesses.get_or_create(&AccessLabels { door: "token", route: "bundle", outcome: "complete" }));
    drop(gateway.reviews.get_or_create(&ReviewLabels { kind: "token", outcome: "allowed" }));
    let operator = OperatorMetrics::register(&mut registry);
    drop(operator.errors.get_or_create(&ErrorLabel { error: "Forbidden" }));
    drop(operator.watch_errors.get_or_create(&KindLabel { kind: "Pod" }));
    operator.succeeded("shop", "checkout", 7);
    operator.ready("shop", "checkout");
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#'));
    series.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}
