//! Definitions of earlier versions, and what they let in.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::time::error::Elapsed;
use tokio::time::{interval, timeout};
use tracecapture::api::crd_yaml;

use crate::bad_input::{check_others_go_on, check_told_once};
use crate::cluster::{
    Cluster, DEFINITION, MANAGER, PATIENCE, alone_on_cluster, capture_json, install, until, until_reason,
};
use crate::operator::{Operator, eventually};
use crate::rights::Scope;
use crate::samples::api_of;

/// Makes the definition let everything in, as an early version of it may have.
async fn loosen(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut definition: Value = serde_saphyr::from_str(&crd_yaml()).unwrap();
    let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema.as_object_mut().unwrap().remove("x-kubernetes-validations");
    schema["properties"]["spec"] = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true,
        "properties": { "state": { "type": "string" } } });
    api.patch(DEFINITION, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&definition)).await.unwrap();
}

/// What an older definition let in and this one takes a status for, with what is said of it.
const LET_IN: [(&str, &str, &str, &str); 3] = [
    ("invalid", "{collector: {replicas: 2}}", "Invalid", "ReadWriteMany"),
    ("nulls", "{chunk: {maxBytes: null}, collector: {replicas: 2}}", "Invalid", "ReadWriteMany"),
    // The API server drops what the definition does not know any more.
    ("unknown", "{chunk: {maxbytes: 1M}}", "Progressing", "pods are ready"),
];

/// What it takes no status for: the API server refuses every write to an object that is not of the form.
const SEALED_UP: (&str, &str) = ("unreadable", "{chunk: banana}");

/// The same goes for a name that the rule about names forbids.
const MISNAMED: (&str, &str) = ("a.b", "{}");

#[test]
fn what_an_older_definition_let_in_is_told_and_stops_nobody() {
    alone_on_cluster(async |cluster| {
        loosen(&cluster.client).await;
        let mut made = Vec::new();
        for (name, spec) in LET_IN.map(|(name, spec, ..)| (name, spec)).into_iter().chain([SEALED_UP, MISNAMED]) {
            made.push(let_in(&cluster, name, spec).await);
        }
        install(&cluster.client).await;
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        eventually("the definition is strict again", async || {
            cluster.try_create("probe", "{collector: {replicas: 2}}").await.is_err().then_some(())
        })
        .await;
        let operator = Operator::start(&cluster, "operator-0").await;
        check_others_go_on(&cluster).await;
        for (name, spec, reason, word) in LET_IN {
            let message = until_reason(&cluster, name, "ReceiversReady", reason).await;
            assert!(message.contains(word), "{spec}: {message}");
        }
        let id = format!("{}/{}", cluster.namespace, SEALED_UP.0);
        let is_logged = |line: &Value| line["capture"] == id.as_str() && line.to_string().contains("spec.chunk");
        eventually("the log says why", async || operator.lines().iter().any(is_logged).then_some(())).await;
        check_told_once(&cluster, SEALED_UP.0, "Unreadable").await;
        assert!(operator.log().contains("no DNS label") && operator.log().contains(MISNAMED.0), "{}", operator.log());
        operator.end().await;
    });
}

#[test]
fn one_directory_written_in_several_ways_is_one_directory() {
    alone_on_cluster(async |cluster| {
        loosen(&cluster.client).await;
        let mut made = Vec::new();
        for (name, directory) in [("first", "a"), ("second", "./a/"), ("third", "a//b"), ("alone", "x/./")] {
            made.push(
                let_in(&cluster, name, &format!("{{storage: {{claimName: shared, subPath: '{directory}'}}}}")).await,
            );
        }
        install(&cluster.client).await;
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        let operator = Operator::start(&cluster, "operator-0").await;
        for name in ["second", "third"] {
            let message = until_reason(&cluster, name, "Ready", "ClaimShared").await;
            assert!(message.contains("/first`"), "{message}");
        }
        // What an earlier definition let in and works goes on to work.
        for name in ["first", "alone"] {
            until_reason(&cluster, name, "StorageReady", "ClaimMissing").await;
            let set = format!("{name}-collector");
            until(&cluster.api(), &set, "it has its set", |set: Option<&StatefulSet>| set.is_some()).await;
        }
        operator.end().await;
    });
}

#[test]
fn a_definition_that_is_too_old_is_waited_for() {
    alone_on_cluster(async |cluster| {
        loosen(&cluster.client).await;
        let operator = Operator::start_in(&cluster, Scope::Everywhere, "operator-0", &[]).await;
        let told = eventually("it says what it waits for", async || {
            let (status, text) = operator.ask("/readyz").await;
            (status == 503 && text.contains("does not know")).then_some(text)
        })
        .await;
        install(&cluster.client).await;
        assert!(told.contains(DEFINITION) && told.contains("tracecapture crd"), "{told}");
        check_others_go_on(&cluster).await;
        operator.end().await;
    });
}

/// Creates a capture once the definition lets it in; whoever waits restores the definition in any case.
async fn let_in(cluster: &Cluster, name: &str, spec: &str) -> Result<(), Elapsed> {
    let object = capture_json(name, spec);
    let (api, object) = (api_of(cluster, &object), serde_json::from_value(object).unwrap());
    let mut pulse = interval(Duration::from_millis(100));
    timeout(PATIENCE, async {
        while api.create(&PostParams::default(), &object).await.is_err() {
            pulse.tick().await;
        }
    })
    .await
}
