//! The volume that goes with its capture: the finalizer, and what happens at the end.
//!
//! Only `deletionPolicy: Delete` asks for a finalizer. At the end the set goes first, then, once
//! its pods are gone or have had their time, the claim, and last the finalizer. Each step is
//! read off what is there, so an operator that was restarted in between goes on where it was.

use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Client, ResourceExt as _};
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
    /// Whether its claim is there and nobody deleted it yet.
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
pub(super) fn is_asked_for(object: &DynamicObject) -> bool {
    object.data.pointer("/spec/storage/deletionPolicy").is_some_and(|policy| policy == "Delete")
}

/// Tells whether an object has the finalizer.
pub(super) fn has_finalizer(finalizers: &[String]) -> bool {
    finalizers.iter().any(|finalizer| finalizer == VOLUME_FINALIZER)
}

/// Adds the finalizer or takes it away.
///
/// # Errors
/// [`VisitError::Api`].
pub(super) async fn set_finalizer(client: &Client, id: &CaptureId, uid: &str, present: bool) -> Result<(), VisitError> {
    let finalizers = if present { json!([VOLUME_FINALIZER]) } else { json!([]) };
    let body: Value = json!({
        "apiVersion": crate::api::API_VERSION,
        "kind": "TraceCapture",
        // The UID keeps an apply to an object that is gone from making a new one.
        "metadata": { "name": id.name(), "namespace": id.namespace(), "uid": uid, "finalizers": finalizers },
    });
    let api: Api<PartialObjectMeta<TraceCapture>> = Api::namespaced(client.clone(), id.namespace());
    let params = PatchParams::apply(FINALIZER_MANAGER).force();
    let answer = api.patch(id.name(), &params, &Patch::Apply(&body)).await;
    answer.map_err(VisitError::api(format!("set the finalizer of `{id}`")))?;
    info!(capture = %id, present, "finalizer changed");
    Ok(())
}

/// Goes on with the end of a capture that has the finalizer; returns whether it is over.
///
/// # Errors
/// [`VisitError::Api`].
pub(super) async fn advance(
    client: &Client,
    (id, uid): (&CaptureId, &str),
    deleted: Timestamp,
    now: Timestamp,
) -> Result<bool, VisitError> {
    let names = ChildNames::of(id);
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), id.namespace());
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), id.namespace());
    let pods: Api<Pod> = Api::namespaced(client.clone(), id.namespace());
    let failed = |what: &str| VisitError::api(format!("{what} of `{id}`"));
    let set = optional(sets.get(&names.collector()).await).map_err(failed("read the StatefulSet"))?;
    let claim = optional(claims.get(&names.claim()).await).map_err(failed("read the PersistentVolumeClaim"))?;
    // A claim or a set of that name that is not ours was there before, and stays.
    let claim = claim.filter(|claim| is_labelled(&claim.metadata, id));
    let set = set.filter(|set| is_of(&set.metadata, (id, uid)));
    let listed = pods.list(&ListParams::default().labels(&selector(id))).await.map_err(failed("list the pods"))?;
    let step = plan(Remains {
        has_set: set.as_ref().is_some_and(|set| set.metadata.deletion_timestamp.is_none()),
        has_pods: !listed.items.is_empty(),
        has_claim: claim.as_ref().is_some_and(|claim| claim.metadata.deletion_timestamp.is_none()),
        since: now.saturating_since(deleted),
    });
    match step {
        Step::Wait => {}
        Step::DeleteSet => {
            let params = DeleteParams::background().preconditions(exactly(set.and_then(|set| set.uid())));
            optional(sets.delete(&names.collector(), &params).await).map_err(failed("delete the StatefulSet"))?;
            info!(capture = %id, "deleted the pods of a capture that is being deleted");
        }
        Step::DeleteClaim => {
            let params = DeleteParams::default().preconditions(exactly(claim.and_then(|claim| claim.uid())));
            optional(claims.delete(&names.claim(), &params).await)
                .map_err(failed("delete the PersistentVolumeClaim"))?;
            warn!(capture = %id, claim = names.claim(), "deleted the volume, as `deletionPolicy: Delete` asks");
        }
        Step::Release => {
            set_finalizer(client, id, uid, false).await?;
            return Ok(true);
        }
    }
    Ok(false)
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
