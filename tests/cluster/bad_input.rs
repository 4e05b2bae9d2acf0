//! Captures that cannot work: each says in its conditions why, and what to do; the others go on.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tracecapture::api::TraceCapture;

use crate::cluster::{Cluster, MANAGER, alone_on_cluster, on_cluster, until, until_reason};
use crate::operator::{Operator, eventually};
use crate::rights::Scope;
use crate::samples::{api_of, until_told};

fn claim(name: &str, modes: &[&str]) -> Value {
    json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name }, "spec": {
        "accessModes": modes, "storageClassName": "", "resources": { "requests": { "storage": "1Gi" } },
    }})
}

/// Checks that a capture made now gets its set.
pub(crate) async fn check_others_go_on(cluster: &Cluster) {
    cluster.create("sound", "{}").await;
    let is_made = |set: Option<&StatefulSet>| set.is_some();
    until(&cluster.api(), "sound-collector", "another capture has its set", is_made).await;
}

/// Creates a capture and checks what its condition says; the message names `culprit`.
async fn check(cluster: &Cluster, name: &str, spec: &str, (condition, reason): (&str, &str), culprit: &str) {
    cluster.create(name, spec).await;
    let message = until_reason(cluster, name, condition, reason).await;
    assert!(message.contains(culprit), "{spec}: {message}");
    check_not_ready(cluster, name).await;
}

async fn check_not_ready(cluster: &Cluster, name: &str) {
    let capture = cluster.api::<TraceCapture>().get(name).await.unwrap();
    let conditions = capture.status.unwrap().conditions;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
    assert_eq!(ready.status, "False", "{ready:?}");
    assert!(ready.message.ends_with('.') && ready.message.contains(' '), "{ready:?}");
}

#[test]
fn volumes_that_cannot_be_had_are_named() {
    on_cluster(async |cluster| {
        let operator = Operator::start(&cluster, "operator-0").await;
        check(&cluster, "missing", "{storage: {claimName: nothing}}", ("StorageReady", "ClaimMissing"), "`nothing`")
            .await;
        cluster.apply(MANAGER, &claim("read-only", &["ReadOnlyMany"])).await;
        let wrong = ("StorageReady", "AccessModeMismatch");
        check(&cluster, "reader", "{storage: {claimName: read-only}}", wrong, "ReadOnlyMany").await;
        cluster.apply(MANAGER, &claim("single", &["ReadWriteOnce"])).await;
        let two = "{collector: {replicas: 2}, storage: {claimName: single}}";
        check(&cluster, "many", two, wrong, "ReadWriteOnce").await;
        check_others_go_on(&cluster).await;
        operator.end().await;
        // A claim that was brought is never touched.
        let single = cluster.api::<PersistentVolumeClaim>().get("single").await.unwrap();
        let managers: Vec<_> = single.metadata.managed_fields.unwrap().into_iter().filter_map(|f| f.manager).collect();
        assert!(!managers.iter().any(|manager| manager == "tracecapture"), "{managers:?}");
    });
}

#[test]
fn a_missing_storage_class_is_named_where_classes_may_be_read() {
    alone_on_cluster(async |cluster| {
        let operator = Operator::start_in(&cluster, Scope::Everywhere, "operator-0", &[]).await;
        let spec = "{storage: {storageClassName: no-such-class}}";
        check(&cluster, "missing", spec, ("StorageReady", "StorageClassMissing"), "`no-such-class`").await;
        check_others_go_on(&cluster).await;
        operator.end().await;
    });
}

#[test]
fn of_two_captures_on_one_directory_the_first_keeps_it() {
    on_cluster(async |cluster| {
        cluster.apply(MANAGER, &claim("shared", &["ReadWriteMany"])).await;
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("first", "{storage: {claimName: shared, subPath: a}}").await;
        until(&cluster.api(), "first-collector", "the first has its set", |set: Option<&StatefulSet>| set.is_some())
            .await;
        // Times of creation are told to the second: within one, the name decides.
        check(&cluster, "second", "{storage: {claimName: shared, subPath: a}}", ("Ready", "ClaimShared"), "first")
            .await;
        let within = "{storage: {claimName: shared, subPath: a/b/c}}";
        check(&cluster, "within", within, ("Ready", "ClaimShared"), "first").await;
        cluster.create("third", "{storage: {claimName: shared, subPath: b}}").await;
        until(&cluster.api(), "third-collector", "the third has its set", |set: Option<&StatefulSet>| set.is_some())
            .await;
        check(&cluster, "around", "{storage: {claimName: shared}}", ("Ready", "ClaimShared"), "first").await;
        assert!(cluster.api::<StatefulSet>().get_opt("second-collector").await.unwrap().is_none());
        operator.end().await;
    });
}

#[test]
fn overlays_that_weaken_security_are_refused_with_the_key() {
    on_cluster(async |cluster| {
        let operator = Operator::start(&cluster, "operator-0").await;
        let refused = ("Ready", "OverlayRefused");
        for (n, (overlay, culprit)) in [
            ("containers: [{name: collector, securityContext: {privileged: true}}]", "privileged"),
            ("containers: [{name: collector, securityContext: {runAsUser: 0}}]", "runAsUser"),
            (
                "containers: [{name: other, image: a, securityContext: {capabilities: {add: [SYS_ADMIN]}}}]",
                "capabilities",
            ),
            ("volumes: [{name: host, hostPath: {path: /}}]", "hostPath"),
            ("securityContext: {runAsNonRoot: false}", "runAsNonRoot"),
            ("hostUsers: true, securityContext: {seccompProfile: {type: Unconfined}}", "seccompProfile"),
            ("volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]", "serviceAccountToken"),
            ("terminationGracePeriodSeconds: 0", "terminationGracePeriodSeconds"),
            ("securityContext: {fsGroup: 0}", "fsGroup"),
            ("shareProcessNamespace: true", "shareProcessNamespace"),
        ]
        .into_iter()
        .enumerate()
        {
            let spec = format!("{{collector: {{podOverlay: {{spec: {{{overlay}}}}}}}}}");
            check(&cluster, &format!("weak-{n}"), &spec, refused, culprit).await;
        }
        check_others_go_on(&cluster).await;
        operator.end().await;
    });
}

#[test]
fn a_quota_that_refuses_pods_is_told_with_its_words() {
    on_cluster(async |cluster| {
        let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "no-pods" },
            "spec": { "hard": { "pods": "0" } } });
        cluster.apply(MANAGER, &quota).await;
        let is_counted =
            |quota: Option<&DynamicObject>| quota.is_some_and(|quota| quota.data["status"]["hard"].is_object());
        until(&api_of(&cluster, &quota), "no-pods", "the quota counts", is_counted).await;
        let operator = Operator::start(&cluster, "operator-0").await;
        check(&cluster, "checkout", "{}", ("ReceiversReady", "QuotaExceeded"), "exceeded quota: no-pods").await;
        check_told_once(&cluster, "checkout", "QuotaExceeded").await;
        check_others_go_on(&cluster).await;
        operator.end().await;
    });
}

/// Checks that an event tells of a reason, and that one is enough.
pub(crate) async fn check_told_once(cluster: &Cluster, name: &str, reason: &str) {
    let events = eventually("an event tells of it", async || {
        let found = cluster.api::<Event>().list(&ListParams::default()).await.unwrap().items;
        let is_meant = |event: &Event| {
            event.reason.as_deref() == Some(reason)
                && event.regarding.as_ref().is_some_and(|r| r.name.as_deref() == Some(name))
        };
        let found: Vec<_> = found.into_iter().filter(is_meant).collect();
        (!found.is_empty()).then_some(found)
    });
    let events = events.await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].type_.as_deref(), Some("Warning"));
}

#[test]
fn what_admission_says_against_pods_is_told() {
    on_cluster(async |cluster| {
        let operator = Operator::start(&cluster, "operator-0").await;
        let spec = "{collector: {podOverlay: {spec: {priorityClassName: no-such-class}}}}";
        check(&cluster, "checkout", spec, ("ReceiversReady", "PodRefused"), "no-such-class").await;
        check_others_go_on(&cluster).await;
        operator.end().await;
    });
}

#[test]
fn a_name_of_63_characters_gets_pods_and_addresses() {
    on_cluster(async |cluster| {
        let operator = Operator::start(&cluster, "operator-0").await;
        let (one, other) = ("a".repeat(62) + "b", "a".repeat(62) + "c");
        for name in [&one, &other] {
            cluster.create(name, "{}").await;
        }
        for name in [&one, &other] {
            until_told(&cluster, name).await;
        }
        let pods = eventually("both have a pod", async || {
            let pods = cluster.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
            (pods.len() == 2).then_some(pods)
        });
        let selected = pods.await.into_iter().filter_map(|pod| pod.metadata.labels?.remove("tracecapture.dev/capture"));
        assert_eq!(selected.collect::<BTreeSet<_>>().len(), 2);
        operator.end().await;
    });
}

#[test]
fn an_object_of_somebody_else_is_not_taken() {
    on_cluster(async |cluster| {
        let stranger = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "checkout-settings" },
            "data": { "mine": "yes" } });
        cluster.apply(MANAGER, &stranger).await;
        let operator = Operator::start(&cluster, "operator-0").await;
        check(&cluster, "checkout", "{}", ("ReceiversReady", "ApplyFailed"), "checkout-settings").await;
        check_others_go_on(&cluster).await;
        let found = api_of(&cluster, &stranger).get("checkout-settings").await.unwrap();
        assert_eq!(found.data["data"], stranger["data"]);
        check_withheld(&cluster, "checkout", &stranger).await;
        operator.end().await;
    });
}

#[test]
fn a_claim_of_somebody_else_gets_no_pods() {
    on_cluster(async |cluster| {
        let stranger = claim("checkout-chunks", &["ReadWriteOnce"]);
        cluster.apply(MANAGER, &stranger).await;
        let operator = Operator::start(&cluster, "operator-0").await;
        check(&cluster, "checkout", "{}", ("StorageReady", "ApplyFailed"), "checkout-chunks").await;
        check_withheld(&cluster, "checkout", &stranger).await;
        operator.end().await;
    });
}

/// Checks that a capture has no set while an object of somebody else is there, and has one once it is gone.
async fn check_withheld(cluster: &Cluster, name: &str, stranger: &Value) {
    let message = until_reason(cluster, name, "ReceiversReady", "ApplyFailed").await;
    assert!(message.contains("neither made nor changed"), "{message}");
    let set = format!("{name}-collector");
    assert!(cluster.api::<StatefulSet>().get_opt(&set).await.unwrap().is_none());
    let service = cluster.api::<Service>().get_opt(&format!("{name}-otlp")).await.unwrap();
    assert!(service.is_some(), "the others are made");
    let stranger_name = stranger["metadata"]["name"].as_str().unwrap();
    api_of(cluster, stranger).delete(stranger_name, &DeleteParams::default()).await.unwrap();
    until(&cluster.api(), &set, "the set is made", |set: Option<&StatefulSet>| set.is_some()).await;
}

#[test]
fn pods_pass_the_restricted_level() {
    on_cluster(async |cluster| {
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(cluster.client.clone());
        let enforce = json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
        namespaces.patch(&cluster.namespace, &PatchParams::default(), &Patch::Merge(&enforce)).await.unwrap();
        let plain = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "plain" },
            "spec": { "containers": [{ "name": "a", "image": "a" }] } });
        eventually("a pod without a security context is refused", async || {
            let dry = PostParams { dry_run: true, ..PostParams::default() };
            let verdict = api_of(&cluster, &plain).create(&dry, &serde_json::from_value(plain.clone()).unwrap()).await;
            verdict.is_err_and(|error| error.to_string().contains("restricted")).then_some(())
        })
        .await;
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("checkout", "{}").await;
        until(&cluster.api(), "checkout-collector-0", "the pod is let in", |pod: Option<&Pod>| pod.is_some()).await;
        operator.end().await;
    });
}

#[test]
fn an_image_that_cannot_be_pulled_is_named() {
    on_cluster(async |cluster| {
        if cluster.has_nodes().await {
            return eprintln!("a kubelet writes the status of pods here: not checked by hand");
        }
        let operator = Operator::start(&cluster, "operator-0").await;
        cluster.create("checkout", "{}").await;
        let pod = "checkout-collector-0";
        until(&cluster.api(), pod, "the pod is made", |pod: Option<&Pod>| pod.is_some()).await;
        let status = json!({ "status": { "phase": "Pending", "containerStatuses": [{
            "name": "collector", "image": "tracecapture.invalid/x:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": "ImagePullBackOff", "message": "Back-off pulling image" } },
        }]}});
        cluster.api::<Pod>().patch_status(pod, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
        let message = until_reason(&cluster, "checkout", "ReceiversReady", "ImagePullFailed").await;
        assert!(message.contains("tracecapture.invalid/x:1") && message.contains("spec.collector.image"), "{message}");
        check_not_ready(&cluster, "checkout").await;
        check_others_go_on(&cluster).await;
        operator.end().await;
    });
}
