//! The custom resource definition: what it publishes, and that its CEL rules and the
//! local checks come to the same verdict in the same words.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

#[path = "support/captures.rs"]
mod support;

use std::collections::BTreeSet;

use kube::CustomResourceExt as _;
use kube::core::cel::Validator;
use serde_json::{Value, json};
use support::{CHANGES, Case, FORMS, SUBJECTS, UNKNOWN_FIELDS};
use tracecapture::api::{TraceCapture, conditions_markdown, crd_yaml, parse};

/// What plain `kubectl apply` and our own aim leave for the definition.
const MAX_CRD_BYTES: usize = 64 * 1024;

/// The sample that shows each field once; those that exclude others stand there in comments.
const EVERY_FIELD: &str = include_str!("../config/samples/every-field.yaml");

/// The keywords that the local walk over the schema knows, and those that carry no rule.
const KNOWN_KEYWORDS: &[&str] = &[
    "additionalProperties",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "nullable",
    "properties",
    "required",
    "title",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
];

fn schema() -> Value {
    let crd = serde_json::to_value(TraceCapture::crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

fn object(name: &str, spec: &str) -> (String, Value) {
    let text = format!(
        "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    );
    let value = serde_saphyr::from_str(&text).unwrap();
    (text, value)
}

/// Visits every schema below `schema` with its path.
fn visit(schema: &Value, path: &str, see: &mut impl FnMut(&str, &Value)) {
    see(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        visit(property, &format!("{path}.{name}"), see);
    }
    if let Some(items) = schema.get("items") {
        visit(items, &format!("{path}[]"), see);
    }
    if let Some(member) = schema.get("additionalProperties") {
        visit(member, &format!("{path}{{}}"), see);
    }
}

/// Runs one object through the definition's CEL rules and through the local ones.
fn check_rules(about: &str, case: &Case) {
    let Case { name, spec, faults: expected } = case;
    let (text, value) = object(name, spec);
    let by_server: BTreeSet<String> = match Validator::new().validate(&schema(), &value, None) {
        Ok(()) => BTreeSet::new(),
        Err(errors) => errors.into_vec().into_iter().map(|error| error.message).collect(),
    };
    let faults = parse(&text).err().unwrap_or_default();
    let by_us: BTreeSet<String> = faults.iter().map(|fault| fault.message.clone()).collect();
    assert_eq!(by_us, by_server, "{about}: {spec}");
    let paths: Vec<&str> = faults.iter().map(|fault| &*fault.path).collect();
    assert_eq!(paths, *expected, "{about}: {spec}");
}

/// Runs one object whose form is at fault through the local check.
fn check_form(spec: &str, expected: &[&str]) {
    let faults = parse(&object("a", spec).0).err().unwrap_or_default();
    let paths: Vec<&str> = faults.iter().map(|fault| &*fault.path).collect();
    assert_eq!(paths, expected, "{spec}: {faults:?}");
    assert!(faults.iter().all(|fault| fault.line == Some(4)), "{faults:?}");
}

/// Runs a change of `spec.storage` through the definition's rules.
fn check_change(old: &str, new: &str, is_allowed: bool) {
    let with = |storage: &str| object("a", &format!("{{storage: {storage}}}")).1;
    let verdict = Validator::new().validate(&schema(), &with(new), Some(&with(old)));
    assert_eq!(verdict.is_ok(), is_allowed, "{old} -> {new}: {verdict:?}");
}

#[test]
fn the_file_in_the_repository_is_what_the_program_prints() {
    assert_eq!(
        include_str!("../crds/tracecaptures.yaml"),
        crd_yaml(),
        "run `tracecapture crd > crds/tracecaptures.yaml`"
    );
}

#[test]
fn the_page_about_conditions_is_what_the_code_says() {
    assert_eq!(
        include_str!("../docs/conditions.md"),
        conditions_markdown(),
        "run `cargo run --quiet --example docs > target/conditions.md && mv target/conditions.md docs/`"
    );
}

#[test]
fn the_definition_stays_small_enough_for_kubectl() {
    assert!(crd_yaml().len() < MAX_CRD_BYTES, "{} bytes", crd_yaml().len());
}

#[test]
fn the_names_are_those_of_the_contract() {
    let crd = serde_json::to_value(TraceCapture::crd()).unwrap();
    let expected = json!({
        "categories": ["observability"], "kind": "TraceCapture", "plural": "tracecaptures",
        "shortNames": ["tcap"], "singular": "tracecapture",
    });
    assert_eq!(crd["spec"]["names"], expected);
    assert_eq!(crd["spec"]["scope"], "Namespaced");
}

#[test]
fn the_subresources_serve_autoscalers_and_selectors() {
    let crd = serde_json::to_value(TraceCapture::crd()).unwrap();
    let version = &crd["spec"]["versions"][0];
    let scale = json!({
        "specReplicasPath": ".spec.collector.replicas", "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    });
    assert_eq!(version["subresources"], json!({ "status": {}, "scale": scale }));
    assert_eq!(version["selectableFields"], json!([{ "jsonPath": ".spec.state" }]));
    let columns: Vec<_> =
        version["additionalPrinterColumns"].as_array().unwrap().iter().map(|column| column["name"].clone()).collect();
    assert_eq!(columns, ["Ready", "Reason", "Used", "Limit", "Last Span", "Age", "Bundle"]);
}

#[test]
fn the_sample_of_every_field_shows_every_field() {
    let mut missing = Vec::new();
    visit(&schema()["properties"]["spec"], "spec", &mut |path, schema| {
        let name = path.rsplit(['.', ']']).next().unwrap_or_default();
        let is_refused = schema["description"].as_str().is_some_and(|text| text.starts_with("Refused"));
        if !is_refused && !path.ends_with("[]") && !path.ends_with("{}") && !EVERY_FIELD.contains(&format!("{name}:")) {
            missing.push(path.to_owned());
        }
    });
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_field_is_described_and_no_keyword_is_passed_over_locally() {
    visit(&schema()["properties"]["spec"], "spec", &mut |path, schema| {
        let is_field = !path.ends_with("[]") && !path.ends_with("{}");
        assert!(!is_field || schema["description"].is_string(), "{path} has no description");
        for keyword in schema.as_object().unwrap().keys() {
            assert!(KNOWN_KEYWORDS.contains(&&**keyword), "{path}: {keyword}");
        }
    });
}

#[test]
fn nothing_is_nullable_so_that_a_null_never_reaches_a_rule_or_a_watch() {
    visit(&schema(), "", &mut |path, schema| {
        // The status as a whole is optional where it is read, and no rule looks at it.
        assert!(path == ".status" || schema["nullable"] != true, "{path}");
    });
    check_form("{receiver: null, chunk: {maxBytes: null}, storage: {claimName: null, size: null}}", &[]);
}

#[test]
fn sizes_are_numbers_or_texts_without_any_of() {
    let mut n_sizes = 0;
    visit(&schema(), "", &mut |path, schema| {
        if schema["x-kubernetes-int-or-string"] == true {
            n_sizes += 1;
            assert_eq!(schema["nullable"], false, "{path}: or kube makes it nullable");
            assert!(schema.get("anyOf").is_none() && schema.get("type").is_none(), "{path}");
        }
    });
    assert_eq!(n_sizes, 6);
}

#[test]
fn no_rule_fails_on_a_default_that_is_not_filled_in() {
    // The API server runs rules over defaults before nested defaults are in place.
    visit(&schema(), "", &mut |path, schema| {
        let Some(rules) = schema.get("x-kubernetes-validations").filter(|_| !path.is_empty()) else { return };
        let bare = json!({ "type": "object", "properties": {}, "x-kubernetes-validations": rules });
        let verdict = Validator::new().validate(&bare, &json!({}), None);
        assert!(verdict.is_ok(), "{path}: {verdict:?}");
    });
}

#[test]
fn each_rule_comes_to_one_verdict_in_the_same_words_on_both_sides() {
    for (about, cases) in SUBJECTS {
        for case in cases() {
            check_rules(about, &case);
        }
    }
}

#[test]
fn types_bounds_and_enumerations_are_checked_as_published() {
    for (spec, faulty) in FORMS {
        check_form(spec, &[faulty]);
    }
    // Keys of node labels are checked here alone: CEL cannot within the API server's budget.
    for key in ["-a", "'a b'", "a/b/c", "/a", "a/", "A_b.example/x"] {
        check_form(&format!("{{collector: {{nodeSelector: {{{key}: x}}}}}}"), &["spec.collector.nodeSelector"]);
    }
}

#[test]
fn unknown_fields_are_refused_and_set_off_no_rule_about_the_one_that_was_meant() {
    for (spec, faulty) in UNKNOWN_FIELDS {
        check_form(spec, &[faulty]);
    }
    check_form("{collector: {podOverlay: {metadata: {name: x}}}}", &["spec.collector.podOverlay.metadata.name"]);
}

#[test]
fn a_volume_cannot_be_exchanged_but_may_grow() {
    for &(old, new, is_allowed) in CHANGES {
        check_change(old, new, is_allowed);
    }
}

#[test]
fn everything_but_the_volume_may_change() {
    for (old, new) in [
        ("{collector: {replicas: 1}}", "{collector: {replicas: 2}, storage: {claimName: c}}"),
        ("{receiver: {grpc: {port: 4317}}}", "{receiver: {grpc: {port: 14317}}}"),
        ("{state: Running}", "{state: Stopped, endTime: 2026-11-21T10:30:00Z}"),
        ("{collector: {env: [{name: A}]}}", "{collector: {podOverlay: {spec: {priorityClassName: high}}}}"),
        ("{retention: {maxBytes: 2G}}", "{retention: {maxBytes: 1G}, download: {enabled: false}}"),
    ] {
        let with = |spec: &str| {
            let mut value = object("a", spec).1;
            value["spec"]["storage"] = json!({ "claimName": "c" });
            value
        };
        let verdict = Validator::new().validate(&schema(), &with(new), Some(&with(old)));
        assert!(verdict.is_ok(), "{old} -> {new}: {verdict:?}");
    }
}
