//! The object that is visited: what it says of itself, and reading it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::build::BuildError;
use super::status::Refusal;
use super::teardown;
use crate::api::names::PAUSED_ANNOTATION;
use crate::api::{API_VERSION, Fault, Reason, TraceCapture, TraceCaptureStatus, ValidCapture, parse, validate};
use crate::telemetry::chain;

/// How many faults a condition names; the rest come up once these are corrected.
const NAMED_FAULTS: usize = 5;

/// The object that is visited, as far as it can be read whatever its spec holds.
pub(super) struct Subject {
    /// Its metadata.
    pub(super) meta: ObjectMeta,
    /// The status that it has.
    pub(super) published: Option<TraceCaptureStatus>,
}

impl Subject {
    /// Looks at an object.
    pub(super) fn of(object: &DynamicObject) -> Self {
        let published = object.data.get("status").cloned().and_then(|status| serde_json::from_value(status).ok());
        Self { meta: object.metadata.clone(), published }
    }

    /// Tells whether reconciling is paused: `kubectl annotate … tracecapture.dev/paused=` says so, too.
    pub(super) fn is_paused(&self) -> bool {
        let annotations = self.meta.annotations.as_ref();
        let value = annotations.and_then(|annotations| annotations.get(PAUSED_ANNOTATION));
        value.is_some_and(|value| !value.trim().eq_ignore_ascii_case("false"))
    }

    /// Tells whether the volume would go now if the capture were not paused.
    pub(super) fn holds_its_end(&self) -> bool {
        self.is_paused() && teardown::has_finalizer(self.meta.finalizers.as_deref().unwrap_or_default())
    }
}

/// Reads an object and checks it, also one that an older definition let in.
///
/// # Errors
/// What is wrong with it, for its author.
pub(super) fn read(object: DynamicObject) -> Result<ValidCapture, Refusal> {
    let value = serde_json::to_value(object).unwrap_or_default();
    let mut capture: TraceCapture = serde_json::from_value(value.clone())
        .map_err(|error| Refusal { reason: Reason::Unreadable, message: unreadable(&value, &error) })?;
    // Checked is what its author wrote.
    capture.status = None;
    validate(&capture).map_err(|faults| Refusal { reason: Reason::Invalid, message: listed(&faults) })
}

/// Says where an object cannot be read, which the error of the whole does not.
fn unreadable(object: &Value, error: &serde_json::Error) -> String {
    let meta = |field: &str| object.pointer(&format!("/metadata/{field}"));
    let written = json!({
        "apiVersion": API_VERSION,
        "kind": "TraceCapture",
        "metadata": { "name": meta("name"), "namespace": meta("namespace") },
        "spec": object.get("spec"),
    });
    match parse(&written.to_string()) {
        // The lines are those of a text that nobody wrote.
        Err(faults) => listed(&faults.into_iter().map(|fault| Fault { line: None, ..fault }).collect::<Vec<_>>()),
        Ok(_) => format!("the object cannot be read: {error}"),
    }
}

/// Says why nothing can be built of a capture.
pub(super) fn unbuildable(error: &BuildError) -> Refusal {
    let message = if error.faults().is_empty() { chain(error) } else { listed(error.faults()) };
    Refusal { reason: error.reason(), message }
}

fn listed(faults: &[Fault]) -> String {
    let mut texts: Vec<String> = faults.iter().take(NAMED_FAULTS).map(ToString::to_string).collect();
    if faults.len() > NAMED_FAULTS {
        texts.push(format!("and {} more", faults.len() - NAMED_FAULTS));
    }
    texts.join("; ")
}
