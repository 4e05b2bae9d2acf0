//! The cluster that the tests run against, and waiting for what it does.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::{Condition, await_condition, conditions};
use kube::{Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;
use tracecapture::api::{TraceCapture, crd_yaml};

use crate::operator::eventually;
use crate::samples::api_of;

/// Longer than anything takes on a machine that is slow and has others to serve; nothing is asserted of it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// The name of the resource definition.
pub(crate) const DEFINITION: &str = "tracecaptures.tracecapture.dev";

/// Who applies what the tests need.
pub(crate) const MANAGER: &str = "tracecapture-tests";

/// What marks objects of a test that no namespace takes along; its value is the test's namespace.
pub(crate) const CLUSTER_WIDE_LABEL: &str = "tracecapture.dev/test";

/// Set once the definition is installed.
static INSTALLED: OnceLock<()> = OnceLock::new();

/// Held by each test; exclusively by those that would disturb the others.
static SHARED: RwLock<()> = RwLock::new(());

/// A cluster as its administrator sees it, and a namespace in it.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// Runs a test in a namespace of its own.
pub(crate) fn on_cluster(test: impl AsyncFnOnce(Cluster)) {
    let _guard = SHARED.read().unwrap_or_else(PoisonError::into_inner);
    run(test);
}

/// Runs a test while no other one runs: it changes the definition, or acts in every namespace.
pub(crate) fn alone_on_cluster(test: impl AsyncFnOnce(Cluster)) {
    let _guard = SHARED.write().unwrap_or_else(PoisonError::into_inner);
    run(async |cluster| {
        let captures: Api<TraceCapture> = Api::all(cluster.client.clone());
        eventually("no other captures are there", async || {
            let found = captures.list_metadata(&ListParams::default()).await.unwrap();
            found.items.is_empty().then_some(())
        })
        .await;
        test(cluster).await;
    });
}

fn run(test: impl AsyncFnOnce(Cluster)) {
    assert!(std::env::var_os("KUBECONFIG").is_some(), "KUBECONFIG names no cluster: run `tests/cluster/run`");
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    INSTALLED.get_or_init(|| runtime().block_on(async { install(&Client::try_default().await.unwrap()).await }));
    runtime().block_on(async {
        let cluster = Cluster::enter().await;
        let outcome = AssertUnwindSafe(test(cluster.clone())).catch_unwind().await;
        cluster.leave().await;
        outcome.unwrap_or_else(|panic| resume_unwind(panic));
    });
}

/// Installs the definition as the documentation says: by server-side apply.
pub(crate) async fn install(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition: Value = serde_saphyr::from_str(&crd_yaml()).unwrap();
    let params = PatchParams::apply(MANAGER).force();
    api.patch(DEFINITION, &params, &Patch::Apply(&definition)).await.unwrap();
    until(&api, DEFINITION, "is established", conditions::is_crd_established()).await;
}

impl Cluster {
    async fn enter() -> Self {
        let client = Client::try_default().await.unwrap();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let template = json!({ "metadata": { "generateName": "tracecapture-test-" } });
        let template = serde_json::from_value(template).unwrap();
        let made = namespaces.create(&PostParams::default(), &template).await.unwrap();
        Self { client, namespace: made.name_any() }
    }

    async fn leave(self) {
        let marked = ListParams::default().labels(&format!("{CLUSTER_WIDE_LABEL}={}", self.namespace));
        let (roles, bindings): (Api<ClusterRole>, Api<ClusterRoleBinding>) =
            (Api::all(self.client.clone()), Api::all(self.client.clone()));
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        roles.delete_collection(&DeleteParams::default(), &marked).await.unwrap();
        bindings.delete_collection(&DeleteParams::default(), &marked).await.unwrap();
        let classes: Api<StorageClass> = Api::all(self.client.clone());
        volumes.delete_collection(&DeleteParams::default(), &marked).await.unwrap();
        classes.delete_collection(&DeleteParams::default(), &marked).await.unwrap();
        let namespaces: Api<Namespace> = Api::all(self.client);
        for further in namespaces.list_metadata(&marked).await.unwrap() {
            namespaces.delete(&further.name_any(), &DeleteParams::background()).await.unwrap();
        }
        namespaces.delete(&self.namespace, &DeleteParams::background()).await.unwrap();
    }

    /// Makes another namespace, which goes with that of the test.
    pub(crate) async fn further_namespace(&self) -> String {
        let marked = json!({ CLUSTER_WIDE_LABEL: self.namespace });
        let template = json!({ "metadata": { "generateName": "tracecapture-test-", "labels": marked } });
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let made = namespaces.create(&PostParams::default(), &serde_json::from_value(template).unwrap()).await;
        made.unwrap().name_any()
    }

    /// Returns the objects of a kind in the namespace of the test.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType: Default>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Tells whether pods can run here, and so whether somebody else writes what becomes of them.
    pub(crate) async fn has_nodes(&self) -> bool {
        let nodes: Api<Node> = Api::all(self.client.clone());
        !nodes.list(&ListParams::default().limit(1)).await.unwrap().items.is_empty()
    }

    /// Creates a capture; the spec is YAML.
    pub(crate) async fn create(&self, name: &str, spec: &str) -> TraceCapture {
        self.try_create(name, spec).await.unwrap()
    }

    /// Changes fields of a capture as `kubectl patch --type merge` does.
    pub(crate) async fn merge(&self, name: &str, change: Value) -> TraceCapture {
        self.api().patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap()
    }

    /// Applies an object of the namespace on the server, as a field manager that forces nothing.
    pub(crate) async fn apply(&self, manager: &str, object: &Value) -> DynamicObject {
        let name = object["metadata"]["name"].as_str().unwrap();
        api_of(self, object).patch(name, &PatchParams::apply(manager), &Patch::Apply(object)).await.unwrap()
    }

    /// Changes fields of an object of the namespace, whoever owns them.
    pub(crate) async fn patch(&self, object: &Value, change: &Value) -> DynamicObject {
        let name = object["metadata"]["name"].as_str().unwrap();
        api_of(self, object).patch(name, &PatchParams::default(), &Patch::Merge(change)).await.unwrap()
    }

    pub(crate) async fn try_create(&self, name: &str, spec: &str) -> kube::Result<TraceCapture> {
        self.api().create(&PostParams::default(), &capture(name, spec)).await
    }
}

/// Waits until an object fulfils a condition, and returns it.
pub(crate) async fn until<K>(api: &Api<K>, name: &str, what: &str, condition: impl Condition<K>) -> Option<K>
where
    K: Clone + Debug + Send + Serialize + DeserializeOwned + Resource + 'static,
{
    let met = timeout(PATIENCE, await_condition(api.clone(), name, condition)).await;
    if let Ok(met) = met {
        return met.unwrap();
    }
    let seen = serde_json::to_string_pretty(&api.get_opt(name).await.unwrap()).unwrap();
    panic!("`{name}` does not come to this: {what}; it is {seen}")
}

/// Waits until a condition of a capture has a reason, and returns what it says.
pub(crate) async fn until_reason(cluster: &Cluster, name: &str, condition: &str, reason: &str) -> String {
    // Also an object that is no capture of this version has a status.
    let api = api_of(cluster, &capture_json(name, "{}"));
    let find = |object: &DynamicObject| {
        let conditions = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let is_meant = |found: &Value| found["type"] == condition && found["reason"] == reason;
        conditions.into_iter().find(is_meant).and_then(|found| Some(found["message"].as_str()?.to_owned()))
    };
    let what = format!("{condition} has the reason {reason}");
    let is_told = |object: Option<&DynamicObject>| object.and_then(find).is_some();
    find(&until(&api, name, &what, is_told).await.unwrap()).unwrap()
}

/// Returns a capture of which only the API server knows whether it is one.
pub(crate) fn capture_json(name: &str, spec: &str) -> Value {
    let text = format!(
        "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    );
    serde_saphyr::from_str(&text).unwrap()
}

/// Returns a capture; the spec is YAML.
pub(crate) fn capture(name: &str, spec: &str) -> TraceCapture {
    serde_json::from_value(capture_json(name, spec)).unwrap()
}
