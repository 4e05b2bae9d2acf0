//! Every object, over the samples and over captures that are awkward.

use std::collections::BTreeSet;

use serde_json::Value;
use tracecapture::api::grant::GrantPublicKey;
use tracecapture::api::names::{GRANT_KEYS_FILE, SETTINGS_FILE};
use tracecapture::api::{Reason, ValidCapture, parse};
use tracecapture::operator::build::{Context, build, selector};
use tracecapture::settings::CollectorSettings;
use tracecapture::units::ByteSize;

use super::{IMAGE, KEY, bodies, body, capture, captures, try_build};

/// The longest name of a service, and the longest value of a label.
const MAX_LABEL_LEN: usize = 63;

fn names_of(value: &Value) -> Vec<String> {
    let name = |body: &Value| {
        let text = |pointer| body.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        format!("{} {}", text("/kind"), text("/metadata/name"))
    };
    value.as_array().unwrap().iter().map(name).collect()
}

/// Checks where the spec is at fault that is left open until it is built.
fn check_invalid(spec: &str, paths: &[&str]) {
    let error = try_build(&capture("a", spec)).unwrap_err();
    let found: Vec<&str> = error.faults().iter().map(|fault| &*fault.path).collect();
    assert_eq!((error.reason(), &*found), (Reason::Invalid, paths), "{error}");
}

/// Checks what the claim asks for, beside one that may exist.
fn check_claim(spec: &str, existing: Option<u64>, size: &str) {
    let context = Context {
        image: IMAGE,
        image_pull_policy: None,
        image_pull_secrets: &[],
        grant_keys: &[],
        installation_namespace: "i",
        claim_size: existing.map(ByteSize),
    };
    let resources = build(&capture("a", spec), &context).unwrap();
    let claim = serde_json::to_value(resources.claim().unwrap()).unwrap();
    assert_eq!(claim.pointer("/spec/resources/requests/storage").unwrap(), size, "{spec}");
}

#[test]
fn every_object_is_as_it_was() {
    for (label, capture) in captures() {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../snapshots/operator_build");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_yaml_snapshot!(label, bodies(&capture)));
    }
}

#[test]
fn the_same_capture_gives_the_same_bytes() {
    for (label, capture) in captures() {
        let text = || serde_json::to_string(&bodies(&capture)).unwrap();
        assert_eq!(text(), text(), "{label}");
    }
}

#[test]
fn the_order_is_that_in_which_pods_find_what_they_need() {
    let shared = "{collector: {replicas: 3}, storage: {accessModes: [ReadWriteMany]}}";
    let expected = [
        "ServiceAccount a-collector",
        "ConfigMap a-settings",
        "ConfigMap a-otlp-env",
        "Service a-otlp",
        "Service a-collector",
        "NetworkPolicy a-collector",
        "PersistentVolumeClaim a-chunks",
        "PodDisruptionBudget a-collector",
        "StatefulSet a-collector",
    ];
    assert_eq!(names_of(&bodies(&capture("a", shared)).into()), expected);
    let small: Vec<_> = expected.into_iter().filter(|name| !name.starts_with("PodDisruption")).collect();
    assert_eq!(names_of(&bodies(&capture("a", "{}")).into()), small);
    let brought: Vec<_> = small.into_iter().filter(|name| !name.starts_with("PersistentVolume")).collect();
    assert_eq!(names_of(&bodies(&capture("a", "{storage: {claimName: c}}")).into()), brought);
}

#[test]
fn each_object_says_of_which_kind_it_is() {
    for object in try_build(&capture("a", "{}")).unwrap().objects().unwrap() {
        assert_eq!(object.body.get("kind").unwrap(), &*object.resource.kind);
        assert_eq!(object.body.get("apiVersion").unwrap(), &*object.resource.api_version);
        assert_eq!(object.body.pointer("/metadata/name").unwrap(), &*object.name);
        assert_eq!(object.namespace, "team-a");
    }
}

#[test]
fn everything_but_the_claim_goes_with_the_capture() {
    for body in bodies(&capture("a", "{storage: {deletionPolicy: Delete}}")) {
        let owner = body.pointer("/metadata/ownerReferences/0");
        if body.get("kind").unwrap() == "PersistentVolumeClaim" {
            assert_eq!(owner, None);
            continue;
        }
        let expected = serde_json::json!({
            "apiVersion": "tracecapture.dev/v1alpha1", "kind": "TraceCapture", "name": "a",
            "uid": "5a9c1f6e-0d5b-4f7e-9a57-2f1f6c1d9e11", "controller": true, "blockOwnerDeletion": true,
        });
        assert_eq!(owner, Some(&expected));
    }
}

#[test]
fn names_and_labels_fit_and_the_selector_finds_the_pods() {
    for (label, capture) in captures() {
        let mut names = BTreeSet::new();
        for body in bodies(&capture) {
            let name = body.pointer("/metadata/name").unwrap().as_str().unwrap().to_owned();
            assert!(name.len() <= MAX_LABEL_LEN, "{label}: {name}");
            assert!(names.insert((body.get("kind").unwrap().to_string(), name)), "{label}: a name twice");
            for value in body.pointer("/metadata/labels").unwrap().as_object().unwrap().values() {
                assert!(value.as_str().unwrap().len() <= MAX_LABEL_LEN, "{label}: {value}");
            }
        }
        let set = body(&capture, "StatefulSet", "-collector");
        let pods = set.pointer("/spec/template/metadata/labels").unwrap();
        for pair in selector(capture.id()).split(',') {
            let (name, value) = pair.split_once('=').unwrap();
            assert_eq!(pods.get(name).unwrap(), value, "{label}");
        }
    }
}

#[test]
fn a_collector_reads_from_its_settings_what_the_capture_says() {
    for (label, capture) in captures() {
        let settings = body(&capture, "ConfigMap", "-settings");
        let file = |name: &str| settings.get("data").unwrap().get(name).unwrap().as_str().unwrap().to_owned();
        let read: ValidCapture = parse(&file(SETTINGS_FILE)).unwrap();
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        assert_eq!(CollectorSettings::of(&read, now), CollectorSettings::of(&capture, now), "{label}");
        assert_eq!(read.origin(), capture.origin(), "{label}");
        assert_eq!(read.stop_time(now), capture.stop_time(now), "{label}");
        assert!(read.cluster_only().is_empty(), "{label}");
        let keys = GrantPublicKey::parse_file(&file(GRANT_KEYS_FILE)).unwrap();
        assert_eq!(keys, [GrantPublicKey::from_text(KEY).unwrap()]);
    }
}

#[test]
fn a_claim_has_room_for_what_is_kept_and_never_shrinks() {
    check_claim("{}", None, "2Gi");
    check_claim("{retention: {maxBytes: 20Ki}, chunk: {maxBytes: 4Ki}}", None, "1Gi");
    check_claim("{retention: {maxBytes: 1P}, chunk: {maxBytes: 1T}}", None, "1165318Gi");
    check_claim("{storage: {size: 300M}}", None, "300M");
    check_claim("{storage: {size: 2147483648}}", None, "2Gi");
    check_claim("{}", Some(5 << 30), "5Gi");
    check_claim("{storage: {size: 10Gi}}", Some(5 << 30), "10Gi");
}

#[test]
fn open_parts_of_the_spec_are_read_to_the_last_field() {
    check_invalid(
        "{collector: {affinity: {podAffinity: {}, nodeAfinity: {a: 1}}, tolerations: [{key: 1}, {tolerate: x}],
           topologySpreadConstraints: [{maxSkew: wide}]}}",
        &[
            "spec.collector.tolerations[0].key",
            "spec.collector.tolerations[1].tolerate",
            "spec.collector.affinity.nodeAfinity.a",
            "spec.collector.topologySpreadConstraints[0].maxSkew",
        ],
    );
}
