//! The cluster that the tests run against, and waiting for what it does.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::OnceLock;
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::wait::{Condition, await_condition, conditions};
use kube::{Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;
use tracecapture::api::{TraceCapture, crd_yaml};

use crate::samples::api_of;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The name of the resource definition.
pub(crate) const DEFINITION: &str = "tracecaptures.tracecapture.dev";

/// Who applies what the tests need.
pub(crate) const MANAGER: &str = "tracecapture-tests";

/// Set once the definition is installed.
static INSTALLED: OnceLock<()> = OnceLock::new();

/// A cluster as its administrator sees it, and a namespace in it.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// Runs a test in a namespace of its own.
pub(crate) fn on_cluster(test: impl AsyncFnOnce(Cluster)) {
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
        let template = object("v1", "Namespace", json!({ "generateName": "tracecapture-test-" }), json!({}));
        let made = namespaces.create(&PostParams::default(), &template).await.unwrap();
        Self { client, namespace: made.name_any() }
    }

    async fn leave(self) {
        let namespaces: Api<Namespace> = Api::all(self.client);
        namespaces.delete(&self.namespace, &DeleteParams::background()).await.unwrap();
    }

    /// Returns the objects of a kind in the namespace of the test.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType: Default>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
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
    match timeout(PATIENCE, await_condition(api.clone(), name, condition)).await {
        Ok(met) => met.unwrap(),
        Err(_) => {
            let seen = serde_json::to_string_pretty(&api.get_opt(name).await.unwrap()).unwrap();
            panic!("`{name}` does not come to this: {what}; it is {seen}")
        }
    }
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

/// Returns an object of any kind from its parts.
pub(crate) fn object<K: DeserializeOwned>(api_version: &str, kind: &str, metadata: Value, rest: Value) -> K {
    let mut object = json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata });
    if let Value::Object(rest) = rest {
        object.as_object_mut().unwrap().extend(rest);
    }
    serde_json::from_value(object).unwrap()
}
