//! The custom resource definition: what it publishes, and that its CEL rules and the
//! local checks come to the same verdict in the same words.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use kube::CustomResourceExt as _;
use kube::core::cel::Validator;
use serde_json::{Value, json};
use tracecapture::api::{TraceCapture, crd_yaml, parse};

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
fn check_rules(name: &str, spec: &str, expected: &[&str]) {
    let (text, value) = object(name, spec);
    let by_server: BTreeSet<String> = match Validator::new().validate(&schema(), &value, None) {
        Ok(()) => BTreeSet::new(),
        Err(errors) => errors.into_vec().into_iter().map(|error| error.message).collect(),
    };
    let faults = parse(&text).err().unwrap_or_default();
    let by_us: BTreeSet<String> = faults.iter().map(|fault| fault.message.clone()).collect();
    assert_eq!(by_us, by_server, "{spec}");
    let paths: Vec<&str> = faults.iter().map(|fault| &*fault.path).collect();
    assert_eq!(paths, expected, "{spec}");
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
fn what_is_sound_passes_both() {
    for spec in [
        "{}",
        "{state: Stopped, durability: Write, signals: [Traces]}",
        "{chunk: {maxBytes: 50M}, retention: {maxBytes: 250M}}",
        "{chunk: {maxBytes: 65536, compression: None}, retention: {maxBytes: 1Mi, maxAgeSeconds: 60}}",
        "{receiver: {grpc: {enabled: false, port: 4318}}}",
        "{receiver: {grpc: {port: 1}, http: {port: 65535}, maxRequestBytes: 1Gi}}",
        "{collector: {replicas: 3}, storage: {accessModes: [ReadWriteMany], storageClassName: nfs.fast, size: 20Gi}}",
        "{collector: {replicas: 3}, storage: {claimName: shared, subPath: captures/a..b}}",
        "{storage: {storageClassName: '', deletionPolicy: Delete}}",
        "{retention: {clearBefore: 2026-11-21T10:30:00Z}}",
        "{stopAfterSeconds: 7200, endTime: 2026-11-21T10:30:00Z, download: {enabled: false}}",
        "{receiver: {http: {enabled: false, port: 8080}}}",
        "{collector: {image: 'images.example.com:5000/tracecapture@sha256:0f'}}",
        "{collector: {nodeSelector: {kubernetes.io/arch: amd64, pool: ''}, tolerations: [{key: a, operator: Exists}]}}",
        "{collector: {env: [{name: RUST_LOG, value: debug}, {name: _x1}]}}",
        "{collector: {affinity: {nodeAffinity: {}}, topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone}]}}",
        "{collector: {podOverlay: {metadata: {labels: {team: shop}}, spec: {priorityClassName: high, volumes: []}}}}",
    ] {
        check_rules("a", spec, &[]);
    }
}

#[test]
fn sizes_are_whole_numbers_of_bytes_within_bounds() {
    for size in
        ["banana", "100m", "0.5Gi", "'1e3'", "-1", "+1", "'0'", "0", "-5", "''", "9999E", "5 M", "1KB", "4095", "2T"]
    {
        check_rules(
            "a",
            &format!("{{chunk: {{maxBytes: {size}}}, retention: {{maxBytes: 20T}}}}"),
            &["spec.chunk.maxBytes"],
        );
    }
    check_rules("a", "{receiver: {maxRequestBytes: 2Gi}}", &["spec.receiver.maxRequestBytes"]);
    check_rules("a", "{retention: {maxBytes: 2P}}", &["spec.retention.maxBytes"]);
    check_rules("a", "{storage: {size: 10k}}", &["spec.storage.size"]);
}

#[test]
fn retention_holds_five_chunks() {
    let spec = |kept: &str, chunk: &str| format!("{{retention: {{maxBytes: {kept}}}, chunk: {{maxBytes: {chunk}}}}}");
    for (kept, chunk) in [("249999999", "50M"), ("100M", "50M"), ("320Ki", "65537")] {
        check_rules("a", &spec(kept, chunk), &["spec.retention.maxBytes"]);
    }
    check_rules("a", &spec("320Ki", "64Ki"), &[]);
}

#[test]
fn ports_differ_and_one_transport_is_on() {
    check_rules("a", "{receiver: {grpc: {port: 4318}}}", &["spec.receiver.http.port"]);
    check_rules("a", "{receiver: {grpc: {enabled: false}, http: {enabled: false}}}", &["spec.receiver"]);
}

#[test]
fn ports_of_the_pod_itself_are_taken() {
    for port in [4319, 8080] {
        check_rules("a", &format!("{{receiver: {{grpc: {{port: {port}}}}}}}"), &["spec.receiver.grpc.port"]);
        check_rules("a", &format!("{{receiver: {{http: {{port: {port}}}}}}}"), &["spec.receiver.http.port"]);
    }
}

#[test]
fn origins_are_what_browsers_send() {
    let spec = |origin: &str| format!("{{receiver: {{cors: {{allowedOrigins: ['{origin}']}}}}}}");
    for origin in ["*", "https://shop.example.com", "http://localhost:3000", "http://[::1]:80", "chrome-extension://ab"]
    {
        check_rules("a", &spec(origin), &[]);
    }
    for origin in [
        "shop.example.com",
        "https://",
        "https://shop.example.com/",
        "https://shop.example.com/x",
        "https://Shop.example.com",
        "https://shop.example.com:",
        "https://shop.example.com:123456",
        "https://a:b:1",
        "https://*.example.com",
        "https://a b",
        "http://[]",
        "http://[::1",
        "http://[::1]x",
        "://a",
        "1x://a",
        "null",
        "**",
    ] {
        check_rules("a", &spec(origin), &["spec.receiver.cors.allowedOrigins"]);
    }
    check_rules("a", "{receiver: {cors: {allowedOrigins: []}}}", &[]);
}

#[test]
fn resources_are_quantities_and_requests_within_limits() {
    let spec = |requests: &str, limits: &str| {
        format!("{{collector: {{resources: {{requests: {{{requests}}}, limits: {{{limits}}}}}}}}}")
    };
    for (requests, limits) in [
        ("cpu: 500m, memory: 256Mi", "cpu: 1, memory: 268435456"),
        ("cpu: '0.5'", "cpu: 500m"),
        ("cpu: 2", "memory: 1Gi"),
        ("memory: 1Gi", "memory: 1024Mi"),
        ("ephemeral-storage: 1G", ""),
        ("", "example.com/gpu: 0"),
    ] {
        check_rules("a", &spec(requests, limits), &[]);
    }
    for quantity in ["banana", "-1", "''", "1 Gi", "1kb", "'1.'", "'.5'", "1.2.3", "'+1'"] {
        check_rules("a", &spec(&format!("cpu: {quantity}"), "cpu: 1"), &["spec.collector.resources.requests"]);
        check_rules("a", &spec("cpu: 1", &format!("cpu: {quantity}")), &["spec.collector.resources.limits"]);
    }
    for (requests, limits) in
        [("cpu: 501m", "cpu: '0.5'"), ("memory: 1Gi", "memory: 1G"), ("cpu: 2", "cpu: 1, memory: 1")]
    {
        check_rules("a", &spec(requests, limits), &["spec.collector.resources.requests"]);
    }
}

#[test]
fn an_image_is_a_reference_without_blanks() {
    for image in ["a b", "' a'", "a\u{00e4}", "\"a\\n\""] {
        check_rules("a", &format!("{{collector: {{image: {image}}}}}"), &["spec.collector.image"]);
    }
}

#[test]
fn variables_have_names_of_their_own() {
    let spec = |name: &str| format!("{{collector: {{env: [{{name: {name}, value: x}}]}}}}");
    for name in ["1A", "'A B'", "A-B", "A.B", "'A=B'", "POD_NAME", "POD_", "TRACECAPTURE_TOKEN"] {
        check_rules("a", &spec(name), &["spec.collector.env"]);
    }
    for name in ["PODS", "A_POD_NAME", "tracecapture_x", "_"] {
        check_rules("a", &spec(name), &[]);
    }
}

#[test]
fn node_labels_are_labels() {
    for value in ["-a", "a-", "a b", "a/b"] {
        check_rules(
            "a",
            &format!("{{collector: {{nodeSelector: {{pool: {value}}}}}}}"),
            &["spec.collector.nodeSelector"],
        );
    }
    // Their keys are checked here alone: CEL cannot within the API server's budget.
    for key in ["-a", "'a b'", "a/b/c", "/a", "a/", "A_b.example/x"] {
        check_form(&format!("{{collector: {{nodeSelector: {{{key}: x}}}}}}"), &["spec.collector.nodeSelector"]);
    }
}

#[test]
fn an_overlay_keeps_to_what_a_pod_may_change() {
    for setting in ["hostNetwork: true", "hostPID: false", "hostIPC: true", "serviceAccountName: admin"] {
        let spec = format!("{{collector: {{podOverlay: {{spec: {{{setting}}}}}}}}}");
        check_rules("a", &spec, &["spec.collector.podOverlay"]);
    }
    check_rules(
        "a",
        "{collector: {podOverlay: {spec: {automountServiceAccountToken: true}}}}",
        &["spec.collector.podOverlay"],
    );
}

#[test]
fn several_replicas_need_a_volume_that_many_can_write() {
    check_rules("a", "{collector: {replicas: 2}}", &["spec.storage.accessModes"]);
    let modes = "{collector: {replicas: 2}, storage: {accessModes: [ReadWriteOnce]}}";
    check_rules("a", modes, &["spec.storage.accessModes"]);
}

#[test]
fn a_claim_is_either_there_or_described() {
    for described in ["size: 1Gi", "storageClassName: nfs", "accessModes: [ReadWriteMany]"] {
        check_rules("a", &format!("{{storage: {{claimName: c, {described}}}}}"), &["spec.storage.claimName"]);
    }
    check_rules("a", "{storage: {claimName: Bad_Name}}", &["spec.storage.claimName"]);
    check_rules("a", "{storage: {storageClassName: a..b}}", &["spec.storage.storageClassName"]);
    check_rules("a", "{storage: {subPath: x}}", &["spec.storage.subPath"]);
    for path in ["/x", "../x", "x/..", "x/../y", "'..'"] {
        check_rules("a", &format!("{{storage: {{claimName: c, subPath: {path}}}}}"), &["spec.storage.subPath"]);
    }
    check_rules("a", "{storage: {claimName: c, deletionPolicy: Delete}}", &["spec.storage.deletionPolicy"]);
}

#[test]
fn the_name_is_a_dns_label() {
    for name in ["Checkout", "a.b", "-a", "a-", &"x".repeat(64)] {
        check_rules(name, "{}", &["metadata.name"]);
    }
    check_rules(&"x".repeat(63), "{}", &[]);
}

#[test]
fn every_fault_against_a_rule_comes_at_once() {
    let spec =
        "{chunk: {maxBytes: 1M}, retention: {maxBytes: 4M}, collector: {replicas: 2}, receiver: {maxRequestBytes: 1}}";
    let faulty = ["spec.receiver.maxRequestBytes", "spec.retention.maxBytes", "spec.storage.accessModes"];
    check_rules("a", spec, &faulty);
}

#[test]
fn types_bounds_and_enumerations_are_checked_as_published() {
    for (spec, faulty) in [
        ("{state: running}", "spec.state"),
        ("{durability: 1}", "spec.durability"),
        ("{chunk: {compression: Lz4}}", "spec.chunk.compression"),
        ("{chunk: {maxAgeSeconds: 0}}", "spec.chunk.maxAgeSeconds"),
        ("{chunk: {maxAgeSeconds: '60'}}", "spec.chunk.maxAgeSeconds"),
        ("{chunk: {maxAgeSeconds: 1.5}}", "spec.chunk.maxAgeSeconds"),
        ("{chunk: {maxAgeSeconds: 9223372036854775808}}", "spec.chunk.maxAgeSeconds"),
        ("{chunk: {maxBytes: 1.5}}", "spec.chunk.maxBytes"),
        ("{chunk: {maxBytes: 1e3}}", "spec.chunk.maxBytes"),
        ("{chunk: {maxBytes: true}}", "spec.chunk.maxBytes"),
        ("{chunk: []}", "spec.chunk"),
        ("{receiver: {grpc: {port: 0}}}", "spec.receiver.grpc.port"),
        ("{receiver: {http: {port: 65536}}}", "spec.receiver.http.port"),
        ("{receiver: {http: {enabled: maybe}}}", "spec.receiver.http.enabled"),
        ("{retention: {maxAgeSeconds: -1}}", "spec.retention.maxAgeSeconds"),
        ("{retention: {clearBefore: yesterday}}", "spec.retention.clearBefore"),
        ("{retention: {clearBefore: '1795257045'}}", "spec.retention.clearBefore"),
        ("{recovery: {inactiveSeconds: 0}}", "spec.recovery.inactiveSeconds"),
        ("{collector: {replicas: 0}}", "spec.collector.replicas"),
        ("{signals: []}", "spec.signals"),
        ("{signals: [Metrics]}", "spec.signals[0]"),
        ("{storage: {accessModes: [ReadWriteMany, ReadWriteMany]}}", "spec.storage.accessModes[1]"),
        ("{storage: {claimName: ''}}", "spec.storage.claimName"),
        ("{stopAfterSeconds: 0}", "spec.stopAfterSeconds"),
        ("{stopAfterSeconds: 315360001}", "spec.stopAfterSeconds"),
        ("{endTime: tomorrow}", "spec.endTime"),
        ("{download: {enabled: 1}}", "spec.download.enabled"),
        ("{receiver: {cors: {allowedOrigins: [a://b, a://b]}}}", "spec.receiver.cors.allowedOrigins[1]"),
        ("{collector: {image: ''}}", "spec.collector.image"),
        ("{collector: {resources: {requests: {cpu: 0.5}}}}", "spec.collector.resources.requests.cpu"),
        ("{collector: {resources: {requests: {cpu: []}}}}", "spec.collector.resources.requests.cpu"),
        ("{collector: {resources: {claims: []}}}", "spec.collector.resources.claims"),
        ("{collector: {nodeSelector: {a: 1}}}", "spec.collector.nodeSelector.a"),
        ("{collector: {tolerations: [x]}}", "spec.collector.tolerations[0]"),
        ("{collector: {affinity: []}}", "spec.collector.affinity"),
        ("{collector: {env: [{name: A}, {name: B}, {name: A, value: x}]}}", "spec.collector.env[2]"),
        ("{collector: {env: [{value: x}]}}", "spec.collector.env[0].name"),
        ("{collector: {env: [{name: A, valueFrom: {}}]}}", "spec.collector.env[0].valueFrom"),
        ("{collector: {podOverlay: {kind: Pod}}}", "spec.collector.podOverlay.kind"),
        ("{collector: {podOverlay: {metadata: {name: x}}}}", "spec.collector.podOverlay.metadata.name"),
        ("{collector: {podOverlay: {metadata: {labels: {a: 1}}}}}", "spec.collector.podOverlay.metadata.labels.a"),
        ("{collector: {podOverlay: {spec: 1}}}", "spec.collector.podOverlay.spec"),
        ("5", "spec"),
    ] {
        check_form(spec, &[faulty]);
    }
}

#[test]
fn fields_that_do_not_exist_yet_are_refused() {
    for field in ["sampling", "filter", "redaction", "limits", "forward"] {
        check_form(&format!("{{{field}: {{}}}}"), &[&*format!("spec.{field}")]);
    }
    check_form("{receiver: {tls: {}}}", &["spec.receiver.tls"]);
    check_form("{download: {statusLink: Signed}}", &["spec.download.statusLink"]);
}

#[test]
fn a_misspelt_field_does_not_set_off_rules_about_the_one_that_was_meant() {
    check_form("{chunk: {maxbytes: 1M}, retention: {maxBytes: 100M}}", &["spec.chunk.maxbytes"]);
}

#[test]
fn a_volume_cannot_be_exchanged_but_may_grow() {
    let table = [
        ("{claimName: a}", "{claimName: a}", true),
        ("{claimName: a}", "{claimName: b}", false),
        ("{claimName: a}", "{}", false),
        ("{}", "{claimName: a}", false),
        ("{claimName: a, subPath: x}", "{claimName: a, subPath: y}", false),
        ("{storageClassName: a}", "{storageClassName: b}", false),
        ("{accessModes: [ReadWriteOnce]}", "{accessModes: [ReadWriteMany]}", false),
        ("{size: 1Gi}", "{size: 2Gi}", true),
        ("{size: 1Gi}", "{size: 1024Mi}", true),
        ("{size: 2Gi}", "{size: 1Gi}", false),
        ("{size: 2Gi}", "{}", false),
        ("{}", "{size: 2Gi}", true),
        ("{deletionPolicy: Retain}", "{deletionPolicy: Delete}", true),
    ];
    for (old, new, is_allowed) in table {
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
