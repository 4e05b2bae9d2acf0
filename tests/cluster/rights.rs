//! The rights of the operator: a service account with those of `config/rbac` and no others.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::config::{AuthInfo, Kubeconfig};
use serde_json::{Value, json};

use crate::audit::Use;
use crate::cluster::{CLUSTER_WIDE_LABEL, Cluster, MANAGER};

/// The service account of the operator.
pub(crate) const ACCOUNT: &str = "tracecapture-operator";

/// Whose captures an operator reconciles, and so which of the files grants its rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of the namespace of the test.
    Namespace,
    /// Those of every namespace, also of other tests: only for tests that run alone.
    Everywhere,
}

impl Scope {
    fn file(self) -> &'static str {
        match self {
            Self::Namespace => "config/rbac/operator-namespaced.yaml",
            Self::Everywhere => "config/rbac/operator-cluster.yaml",
        }
    }

    /// Returns the objects of the file, moved to the namespace of the test.
    fn objects(self, cluster: &Cluster) -> Vec<Value> {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(self.file())).unwrap();
        let documents = text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap());
        documents.map(|object| moved(object, cluster)).collect()
    }

    /// Returns every verb and resource that is granted.
    pub(crate) fn granted(self, cluster: &Cluster) -> BTreeSet<Use> {
        let objects = self.objects(cluster);
        let rules = objects.iter().filter_map(|object| object.get("rules"));
        let rules = rules.flat_map(|rules| serde_json::from_value::<Vec<PolicyRule>>(rules.clone()).unwrap());
        rules.flat_map(uses).collect()
    }
}

/// Moves an object, and whom it speaks of, to the namespace of the test.
fn moved(mut object: Value, cluster: &Cluster) -> Value {
    let is_cluster_wide = object["metadata"].get("namespace").is_none();
    if is_cluster_wide {
        let name = format!("{}-{}", object["metadata"]["name"].as_str().unwrap(), cluster.namespace);
        object["metadata"]["name"] = name.clone().into();
        object["metadata"]["labels"] = json!({ CLUSTER_WIDE_LABEL: cluster.namespace });
        if object.get("roleRef").is_some() {
            object["roleRef"]["name"] = name.into();
        }
    } else {
        object["metadata"]["namespace"] = cluster.namespace.clone().into();
    }
    for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        assert_eq!(subject["name"], ACCOUNT);
        subject["namespace"] = cluster.namespace.clone().into();
    }
    object
}

fn uses(rule: PolicyRule) -> Vec<Use> {
    let PolicyRule { api_groups, resources, verbs, .. } = rule;
    let mut uses = Vec::new();
    for group in api_groups.unwrap_or_default() {
        for resource in resources.iter().flatten() {
            uses.extend(verbs.iter().map(|verb| (verb.clone(), format!("{group}/{resource}"))));
        }
    }
    uses
}

/// Grants the operator what it asks for.
pub(crate) async fn grant(cluster: &Cluster, scope: Scope) {
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {
        "name": ACCOUNT, "namespace": cluster.namespace,
    }});
    for object in std::iter::once(account).chain(scope.objects(cluster)) {
        let (group, version) = object["apiVersion"].as_str().unwrap().rsplit_once('/').unwrap_or(("", "v1"));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap()));
        let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(cluster.client.clone(), namespace, &resource),
            None => Api::all_with(cluster.client.clone(), &resource),
        };
        let name = object["metadata"]["name"].as_str().unwrap();
        api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object)).await.unwrap();
    }
}

/// Returns how the operator reaches the cluster of this test: as its service account, by a token.
pub(crate) async fn kubeconfig(cluster: &Cluster) -> String {
    let wish = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
    let accounts = cluster.api::<ServiceAccount>();
    let answer = accounts.create_token_request(ACCOUNT, &PostParams::default(), &wish).await.unwrap();
    let token = answer.status.map(|status| status.token.into());
    let mut config = Kubeconfig::read().unwrap();
    let context = config.contexts.iter().find(|context| Some(&context.name) == config.current_context.as_ref());
    let user = context.unwrap().context.as_ref().unwrap().user.clone().unwrap();
    config.auth_infos.retain(|named| named.name == user);
    for named in &mut config.auth_infos {
        named.auth_info = Some(AuthInfo { token: token.clone(), ..AuthInfo::default() });
    }
    serde_json::to_string(&config).unwrap()
}
