//! The `TraceCapture` objects of a cluster: got, listed, created and changed.

use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams, TypeMeta};
use serde_json::{Value, json};

use super::connect::Cluster;
use crate::api::{ConditionType, TraceCapture, TraceCaptureSpec, TraceCaptureStatus};
use crate::clock::Timestamp;
use crate::tools::exit::Failure;

/// Under which name the API server notes what is changed here.
const FIELD_MANAGER: &str = "kubectl-tracecapture";

/// A capture as the API server has it.
#[derive(Debug, Clone)]
pub struct Seen {
    object: DynamicObject,
}

impl Seen {
    /// Returns the namespace.
    pub fn namespace(&self) -> &str {
        self.object.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    /// Returns both, for people.
    pub fn id(&self) -> String {
        format!("{}/{}", self.namespace(), self.name())
    }

    /// Returns when it was created.
    pub fn created(&self) -> Option<Timestamp> {
        self.object.metadata.creation_timestamp.as_ref().and_then(|time| time.0.to_string().parse().ok())
    }

    /// Returns the version, for a change of just this one.
    pub fn version(&self) -> Option<&str> {
        self.object.metadata.resource_version.as_deref()
    }

    /// Returns the generation of the spec.
    pub fn generation(&self) -> Option<i64> {
        self.object.metadata.generation
    }

    /// Returns the spec; `None` where this version cannot read it.
    pub fn spec(&self) -> Option<TraceCaptureSpec> {
        serde_json::from_value(self.object.data.get("spec").cloned().unwrap_or_else(|| json!({}))).ok()
    }

    /// Returns the status; that of a capture nobody looked at yet where this version cannot read it.
    pub fn status(&self) -> TraceCaptureStatus {
        let status = self.object.data.get("status").cloned().unwrap_or_default();
        serde_json::from_value(status).unwrap_or_default()
    }

    /// Returns what stands in `spec.state`.
    pub fn state(&self) -> &str {
        self.object.data.pointer("/spec/state").and_then(Value::as_str).unwrap_or("Running")
    }

    /// Tells whether the capture has stopped by itself.
    pub fn has_completed(&self) -> bool {
        let is_true = |status: &str| status == "True";
        self.status().conditions.iter().any(|c| c.type_ == ConditionType::Completed.name() && is_true(&c.status))
    }

    /// Returns the object without what only servers read.
    pub fn to_json(&self) -> Value {
        let mut object = self.object.clone();
        object.metadata.managed_fields = None;
        // An object that came as JSON can be written as JSON.
        serde_json::to_value(object).unwrap_or_default()
    }
}

impl Cluster {
    fn api(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource())
    }

    /// Gets a capture.
    ///
    /// # Errors
    /// As [`Cluster::ask`].
    pub async fn get(&self, name: &str) -> Result<Seen, Failure> {
        let what = format!("get the capture {}/{name}", self.namespace);
        self.ask(what, self.api().get(name)).await.map(|object| Seen { object })
    }

    /// Lists the captures of the namespace.
    ///
    /// # Errors
    /// As [`Cluster::ask`].
    pub async fn list(&self) -> Result<Vec<Seen>, Failure> {
        let what = format!("list the captures of the namespace {}", self.namespace);
        self.list_of(what, self.api()).await
    }

    /// Lists the captures of every namespace.
    ///
    /// # Errors
    /// As [`Cluster::ask`].
    pub async fn list_all(&self) -> Result<Vec<Seen>, Failure> {
        self.list_of("list the captures of all namespaces".to_owned(), Api::all_with(self.client.clone(), &resource()))
            .await
    }

    async fn list_of(&self, what: String, api: Api<DynamicObject>) -> Result<Vec<Seen>, Failure> {
        let list = self.ask(what, api.list(&ListParams::default())).await?;
        // The items of a list leave their type to the list.
        let ApiResource { api_version, kind, .. } = resource();
        let listed = TypeMeta { api_version, kind };
        let typed = |object| Seen { object: DynamicObject { types: Some(listed.clone()), ..object } };
        let mut seen: Vec<Seen> = list.items.into_iter().map(typed).collect();
        seen.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
        Ok(seen)
    }

    /// Creates a capture.
    ///
    /// # Errors
    /// As [`Cluster::ask`].
    pub async fn create(&self, name: &str, object: &DynamicObject) -> Result<Seen, Failure> {
        let what = format!("create the capture {}/{name}", self.namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        self.ask(what, self.api().create(&params, object)).await.map(|object| Seen { object })
    }

    /// Changes a capture as `application/merge-patch+json` says; `what` completes "cannot …".
    ///
    /// # Errors
    /// As [`Cluster::ask`].
    pub async fn change(&self, what: String, name: &str, patch: &Value) -> Result<Seen, Failure> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.ask(what, self.api().patch(name, &params, &Patch::Merge(patch))).await.map(|object| Seen { object })
    }

    /// As [`Cluster::change`] with a version in the patch; `None` where the object has another one by now.
    ///
    /// # Errors
    /// As [`Cluster::ask`].
    pub async fn change_unless_changed(
        &self,
        what: String,
        name: &str,
        patch: &Value,
    ) -> Result<Option<Seen>, Failure> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let (api, patch) = (self.api(), Patch::Merge(patch));
        let change = async {
            match api.patch(name, &params, &patch).await {
                Ok(object) => Ok(Some(Seen { object })),
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.ask(what, change).await
    }
}

fn resource() -> ApiResource {
    ApiResource::erase::<TraceCapture>(&())
}
