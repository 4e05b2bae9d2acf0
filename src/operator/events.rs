//! Events: one for each transition of a condition, for `kubectl describe`.
//!
//! Publishing is best effort: a status that is written with its event lost is still the truth.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::api::ObjectMeta;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tracing::debug;

use crate::api::API_VERSION;
use crate::ids::CaptureId;
use crate::telemetry::chain;

/// Who publishes, as events name it.
const REPORTER: &str = "tracecapture-operator";

/// The longest note that the API server takes, in bytes.
const MAX_NOTE_LEN: usize = 1024;

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
    pub(super) async fn announce(
        &self,
        (id, meta): (&CaptureId, &ObjectMeta),
        is_good: bool,
        reason: &str,
        note: &str,
    ) {
        let event = Event {
            type_: if is_good { EventType::Normal } else { EventType::Warning },
            reason: reason.to_owned(),
            note: Some(shortened(note)),
            action: "Reconcile".to_owned(),
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
            debug!(capture = %id, error = chain(&error), "cannot publish an event");
        }
    }
}

/// Cuts a note at a character.
fn shortened(note: &str) -> String {
    let end = (0..=note.len().min(MAX_NOTE_LEN)).rev().find(|&end| note.is_char_boundary(end)).unwrap_or_default();
    note.get(..end).unwrap_or_default().to_owned()
}
