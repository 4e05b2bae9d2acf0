//! Single writes on behalf of one capture, each a call or two to the API server.
//!
//! # Guarantees
//! - Every write is forced on our own fields under one field manager; fields of others survive.
//! - An object of the same name that is not of the capture is left alone.

use std::collections::BTreeMap;

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::PartialObjectMeta;
use tracing::{info, warn};

use super::belongs::{FIELD_MANAGER, is_labelled};
use super::build::Object;
use super::child::{Applied, ChildName, Seen};
use super::error::{VisitError, optional, status};
use super::kinds::Kind;
use super::ports;
use crate::ids::CaptureId;
use crate::units::ByteSize;

/// What the API server says of a `StatefulSet` whose fixed fields would change.
///
/// Source: `ValidateStatefulSetUpdate` in `pkg/apis/apps/validation`, Kubernetes 1.21 to 1.36.
const FIXED_FIELDS: &str = "updates to statefulset spec for fields other than";

/// For whom is written, and what is known of what is there.
#[derive(Clone, Copy)]
pub(super) struct Attempts<'a> {
    /// The way to the API server.
    pub(super) client: &'a Client,
    /// The capture.
    pub(super) id: &'a CaptureId,
    /// Its UID.
    pub(super) uid: &'a str,
    /// What the watches show.
    pub(super) seen: &'a BTreeMap<ChildName, Seen>,
    /// What its claim asks for already; `None` where it does not exist.
    pub(super) claim_size: Option<ByteSize>,
}

impl Attempts<'_> {
    /// Applies one object; `is_known` tells that it was applied before, so that its name is ours.
    ///
    /// # Errors
    /// Any [`VisitError`] about writing.
    pub(super) async fn apply(
        &self,
        child: &ChildName,
        object: &Object,
        is_known: bool,
    ) -> Result<Applied, VisitError> {
        match self.seen.get(child).filter(|seen| seen.is_present) {
            // Of an earlier capture of this name; the garbage collector is about to delete it.
            Some(seen) if !seen.owners.is_empty() && !seen.owners.iter().any(|owner| owner == self.uid) => {
                return Err(VisitError::BeingReplaced(self.path(child)));
            }
            Some(_) => {}
            None if is_known => {}
            None => self.check_free(child).await?,
        }
        let mut answer = self.patch(child, object).await;
        if answer.as_ref().is_err_and(|error| child.kind == Kind::Service && ports::are_in_the_way(error)) {
            ports::put_back(&api(self.client, child.kind, self.id.namespace()), object)
                .await
                .map_err(VisitError::api(format!("put the ports of {} back", self.path(child))))?;
            warn!(capture = %self.id, name = child.name, "somebody changed the numbers of ports: they are put back");
            answer = self.patch(child, object).await;
        }
        match answer {
            Ok(answer) => {
                info!(capture = %self.id, kind = child.kind.name(), name = child.name, "applied");
                Ok(Applied::new(child.kind, &object.body, &answer.metadata))
            }
            Err(error) if child.kind == Kind::StatefulSet && needs_replacement(&error) => {
                self.replace_set(child).await?;
                Err(VisitError::BeingReplaced(self.path(child)))
            }
            Err(error) => Err(self.refusal(child, object, error)),
        }
    }

    /// Deletes an object, if it is the one that was seen.
    ///
    /// # Errors
    /// [`VisitError::Api`].
    pub(super) async fn delete(&self, child: &ChildName, seen: &Seen) -> Result<(), VisitError> {
        let preconditions = Preconditions { uid: Some(seen.uid.clone()), resource_version: None };
        let params = DeleteParams::background().preconditions(preconditions);
        let deleted = api(self.client, child.kind, self.id.namespace()).delete(&child.name, &params).await;
        optional(deleted).map_err(VisitError::api(format!("delete {}", self.path(child))))?;
        info!(capture = %self.id, kind = child.kind.name(), name = child.name, "deleted what is not asked for any more");
        Ok(())
    }

    /// Writes a child with its kind and namespace, for people.
    pub(super) fn path(&self, child: &ChildName) -> String {
        format!("{} `{}/{}`", child.kind.name(), self.id.namespace(), child.name)
    }

    async fn patch(&self, child: &ChildName, object: &Object) -> kube::Result<DynamicObject> {
        let api = api(self.client, child.kind, &object.namespace);
        api.patch(&object.name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&object.body)).await
    }

    /// Checks that no object of somebody else has the name.
    async fn check_free(&self, child: &ChildName) -> Result<(), VisitError> {
        let api = metadata(self.client, child.kind, self.id.namespace());
        let there = optional(api.get(&child.name).await);
        let there = there.map_err(VisitError::api(format!("read {}", self.path(child))))?;
        if there.is_none_or(|there| is_labelled(&there.metadata, self.id)) {
            return Ok(());
        }
        Err(VisitError::Taken(self.path(child)))
    }

    /// Deletes the set and leaves its pods running; the next visit makes it anew, and it adopts them.
    async fn replace_set(&self, child: &ChildName) -> Result<(), VisitError> {
        let attempt = || format!("replace {}", self.path(child));
        let there = metadata(self.client, child.kind, self.id.namespace()).get(&child.name).await;
        let uid = there.map_err(VisitError::api(attempt()))?.metadata.uid;
        let preconditions = Preconditions { uid, resource_version: None };
        let params = DeleteParams::orphan().preconditions(preconditions);
        let deleted = api(self.client, child.kind, self.id.namespace()).delete(&child.name, &params).await;
        optional(deleted).map_err(VisitError::api(attempt()))?;
        warn!(capture = %self.id, name = child.name, "a field changed that cannot be changed in place: the set is made anew, its pods stay");
        Ok(())
    }

    /// Says what was attempted in vain: a claim that is there is not made but grows.
    fn refusal(&self, child: &ChildName, object: &Object, error: kube::Error) -> VisitError {
        let wanted = object.body.pointer("/spec/resources/requests/storage").and_then(|size| size.as_str());
        let wanted: Option<ByteSize> = wanted.and_then(|size| size.parse().ok());
        match (child.kind, self.claim_size, wanted) {
            (Kind::PersistentVolumeClaim, Some(has), Some(wanted)) if has < wanted => {
                VisitError::Grow { claim: self.path(child), has, wanted, source: Box::new(error) }
            }
            _ => VisitError::api(format!("apply {}", self.path(child)))(error),
        }
    }
}

/// Returns access to whole objects of a kind.
fn api(client: &Client, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &kind.resource())
}

/// Returns access to the metadata of a kind.
fn metadata(client: &Client, kind: Kind, namespace: &str) -> Api<PartialObjectMeta<DynamicObject>> {
    Api::namespaced_with(client.clone(), namespace, &kind.resource())
}

fn needs_replacement(error: &kube::Error) -> bool {
    status(error).is_some_and(|status| status.is_invalid() && status.message.contains(FIXED_FIELDS))
}
