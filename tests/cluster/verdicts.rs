//! The API server judges the table of captures that `tests/crd.rs` has judged locally.

use std::collections::BTreeSet;

use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::Status;
use serde_json::Value;
use tracecapture::api::{StatusLink, TraceCapture, parse};

use crate::captures::{CHANGES, Case, FORMS, SUBJECTS, UNKNOWN_FIELDS};
use crate::cluster::{Cluster, MANAGER, capture, capture_json, on_cluster};

/// A field and what is said of it.
type Said = BTreeSet<(String, String)>;

fn dry_run() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

/// Sends a capture as it is written, without our types in between.
async fn create_dry(cluster: &Cluster, object: &Value) -> Result<(), Box<Status>> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &ApiResource::erase::<TraceCapture>(&()));
    let mut object = object.clone();
    object["metadata"]["namespace"] = cluster.namespace.clone().into();
    let request = kube::core::Request::new(api.resource_url().to_owned());
    let request = request.create(&dry_run(), serde_json::to_vec(&object).unwrap()).unwrap();
    match cluster.client.request::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status),
        Err(error) => panic!("{error}"),
    }
}

/// Returns what the API server finds, without the value that it repeats before each message.
fn said(verdict: Result<(), Box<Status>>, messages: &BTreeSet<String>) -> Said {
    let causes = verdict.err().and_then(|status| status.details).map(|details| details.causes).unwrap_or_default();
    let meant = |text: &str| messages.iter().find(|message| text.ends_with(message.as_str())).cloned();
    causes
        .into_iter()
        // Of names, the API server has rules of its own beside ours, which stands at the root of the schema.
        .filter(|cause| cause.field != "metadata.name")
        .map(|cause| (cause.field.replace("<nil>", "metadata.name"), meant(&cause.message).unwrap_or(cause.message)))
        .collect()
}

async fn check_rules(cluster: &Cluster, about: &str, case: &Case) {
    let object = capture_json(&case.name, &case.spec);
    let faults = parse(&serde_saphyr::to_string(&object).unwrap()).err().unwrap_or_default();
    let ours: Said = faults.into_iter().map(|fault| (fault.path, fault.message)).collect();
    let messages = ours.iter().map(|(_, message)| message.clone()).collect();
    let theirs = said(create_dry(cluster, &object).await, &messages);
    assert_eq!(theirs, ours, "{about}: {} {}", case.name, case.spec);
    let paths: BTreeSet<&str> = theirs.iter().map(|(path, _)| &**path).collect();
    assert_eq!(paths, case.faults.iter().copied().collect(), "{about}: {}", case.spec);
}

#[test]
fn each_rule_says_on_the_api_server_what_it_says_locally() {
    on_cluster(async |cluster| {
        for (about, cases) in SUBJECTS {
            for case in cases() {
                check_rules(&cluster, about, &case).await;
            }
        }
    });
}

#[test]
fn types_bounds_and_enumerations_are_refused_by_their_path() {
    on_cluster(async |cluster| {
        for (spec, faulty) in FORMS {
            let status = create_dry(&cluster, &capture_json("a", spec)).await.expect_err(spec);
            let fields: Vec<&str> =
                status.details.iter().flat_map(|details| &details.causes).map(|cause| &*cause.field).collect();
            // Lists by key and set-like lists are named as a whole or by their entry.
            let is_named = fields.iter().any(|field| field.starts_with(faulty) || faulty.starts_with(field));
            assert!(!fields.is_empty() && is_named, "{spec}: {fields:?} {}", status.message);
        }
    });
}

#[test]
fn unknown_fields_are_refused_where_validation_is_strict() {
    on_cluster(async |cluster| {
        let api: Api<DynamicObject> =
            Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &ApiResource::erase::<TraceCapture>(&()));
        for (spec, faulty) in UNKNOWN_FIELDS {
            let params = PatchParams { dry_run: true, ..PatchParams::apply(MANAGER) }.validation_strict();
            let answer = api.patch("a", &params, &Patch::Apply(capture_json("a", spec))).await;
            let Err(kube::Error::Api(status)) = answer else { panic!("{spec}: {answer:?}") };
            let field = faulty.rsplit('.').next().unwrap();
            let is_named = status.message.contains(&format!(".{field}: field not declared in schema"));
            assert!(is_named, "{spec}: {}", status.message);
        }
    });
}

/// By server-side apply, Kubernetes refuses a null where there is no default.
#[test]
fn nulls_count_as_absent_in_what_is_created() {
    on_cluster(async |cluster| {
        let spec = "{receiver: null, chunk: {maxBytes: null}, storage: {claimName: null, size: null}}";
        assert_eq!(create_dry(&cluster, &capture_json("a", spec)).await, Ok(()));
    });
}

#[test]
fn defaults_are_filled_in_and_are_the_documented_ones() {
    on_cluster(async |cluster| {
        let api: Api<DynamicObject> =
            Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &ApiResource::erase::<TraceCapture>(&()));
        let empty = serde_json::from_value(capture_json("b", "{}")).unwrap();
        let filled = api.create(&PostParams::default(), &empty).await.unwrap();
        let mut ours = serde_json::to_value(capture("b", "{}").spec).unwrap();
        // Left out of what we write, so that the settings of collectors stay as they were before there was such a field.
        ours["download"]["statusLink"] = serde_json::to_value(StatusLink::default()).unwrap();
        assert_eq!(filled.data["spec"], ours);
    });
}

#[test]
fn a_volume_cannot_be_exchanged_but_may_have_another_size() {
    on_cluster(async |cluster| {
        let api: Api<TraceCapture> = cluster.api();
        for (n, &(old, new, is_allowed)) in CHANGES.iter().enumerate() {
            let name = format!("change-{n}");
            let mut object = cluster.create(&name, &format!("{{storage: {old}}}")).await;
            object.spec = capture(&name, &format!("{{storage: {new}}}")).spec;
            let verdict = api.replace(&name, &dry_run(), &object).await;
            assert_eq!(verdict.is_ok(), is_allowed, "{old} -> {new}: {verdict:?}");
            let Err(error) = verdict else { continue };
            let kube::Error::Api(status) = error else { panic!("{error}") };
            let causes = status.details.unwrap().causes;
            let is_ours = |text: &str| text.contains("cannot change: create another");
            let (ours, others): (Vec<_>, Vec<_>) = causes.iter().partition(|cause| is_ours(&cause.message));
            assert!(ours.iter().all(|cause| cause.field.starts_with("spec.storage.")), "{old} -> {new}: {causes:?}");
            assert!(!ours.is_empty() && others.is_empty(), "{old} -> {new}: {causes:?}");
        }
    });
}
