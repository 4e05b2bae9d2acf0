//! The rights of the operator, of the gateway and of people: those of `config/rbac` and no others.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::audit::Use;
use crate::cluster::{CLUSTER_WIDE_LABEL, Cluster, MANAGER};
use crate::operator::eventually;

/// The service account of the operator.
pub(crate) const ACCOUNT: &str = "tracecapture-operator";

/// The service account of the gateway.
pub(crate) const GATEWAY: &str = "tracecapture-gateway";

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
        documents(self.file()).into_iter().map(|object| moved(object, cluster)).collect()
    }

    /// Returns every verb and resource that is granted.
    pub(crate) fn granted(self, cluster: &Cluster) -> BTreeSet<Use> {
        let objects = self.objects(cluster);
        let rules = objects.iter().filter_map(|object| object.get("rules"));
        let rules = rules.flat_map(|rules| serde_json::from_value::<Vec<PolicyRule>>(rules.clone()).unwrap());
        rules.flat_map(uses).collect()
    }
}

/// Reads the objects of a file.
fn documents(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

/// Moves an object, and whom it speaks of, to the namespace of the test.
fn moved(mut object: Value, cluster: &Cluster) -> Value {
    let is_cluster_wide = object["metadata"].get("namespace").is_none();
    if is_cluster_wide {
        let name = format!("{}-{}", object["metadata"]["name"].as_str().unwrap(), cluster.namespace);
        object["metadata"]["name"] = name.clone().into();
        object["metadata"]["labels"][CLUSTER_WIDE_LABEL] = cluster.namespace.clone().into();
        if object.get("roleRef").is_some() {
            object["roleRef"]["name"] = name.into();
        }
    } else {
        object["metadata"]["namespace"] = cluster.namespace.clone().into();
    }
    for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        assert!([ACCOUNT, GATEWAY].iter().any(|known| subject["name"] == *known));
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
    apply(cluster, account(ACCOUNT, &cluster.namespace)).await;
    apply_roles(cluster, ACCOUNT, scope.objects(cluster)).await;
}

/// Grants the gateway what it asks for, with the captures of these namespaces.
pub(crate) async fn grant_gateway(cluster: &Cluster, watched: &[&str]) {
    apply(cluster, account(GATEWAY, &cluster.namespace)).await;
    let mut objects = Vec::new();
    for object in documents("config/rbac/gateway-namespaced.yaml") {
        let is_of_captures = object["metadata"]["namespace"] == "shop";
        let mut object = moved(object, cluster);
        if !is_of_captures {
            objects.push(object);
            continue;
        }
        // The installation's own Role has the same name, and may be in the same namespace here.
        let name = Value::from(format!("{GATEWAY}-captures"));
        object["metadata"]["name"] = name.clone();
        if object.get("roleRef").is_some() {
            object["roleRef"]["name"] = name;
        }
        for namespace in watched {
            object["metadata"]["namespace"] = (*namespace).into();
            objects.push(object.clone());
        }
    }
    apply_roles(cluster, GATEWAY, objects).await;
}

/// Applies roles and what binds them to an account, and waits until each rule is in effect: the API server takes note of
/// them a moment later, and what a role does in that moment would be refused.
async fn apply_roles(cluster: &Cluster, account: &str, objects: Vec<Value>) {
    for object in &objects {
        apply(cluster, object.clone()).await;
    }
    let user = format!("system:serviceaccount:{}:{account}", cluster.namespace);
    for role in objects {
        let namespace = role["metadata"]["namespace"].as_str().unwrap_or(&cluster.namespace);
        for rule in role["rules"].as_array().into_iter().flatten() {
            let first = |field: &str| rule[field][0].as_str().unwrap_or_default();
            let (resource, subresource) = first("resources").split_once('/').unwrap_or((first("resources"), ""));
            let attributes = json!({ "namespace": namespace, "verb": first("verbs"), "group": first("apiGroups"),
                "resource": resource, "subresource": subresource, "name": first("resourceNames") });
            until_allowed(cluster, &user, &attributes).await;
        }
    }
}

/// Waits until a user may do what the attributes of an access review say.
pub(crate) async fn until_allowed(cluster: &Cluster, user: &str, attributes: &Value) {
    // The groups of a service account are not the API server's to add here.
    let review = json!({ "spec": { "user": user, "resourceAttributes": attributes } });
    let review: SubjectAccessReview = serde_json::from_value(review).unwrap();
    let api: Api<SubjectAccessReview> = Api::all(cluster.client.clone());
    eventually(&format!("{user} may {attributes}"), async || {
        let answer = api.create(&PostParams::default(), &review).await.unwrap();
        answer.status.unwrap().allowed.then_some(())
    })
    .await;
}

/// Makes the roles of people; their names have the namespace of the test at the end.
pub(crate) async fn make_roles(cluster: &Cluster) {
    for object in documents("config/rbac/users.yaml") {
        apply(cluster, moved(object, cluster)).await;
    }
}

/// Returns a service account.
pub(crate) fn account(name: &str, namespace: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name, "namespace": namespace } })
}

/// Applies an object, wherever it belongs.
pub(crate) async fn apply(cluster: &Cluster, object: Value) {
    let (group, version) = object["apiVersion"].as_str().unwrap().rsplit_once('/').unwrap_or(("", "v1"));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap()));
    let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(cluster.client.clone(), namespace, &resource),
        None => Api::all_with(cluster.client.clone(), &resource),
    };
    let name = object["metadata"]["name"].as_str().unwrap();
    api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&object)).await.unwrap();
}

/// Returns a token of a service account, for an audience or for the API server.
pub(crate) async fn token(cluster: &Cluster, namespace: &str, account: &str, audience: Option<&str>) -> String {
    let audiences = audience.map(ToOwned::to_owned).into_iter().collect();
    let wish =
        TokenRequest { spec: TokenRequestSpec { audiences, ..TokenRequestSpec::default() }, ..TokenRequest::default() };
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), namespace);
    let answer = accounts.create_token_request(account, &PostParams::default(), &wish).await.unwrap();
    answer.status.unwrap().token
}

/// Returns how an account of the namespace of the test reaches the cluster: by a token.
pub(crate) async fn kubeconfig(cluster: &Cluster, account: &str) -> String {
    let token = token(cluster, &cluster.namespace, account, None).await;
    kubeconfig_by(&AuthInfo { token: Some(token.into()), ..AuthInfo::default() })
}

/// Returns a client of the cluster for somebody.
pub(crate) async fn client_by(who: &AuthInfo) -> Client {
    let config = serde_json::from_str(&kubeconfig_by(who)).unwrap();
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// Returns how somebody reaches the cluster of the tests.
pub(crate) fn kubeconfig_by(who: &AuthInfo) -> String {
    let mut config = Kubeconfig::read().unwrap();
    let context = config.contexts.iter().find(|context| Some(&context.name) == config.current_context.as_ref());
    let user = context.unwrap().context.as_ref().unwrap().user.clone().unwrap();
    config.auth_infos.retain(|named| named.name == user);
    for named in &mut config.auth_infos {
        named.auth_info = Some(who.clone());
    }
    serde_json::to_string(&config).unwrap()
}
