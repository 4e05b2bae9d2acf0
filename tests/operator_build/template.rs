//! What restarts the pods, and what does not.

use serde_json::{Value, json};
use tracecapture::operator::build::{Context, build};

use super::{IMAGE, bodies, body, capture};

/// Fields that running collectors take up.
const LIVE: [&str; 13] = [
    "{state: Stopped}",
    "{stopAfterSeconds: 60}",
    "{endTime: '2026-11-22T00:00:00Z'}",
    "{durability: Write}",
    "{receiver: {maxRequestBytes: 1Mi}}",
    "{receiver: {cors: {allowedOrigins: []}}}",
    "{chunk: {maxBytes: 10M}}",
    "{chunk: {maxAgeSeconds: 60}}",
    "{chunk: {compression: Gzip}}",
    "{retention: {maxBytes: 7G, maxAgeSeconds: 60}}",
    "{state: Stopped, retention: {clearBefore: '2026-11-21T00:00:00Z'}}",
    "{recovery: {inactiveSeconds: 60}}",
    "{download: {enabled: false}}",
];

/// Fields that only a new pod takes up.
const RESTART: [&str; 8] = [
    "{receiver: {grpc: {port: 14317}}}",
    "{receiver: {http: {enabled: false}}}",
    // A pod cannot get more memory while it runs, and four of these must fit.
    "{receiver: {maxRequestBytes: 256Mi}}",
    "{collector: {image: 'example/own:7'}}",
    "{collector: {env: [{name: RUST_LOG, value: debug}]}}",
    "{collector: {nodeSelector: {disk: fast}}}",
    "{collector: {podOverlay: {metadata: {annotations: {a: b}}}}}",
    "{storage: {claimName: shared}}",
];

fn set(spec: &str) -> Value {
    body(&capture("a", spec), "StatefulSet", "-collector")
}

fn pods(spec: &str) -> Value {
    set(spec).pointer("/spec/template").unwrap().clone()
}

#[test]
fn live_settings_leave_the_set_as_it_is_and_reach_the_settings() {
    let before = serde_json::to_string(&set("{}")).unwrap();
    let settings = |spec: &str| body(&capture("a", spec), "ConfigMap", "-settings");
    for spec in LIVE {
        assert_eq!(serde_json::to_string(&set(spec)).unwrap(), before, "{spec}");
        assert_ne!(settings(spec), settings("{}"), "{spec}");
    }
}

#[test]
fn what_a_running_collector_cannot_take_up_replaces_its_pod() {
    for spec in RESTART {
        assert_ne!(pods(spec), pods("{}"), "{spec}");
    }
}

#[test]
fn scaling_changes_no_pod() {
    let scaled = "{collector: {replicas: 5}, storage: {accessModes: [ReadWriteMany]}}";
    assert_eq!(pods(scaled), pods("{}"));
    assert_eq!(set(scaled).pointer("/spec/replicas").unwrap(), 5);
}

#[test]
fn how_pods_run_is_no_setting_of_a_collector() {
    let settings = |spec: &str| body(&capture("a", spec), "ConfigMap", "-settings");
    let other = "{collector: {replicas: 2, env: [{name: A, value: b}]}, storage: {accessModes: [ReadWriteMany]}}";
    assert_eq!(settings(other), settings("{}"));
}

#[test]
fn no_object_names_the_version_of_the_operator() {
    for body in bodies(&capture("a", "{}")) {
        assert!(!body.to_string().contains(env!("CARGO_PKG_VERSION")), "{body}");
    }
}

#[test]
fn pods_are_pulled_with_the_secrets_of_the_operator_and_of_the_overlay() {
    let overlay = "{collector: {podOverlay: {spec: {imagePullSecrets: [{name: own}]}}}}";
    let context = Context {
        image: IMAGE,
        image_pull_policy: None,
        image_pull_secrets: &["mirror".to_owned()],
        grant_keys: &[],
        installation_namespace: "tracecapture-system",
        claim_size: None,
    };
    let objects = build(&capture("a", overlay), &context).unwrap().objects().unwrap();
    let set = objects.into_iter().map(|object| object.body).find(|body| body["kind"] == "StatefulSet").unwrap();
    let secrets = set.pointer("/spec/template/spec/imagePullSecrets").unwrap();
    assert_eq!(secrets, &json!([{ "name": "mirror" }, { "name": "own" }]));
}

#[test]
fn another_image_changes_the_image_and_nothing_else() {
    let with = |image: &str| {
        let context = Context {
            image,
            image_pull_policy: None,
            image_pull_secrets: &[],
            grant_keys: &[],
            installation_namespace: "tracecapture-system",
            claim_size: None,
        };
        let objects = build(&capture("a", "{}"), &context).unwrap().objects().unwrap();
        objects.into_iter().map(|object| object.body.to_string()).collect::<String>()
    };
    assert_eq!(with(IMAGE).replace(IMAGE, "example/next:2"), with("example/next:2"));
}
