//! The volume that goes with its capture: the finalizer, and what happens at the end.
//!
//! Only `deletionPolicy: Delete` asks for a finalizer. At the end the set goes first, then, once
//! its pods are gone or have had their time, the claim, and last the finalizer. Each step is
//! read off what is there, so an operator that was restarted in between goes on where it was.
//!
//! # Guarantees
//! - What others made under our names stays, and so does a claim that another capture uses.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::belongs::{is_labelled, is_of};
use super::build::selector;
use super::error::{VisitError, optional};
use crate::api::names::{ChildNames, VOLUME_FINALIZER};
use crate::api::{DeletionPolicy, TraceCapture, ValidCapture};
use crate::clock::Timestamp;
use crate::ids::CaptureId;

/// The field manager of the finalizer: one per use, so that no apply takes away what another one wrote.
const FINALIZER_MANAGER: &str = "tracecapture-finalizer";

/// How long pods may take to end. After that the claim is deleted all the same: Kubernetes keeps
/// it until the last pod is gone, and nobody waits for a node that is lost.
const PATIENCE: Duration = Duration::from_mins(5);

/// How soon a capture is looked at again whose pods are ending.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What is left of a capture that is being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remains {
    /// Whether its set is there and nobody deleted it yet.
    pub(super) has_set: bool,
    /// Whether pods of it are there.
    pub(super) has_pods: bool,
    /// Whether its claim is there, nobody else uses it, and nobody deleted it yet.
    pub(super) has_claim: bool,
    /// How long ago somebody deleted the capture.
    pub(super) since: Duration,
}

/// The next step of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Delete the set, and with it the pods.
    DeleteSet,
    /// Wait for the pods.
    Wait,
    /// Delete the claim.
    DeleteClaim,
    /// Let the object go.
    Release,
}

/// Decides the next step.
pub(super) fn plan(remains: Remains) -> Step {
    let Remains { has_set, has_pods, has_claim, since } = remains;
    if has_set {
        Step::DeleteSet
    } else if !has_claim {
        Step::Release
    } else if has_pods && since < PATIENCE {
        Step::Wait
    } else {
        Step::DeleteClaim
    }
}

/// Tells whether a capture needs the finalizer: its own claim is to go with it.
pub(super) fn needs_finalizer(capture: &ValidCapture) -> bool {
    let storage = &capture.spec().storage;
    storage.deletion_policy == DeletionPolicy::Delete && storage.claim_name.is_none()
}

/// Tells whether an object that is being deleted still asks for the end of its volume, also one that is at fault.
///
/// A claim that was brought never goes, whatever its name is.
pub(super) fn is_asked_for(object: &DynamicObject) -> bool {
    let is_policy = object.data.pointer("/spec/storage/deletionPolicy").is_some_and(|policy| policy == "Delete");
    is_policy && claim_brought(object).is_none()
}

/// Returns the claim that an object brings, also one that is at fault.
fn claim_brought(object: &DynamicObject) -> Option<&str> {
    object.data.pointer("/spec/storage/claimName").and_then(Value::as_str)
}

/// Tells whether an object has the finalizer.
pub(super) fn has_finalizer(finalizers: &[String]) -> bool {
    finalizers.iter().any(|finalizer| finalizer == VOLUME_FINALIZER)
}

/// Adds the finalizer.
///
/// # Errors
/// [`VisitError::Api`].
pub(super) async fn add_finalizer(client: &Client, id: &CaptureId, meta: &ObjectMeta) -> Result<(), VisitError> {
    let body: Value = json!({
        "apiVersion": crate::api::API_VERSION,
        "kind": "TraceCapture",
        // The UID keeps an apply to an object that is gone from making a new one.
        "metadata": {
            "name": id.name(), "namespace": id.namespace(), "uid": meta.uid, "finalizers": [VOLUME_FINALIZER],
        },
    });
    let params = PatchParams::apply(FINALIZER_MANAGER).force();
    let answer = captures(client, id).patch(id.name(), &params, &Patch::Apply(&body)).await;
    let answer = answer.map_err(VisitError::api(format!("add the finalizer of `{id}`")))?;
    if has_finalizer(answer.finalizers()) {
        info!(capture = %id, "added the finalizer");
    }
    Ok(())
}

/// Takes the finalizer away, whoever wrote it; those of others stay.
///
/// A merge, since an apply takes away only what its own manager wrote: a finalizer that came with a manifest is that of
/// whoever applied it, and would stay for ever.
///
/// # Errors
/// [`VisitError::Api`]; a conflict where the object changed since `meta` was read, which the next visit reads anew.
pub(super) async fn remove_finalizer(client: &Client, id: &CaptureId, meta: &ObjectMeta) -> Result<(), VisitError> {
    let mut others = meta.finalizers.clone().unwrap_or_default();
    others.retain(|finalizer| finalizer != VOLUME_FINALIZER);
    let body = json!({ "metadata": { "finalizers": others, "resourceVersion": meta.resource_version } });
    let params = PatchParams { field_manager: Some(FINALIZER_MANAGER.to_owned()), ..PatchParams::default() };
    let answer = optional(captures(client, id).patch(id.name(), &params, &Patch::Merge(&body)).await);
    let answer = answer.map_err(VisitError::api(format!("remove the finalizer of `{id}`")))?;
    if answer.is_none_or(|answer| !has_finalizer(answer.finalizers())) {
        info!(capture = %id, "removed the finalizer");
    }
    Ok(())
}

/// Returns access to captures, of which only metadata is read.
fn captures(client: &Client, id: &CaptureId) -> Api<PartialObjectMeta<TraceCapture>> {
    Api::namespaced(client.clone(), id.namespace())
}

/// The end of a capture that has the finalizer.
pub(super) struct End<'a> {
    /// The way to the API server.
    pub(super) client: &'a Client,
    /// The capture.
    pub(super) id: &'a CaptureId,
    /// Its metadata, as read by this visit.
    pub(super) meta: &'a ObjectMeta,
    /// The time of this visit.
    pub(super) now: Timestamp,
}

/// What is found of a capture that is being deleted.
struct Found {
    set: Option<StatefulSet>,
    has_pods: bool,
    /// The claim that was made for it.
    claim: Option<PersistentVolumeClaim>,
    /// Another capture that brings that claim.
    user: Option<String>,
}

impl End<'_> {
    /// Takes the next step; returns whether it was the last one.
    ///
    /// # Errors
    /// [`VisitError::Api`].
    pub(super) async fn advance(&self) -> Result<bool, VisitError> {
        let found = self.look().await?;
        let names = ChildNames::of(self.id);
        match plan(self.remains(&found)) {
            Step::Wait => {}
            Step::DeleteSet => {
                let params = DeleteParams::background().preconditions(exactly(found.set.and_then(|set| set.uid())));
                optional(self.api::<StatefulSet>().delete(&names.collector(), &params).await)
                    .map_err(self.failed("delete the StatefulSet"))?;
                info!(capture = %self.id, "deleted the pods of a capture that is being deleted");
            }
            Step::DeleteClaim => {
                let params = DeleteParams::default().preconditions(exactly(found.claim.and_then(|claim| claim.uid())));
                optional(self.api::<PersistentVolumeClaim>().delete(&names.claim(), &params).await)
                    .map_err(self.failed("delete the PersistentVolumeClaim"))?;
                warn!(capture = %self.id, claim = names.claim(), "deleted the volume, as `deletionPolicy: Delete` asks");
            }
            Step::Release => {
                if let Some(user) = found.user {
                    warn!(capture = %self.id, claim = names.claim(), user, "kept the volume: another capture uses it");
                }
                remove_finalizer(self.client, self.id, self.meta).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn look(&self) -> Result<Found, VisitError> {
        let names = ChildNames::of(self.id);
        let of = (self.id, self.meta.uid.as_deref().unwrap_or_default());
        let set = optional(self.api::<StatefulSet>().get(&names.collector()).await);
        let claim = optional(self.api::<PersistentVolumeClaim>().get(&names.claim()).await);
        let pods = self.api::<Pod>().list(&ListParams::default().labels(&selector(self.id))).await;
        // A claim or a set of that name that is not ours was there before, and stays.
        let set = set.map_err(self.failed("read the StatefulSet"))?.filter(|set| is_of(&set.metadata, of));
        let claim = claim.map_err(self.failed("read the PersistentVolumeClaim"))?;
        let claim = claim.filter(|claim| is_labelled(&claim.metadata, self.id));
        let user = if claim.is_some() { self.other_user(&names.claim()).await? } else { None };
        let has_pods = !pods.map_err(self.failed("list the pods"))?.items.is_empty();
        Ok(Found { set, has_pods, claim, user })
    }

    fn remains(&self, Found { set, has_pods, claim, user }: &Found) -> Remains {
        let deleted = self.meta.deletion_timestamp.as_ref().map(|time| time.0.as_nanosecond());
        let deleted = deleted.and_then(|nanos| u64::try_from(nanos).ok()).map(Timestamp::from_unix_nanos);
        let is_kept = |meta: &ObjectMeta| meta.deletion_timestamp.is_none();
        Remains {
            has_set: set.as_ref().is_some_and(|set| is_kept(&set.metadata)),
            has_pods: *has_pods,
            has_claim: user.is_none() && claim.as_ref().is_some_and(|claim| is_kept(&claim.metadata)),
            since: self.now.saturating_since(deleted.unwrap_or_default()),
        }
    }

    /// Returns another capture that brings a claim: whichever came first, also one that cannot be read or is ending.
    ///
    /// Asked of the API server at the last moment: what the watches told may be old, and the volume would be gone.
    async fn other_user(&self, claim: &str) -> Result<Option<String>, VisitError> {
        let captures: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), self.id.namespace(), &ApiResource::erase::<TraceCapture>(&()));
        let listed = captures.list(&ListParams::default()).await.map_err(self.failed("list the neighbours"))?;
        let is_user =
            |other: &&DynamicObject| other.metadata.uid != self.meta.uid && claim_brought(other) == Some(claim);
        Ok(listed.items.iter().find(is_user).map(ResourceExt::name_any))
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), self.id.namespace())
    }

    fn failed(&self, what: &str) -> impl FnOnce(kube::Error) -> VisitError {
        VisitError::api(format!("{what} of `{}`", self.id))
    }
}

/// Returns the condition that an object is this one and not another of its name.
fn exactly(uid: Option<String>) -> Preconditions {
    Preconditions { uid, resource_version: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(has_set: bool, has_pods: bool, has_claim: bool, minutes: u64, expected: Step) {
        let remains = Remains { has_set, has_pods, has_claim, since: Duration::from_mins(minutes) };
        assert_eq!(plan(remains), expected, "{remains:?}");
    }

    #[test]
    fn the_claim_goes_after_the_pods_or_after_five_minutes() {
        check(true, true, true, 0, Step::DeleteSet);
        check(false, true, true, 4, Step::Wait);
        check(false, true, true, 5, Step::DeleteClaim);
        check(false, false, true, 0, Step::DeleteClaim);
        check(false, true, false, 0, Step::Release);
    }
}
