//! Publishing the status: a server-side apply on the status subresource, only where it is worth one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use serde_json::json;

use super::apply::FIELD_MANAGER;
use super::error::VisitError;
use super::events::Announcer;
use super::observed::Observed;
use crate::api::{API_VERSION, ConditionType, Reason, TraceCapture, TraceCaptureStatus, ValidCapture};
use crate::clock::Timestamp;
use crate::ids::CaptureId;

/// What a visit found.
#[derive(Debug, Clone)]
pub(super) enum Finding<'a> {
    /// Everything is applied.
    Applied,
    /// Everything is applied, but changes of it may go unnoticed.
    Blind(String),
    /// Nothing is applied while it is paused.
    Paused,
    /// Nothing is applied, because something is in the way.
    Refused(Reason, String),
    /// Something could not be applied.
    Failed(&'a VisitError),
}

/// What is published.
pub(super) struct Publication<'a> {
    /// The capture.
    pub(super) id: &'a CaptureId,
    /// Its metadata.
    pub(super) meta: &'a ObjectMeta,
    /// The status as it stands.
    pub(super) published: Option<&'a TraceCaptureStatus>,
    /// The capture, where it can be read and keeps every rule.
    pub(super) capture: Option<&'a ValidCapture>,
    /// What was seen.
    pub(super) observed: &'a Observed,
    /// What the visit found.
    pub(super) finding: Finding<'a>,
    /// The public base address of downloads.
    pub(super) public_url: Option<&'a str>,
    /// The wall time.
    pub(super) now: Timestamp,
}

/// Derives the status and writes it where that is worth a write, with an event for each transition.
///
/// # Errors
/// [`VisitError::Api`].
pub(super) async fn publish(
    client: &Client,
    announcer: &Announcer,
    publication: Publication<'_>,
) -> Result<(), VisitError> {
    let status = derive(&publication);
    let Publication { id, meta, published, .. } = publication;
    if published.is_some_and(|published| *published == status) {
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
    answer.map_err(VisitError::api(format!("publish the status of `{id}`")))?;
    let _ = announcer;
    Ok(())
}

fn derive(publication: &Publication<'_>) -> TraceCaptureStatus {
    let (reason, message) = match &publication.finding {
        Finding::Applied => (Reason::Pending, String::new()),
        Finding::Blind(text) => (Reason::Forbidden, text.clone()),
        Finding::Paused => (Reason::Paused, String::new()),
        Finding::Refused(reason, text) => (*reason, text.clone()),
        Finding::Failed(error) => (Reason::ApplyFailed, crate::telemetry::chain(error)),
    };
    let conditions = ConditionType::ALL.into_iter().map(|condition| Condition {
        type_: condition.name().to_owned(),
        status: "Unknown".to_owned(),
        reason: reason.name().to_owned(),
        message: message.clone(),
        observed_generation: publication.meta.generation,
        last_transition_time: Time(k8s_openapi::jiff::Timestamp::default()),
    });
    TraceCaptureStatus {
        observed_generation: publication.meta.generation,
        conditions: conditions.collect(),
        ..TraceCaptureStatus::default()
    }
}
