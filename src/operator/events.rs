//! Events: one for each transition of a condition, for `kubectl describe`.
//!
//! Publishing is best effort: a status that is written with its event lost is still the truth.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::api::ObjectMeta;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tracing::debug;

use super::status::Transition;
use crate::api::API_VERSION;
use crate::ids::CaptureId;
use crate::installation::answer::told;

/// Who publishes, as events name it.
const REPORTER: &str = "tracecapture-operator";

/// Publishes events of captures.
#[derive(Clone)]
pub(super) struct Announcer {
    recorder: Recorder,
}

impl Announcer {
    /// Makes an announcer under the name of this process.
    pub(super) fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter { controller: REPORTER.to_owned(), instance: Some(identity.to_owned()) };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Publishes an event; a failure is noted and forgotten.
    pub(super) async fn announce(&self, (id, meta): (&CaptureId, &ObjectMeta), transition: &Transition) {
        let event = Event {
            type_: if transition.is_warning() { EventType::Warning } else { EventType::Normal },
            reason: transition.reason.name().to_owned(),
            // Within the bounds of an event's note, because it is within those of a condition's message.
            note: Some(transition.message.clone()).filter(|note| !note.is_empty()),
            action: transition.condition.name().to_owned(),
            secondary: None,
        };
        let reference = ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some("TraceCapture".to_owned()),
            name: Some(id.name().to_owned()),
            namespace: Some(id.namespace().to_owned()),
            uid: meta.uid.clone(),
            ..ObjectReference::default()
        };
        if let Err(error) = self.recorder.publish(&event, &reference).await {
            debug!(capture = %id, error = told(&error), "cannot publish an event");
        }
    }
}
