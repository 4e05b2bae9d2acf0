//! Writing what was built: server-side apply in order, and pruning of what is not asked for any more.
//!
//! # Guarantees
//! - Every write is forced on our own fields under one field manager; fields of others survive.
//! - What neither we nor anybody else changed is not written.
//! - An object of the same name that is not of the capture is left alone.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::PartialObjectMeta;
use tracing::{info, warn};

use super::build::{Applied as Accepted, Built, Object, Resources};
use super::error::{VisitError, optional};
use super::kinds::Kind;
use super::ledger::{Applied, ChildName, Ledger, Seen, is_due};
use crate::api::names::CAPTURE_LABEL;
use crate::ids::CaptureId;

/// Under which name the API server notes which fields are ours.
pub(super) const FIELD_MANAGER: &str = "tracecapture";

/// What the API server says of a `StatefulSet` whose fixed fields would change.
///
/// Source: `ValidateStatefulSetUpdate` in `pkg/apis/apps/validation`, Kubernetes 1.21 to 1.36.
const FIXED_FIELDS: &str = "updates to statefulset spec for fields other than";

/// Who writes, and what is known of what is there.
pub(super) struct Writer<'a> {
    /// The way to the API server.
    pub(super) client: &'a Client,
    /// The capture.
    pub(super) id: &'a CaptureId,
    /// Its UID.
    pub(super) uid: &'a str,
    /// What the watches show.
    pub(super) seen: &'a BTreeMap<ChildName, Seen>,
    /// What was applied last.
    pub(super) ledger: &'a mut Ledger,
}

impl Writer<'_> {
    /// Applies every object that is due, then deletes what is not asked for any more.
    ///
    /// One refused object keeps the others from nothing: the volume grows also while the pods are refused.
    ///
    /// # Errors
    /// The first failure, once everything was tried.
    ///
    /// # Cancel safety
    /// What was written stays; the next visit goes on.
    pub(super) async fn apply(&mut self, resources: Resources<Built>) -> Result<Resources<Accepted>, VisitError> {
        let objects = resources.objects().map_err(|error| VisitError::Encode(self.id.to_string(), error))?;
        let mut first_failure = None;
        let mut wanted = BTreeSet::new();
        for object in &objects {
            // Every built object is of a kind that is watched, or there would be no way to notice its loss.
            let Some(kind) = Kind::named(&object.resource.kind) else { continue };
            let child = ChildName { kind, name: object.name.clone() };
            if let Err(error) = self.apply_one(&child, object).await {
                first_failure.get_or_insert(error);
            }
            wanted.insert(child);
        }
        if let Err(error) = self.prune(&wanted).await {
            first_failure.get_or_insert(error);
        }
        match first_failure {
            Some(error) => Err(error),
            None => Ok(resources.applied()),
        }
    }

    async fn apply_one(&mut self, child: &ChildName, object: &Object) -> Result<(), VisitError> {
        let seen = self.seen.get(child).filter(|seen| seen.is_present);
        if !is_due(&object.body, self.ledger.get(child), self.seen.get(child)) {
            return Ok(());
        }
        let api = api(self.client, child.kind, &object.namespace);
        match seen {
            // Of an earlier capture of this name; the garbage collector is about to delete it.
            Some(seen) if !seen.owners.is_empty() && !seen.owners.iter().any(|owner| owner == self.uid) => {
                return Err(VisitError::BeingReplaced(self.path(child)));
            }
            Some(_) => {}
            None if self.ledger.contains_key(child) => {}
            None => self.check_free(child).await?,
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match api.patch(&object.name, &params, &Patch::Apply(&object.body)).await {
            Ok(answer) => {
                let applied = Applied::new(child.kind, &object.body, &answer.metadata);
                info!(capture = %self.id, kind = child.kind.name(), name = child.name, "applied");
                self.ledger.insert(child.clone(), applied);
                Ok(())
            }
            Err(error) => {
                self.ledger.remove(child);
                if child.kind == Kind::StatefulSet && needs_replacement(&error) {
                    return self.replace_set(child).await;
                }
                Err(VisitError::api(format!("apply {}", self.path(child)))(error))
            }
        }
    }

    /// Checks that no object of somebody else has the name.
    async fn check_free(&self, child: &ChildName) -> Result<(), VisitError> {
        let api = metadata(self.client, child.kind, self.id.namespace());
        let there = optional(api.get(&child.name).await);
        let there = there.map_err(VisitError::api(format!("read {}", self.path(child))))?;
        let is_ours = |meta: &ObjectMeta| {
            meta.labels.as_ref().and_then(|labels| labels.get(CAPTURE_LABEL)).map(String::as_str)
                == Some(self.id.name())
        };
        if there.is_none_or(|there| is_ours(&there.metadata)) {
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
        Err(VisitError::BeingReplaced(self.path(child)))
    }

    /// Deletes what carries our labels and our owner but is not wanted.
    async fn prune(&mut self, wanted: &BTreeSet<ChildName>) -> Result<(), VisitError> {
        for (child, seen) in self.seen {
            let is_ours = seen.is_present && seen.owners.iter().any(|owner| owner == self.uid);
            if !child.kind.is_pruned() || !is_ours || wanted.contains(child) {
                continue;
            }
            let preconditions = Preconditions { uid: Some(seen.uid.clone()), resource_version: None };
            let params = DeleteParams::background().preconditions(preconditions);
            let deleted = api(self.client, child.kind, self.id.namespace()).delete(&child.name, &params).await;
            optional(deleted).map_err(VisitError::api(format!("delete {}", self.path(child))))?;
            info!(capture = %self.id, kind = child.kind.name(), name = child.name, "deleted what is not asked for any more");
            self.ledger.remove(child);
        }
        Ok(())
    }

    fn path(&self, child: &ChildName) -> String {
        format!("{} `{}/{}`", child.kind.name(), self.id.namespace(), child.name)
    }
}

/// Returns access to whole objects of a kind.
pub(super) fn api(client: &Client, kind: Kind, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &kind.resource())
}

/// Returns access to the metadata of a kind.
fn metadata(client: &Client, kind: Kind, namespace: &str) -> Api<PartialObjectMeta<DynamicObject>> {
    Api::namespaced_with(client.clone(), namespace, &kind.resource())
}

fn needs_replacement(error: &kube::Error) -> bool {
    super::error::status(error).is_some_and(|status| status.is_invalid() && status.message.contains(FIXED_FIELDS))
}
