//! Publishing a status: written where that is worth a write, and told as events.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use serde_json::json;

use super::belongs::FIELD_MANAGER;
use super::error::{Retry, VisitError};
use super::events::Announcer;
use super::status::{Visit, transitions, worth_publishing};
use crate::api::{API_VERSION, TraceCapture, TraceCaptureStatus};
use crate::ids::CaptureId;

/// Writes the status that was derived from a visit, where that is worth a write; then one event for each transition.
///
/// # Errors
/// [`VisitError::Api`].
///
/// # Cancel safety
/// A status that was written stays; an event may be lost.
pub(super) async fn publish(
    client: &Client,
    announcer: &Announcer,
    (id, meta): (&CaptureId, &ObjectMeta),
    (visit, status): (&Visit<'_>, &TraceCaptureStatus),
) -> Result<(), VisitError> {
    if !worth_publishing(visit.previous, status, visit.now) {
        return Ok(());
    }
    let body = json!({
        "apiVersion": API_VERSION,
        "kind": "TraceCapture",
        // The UID keeps the status of one object from its successor of the same name.
        "metadata": { "name": id.name(), "namespace": id.namespace(), "uid": meta.uid },
        "status": status,
    });
    let api: Api<PartialObjectMeta<TraceCapture>> = Api::namespaced(client.clone(), id.namespace());
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let answer = api.patch_status(id.name(), &params, &Patch::Apply(&body)).await;
    let written = answer.map(drop).map_err(VisitError::api(format!("publish the status of `{id}`")));
    // Told after it is written: a visit that is repeated soon would tell it again otherwise. Where it cannot be
    // written at all, as on an object that only an older definition could let in, an event is all there is.
    if written.as_ref().err().is_none_or(|error| error.retry() == Retry::AfterChange) {
        for transition in transitions(visit.previous, status) {
            announcer.announce((id, meta), &transition).await;
        }
    }
    written
}
