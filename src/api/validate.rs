//! Checking a `TraceCapture`, and the proof that it was checked.

use std::time::Duration;

use serde_json::{Value, json};

use super::capture::{API_VERSION, Compression, Durability, KIND, State, TraceCapture, TraceCaptureSpec};
use super::fault::Fault;
use super::rule::Rule;
use super::rules::{self, NAME_MESSAGE};
use super::schema::{self, Findings};
use crate::clock::Timestamp;
use crate::ids::CaptureId;
use crate::units::ByteSize;

/// The namespace of an object that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// A capture that keeps every rule, with its values resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidCapture {
    id: CaptureId,
    origin: Origin,
    spec: TraceCaptureSpec,
    receiver: Receiver,
    chunk: Chunk,
    retention: Retention,
    inactive: Duration,
}

/// What the API server added to an object; empty where the capture comes from a file that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// Tells this object from all others of its name, earlier and later ones.
    pub uid: Option<String>,
    /// Counts the changes of the spec.
    pub generation: Option<i64>,
    /// When the object was created.
    pub created: Option<Timestamp>,
}

/// The OTLP endpoint of a valid capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receiver {
    /// The port of OTLP over gRPC; `None` where it is not offered.
    pub grpc_port: Option<u16>,
    /// The port of OTLP over HTTP; `None` where it is not offered.
    pub http_port: Option<u16>,
    /// The largest request, after decompression.
    pub max_request_bytes: ByteSize,
}

/// When a chunk of a valid capture is sealed and how it is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// The size at which a chunk is sealed.
    pub max_bytes: ByteSize,
    /// The age at which a chunk is sealed, full or not.
    pub max_age: Duration,
    /// How its lines are compressed.
    pub compression: Compression,
}

/// When chunks of a valid capture are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The size that all chunks together may have; at least five times that of one.
    pub max_bytes: ByteSize,
    /// The age above which a chunk is deleted; `None` keeps chunks of any age.
    pub max_age: Option<Duration>,
    /// Everything captured before this instant is deleted once, while the capture is stopped.
    pub clear_before: Option<Timestamp>,
}

impl ValidCapture {
    /// Returns the namespace and the name.
    pub fn id(&self) -> &CaptureId {
        &self.id
    }

    /// Returns what the API server added.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns when the capture stops by itself; `started` stands for the creation of an object that no API server created.
    pub fn stop_time(&self, started: Timestamp) -> Option<Timestamp> {
        let created = self.origin.created.unwrap_or(started);
        let after = self.spec.stop_after_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let after = after.map(|seconds| created.saturating_add(Duration::from_secs(seconds)));
        [after, self.spec.end_time].into_iter().flatten().min()
    }

    /// Returns what was checked.
    pub fn spec(&self) -> &TraceCaptureSpec {
        &self.spec
    }

    /// Returns whether spans are taken in.
    pub fn state(&self) -> State {
        self.spec.state
    }

    /// Returns when spans count as stored.
    pub fn durability(&self) -> Durability {
        self.spec.durability
    }

    /// Returns the OTLP endpoint.
    pub fn receiver(&self) -> Receiver {
        self.receiver
    }

    /// Returns when a chunk is sealed and how it is compressed.
    pub fn chunk(&self) -> Chunk {
        self.chunk
    }

    /// Returns when chunks are deleted.
    pub fn retention(&self) -> Retention {
        self.retention
    }

    /// Returns for how long nobody may have written to a chunk in progress before it is recovered.
    pub fn inactive(&self) -> Duration {
        self.inactive
    }

    /// Returns the default capture of `id`, which keeps every rule.
    ///
    /// # Errors
    /// None in practice: a test checks the defaults; the type keeps a mistake in them from being a panic.
    pub fn with_defaults(id: &CaptureId) -> Result<Self, Vec<Fault>> {
        let mut capture = TraceCapture::new(id.name(), TraceCaptureSpec::default());
        capture.metadata.namespace = Some(id.namespace().to_owned());
        validate(&capture)
    }

    /// Returns the paths of what was set but has a meaning only in a cluster, for one warning on a single machine.
    ///
    /// A value equal to its default cannot be told from an absent one and is not named.
    pub fn cluster_only(&self) -> Vec<&'static str> {
        let defaults = TraceCaptureSpec::default();
        let mut paths = Vec::new();
        if self.spec.collector != defaults.collector {
            paths.push("spec.collector");
        }
        if self.spec.storage != defaults.storage {
            paths.push("spec.storage");
        }
        if self.spec.download.status_link != defaults.download.status_link {
            paths.push("spec.download.statusLink");
        }
        paths
    }
}

/// Checks a capture against the schema and the rules of its resource definition.
///
/// What an earlier definition let in, and what works all the same, is no fault here: only
/// [`parse`](super::parse), which reads what somebody writes now, holds it against its author.
///
/// # Errors
/// Every fault at once, in the order of the fields.
pub fn validate(capture: &TraceCapture) -> Result<ValidCapture, Vec<Fault>> {
    let value = serde_json::to_value(capture)
        .map_err(|error| vec![Fault::new("", format!("cannot be written as JSON: {error}"))])?;
    check(value, rules::lasting())
}

/// Checks a capture that is JSON still, so that faults of form and faults against `rules` come together.
///
/// # Errors
/// Every fault at once, in the order of the fields.
pub(super) fn check(object: Value, rules: impl Iterator<Item = &'static Rule>) -> Result<ValidCapture, Vec<Fault>> {
    let mut findings = Findings::default();
    let kept = schema::check(&schema::OBJECT, object, "", &mut findings);
    let Findings { mut faults, mut unreadable } = findings;
    unreadable.extend(faults.iter().map(|fault| fault.path.clone()));
    let created = kept.as_ref().and_then(|object| object.pointer("/metadata/creationTimestamp")).cloned();
    let capture = kept.as_ref().map(essence).map(serde_json::from_value::<TraceCapture>);
    let capture = match capture {
        Some(Ok(capture)) => capture,
        Some(Err(error)) => {
            faults.push(Fault::new("", format!("cannot be read: {error}")));
            return Err(faults);
        }
        None => return Err(faults),
    };
    let id = check_names(&capture, &mut faults);
    for rule in rules {
        let is_readable = |path: &&str| !unreadable.iter().any(|hidden| overlap(hidden, path));
        if rule.reads.iter().all(is_readable) && !(rule.holds)(&capture.spec) {
            faults.push(Fault::new(rule.path(), rule.message));
        }
    }
    let origin = Origin {
        uid: capture.metadata.uid,
        generation: capture.metadata.generation,
        // In a form that the API server writes, or not taken: a person's file may hold anything here.
        created: created.as_ref().and_then(Value::as_str).and_then(|text| text.parse().ok()),
    };
    match id.filter(|_| faults.is_empty()).and_then(|id| resolve(id, origin, capture.spec)) {
        Some(valid) => Ok(valid),
        None => Err(faults),
    }
}

/// Keeps of a checked object what a valid capture is made of, with empty parts where required ones are missing.
///
/// Their absence is a fault already. The rest of `metadata` is the API server's, whose
/// forms are not ours to check: were it kept, a fault there would hide all others.
fn essence(object: &Value) -> Value {
    let metadata = object.get("metadata");
    let text_of = |field: &str| metadata.and_then(|metadata| metadata.get(field)).filter(|value| value.is_string());
    let generation = metadata.and_then(|metadata| metadata.get("generation")).filter(|value| value.is_i64());
    json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": text_of("name"), "namespace": text_of("namespace"), "uid": text_of("uid"), "generation": generation,
        },
        "spec": object.get("spec").cloned().unwrap_or_else(|| json!({})),
    })
}

fn check_names(capture: &TraceCapture, faults: &mut Vec<Fault>) -> Option<CaptureId> {
    let name = capture.metadata.name.as_deref()?;
    let namespace = capture.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    if CaptureId::new(DEFAULT_NAMESPACE, name).is_err() {
        faults.push(Fault::new("metadata.name", NAME_MESSAGE));
    }
    if CaptureId::new(namespace, DEFAULT_NAMESPACE).is_err() {
        faults.push(Fault::new("metadata.namespace", NAME_MESSAGE));
    }
    CaptureId::new(namespace, name).ok()
}

/// Tells whether one of two paths holds the other.
fn overlap(a: &str, b: &str) -> bool {
    let holds = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    holds(a, b) || holds(b, a)
}

/// Resolves the values; `None` only where a rule failed to refuse what has no value.
fn resolve(id: CaptureId, origin: Origin, spec: TraceCaptureSpec) -> Option<ValidCapture> {
    let seconds = |seconds: i64| u64::try_from(seconds).ok().map(Duration::from_secs);
    let port = |enabled: bool, port: i32| u16::try_from(port).ok().filter(|_| enabled);
    let receiver = Receiver {
        grpc_port: port(spec.receiver.grpc.enabled, spec.receiver.grpc.port),
        http_port: port(spec.receiver.http.enabled, spec.receiver.http.port),
        max_request_bytes: spec.receiver.max_request_bytes.bytes()?,
    };
    let chunk = Chunk {
        max_bytes: spec.chunk.max_bytes.bytes()?,
        max_age: seconds(spec.chunk.max_age_seconds)?,
        compression: spec.chunk.compression,
    };
    let retention = Retention {
        max_bytes: spec.retention.max_bytes.bytes()?,
        max_age: spec.retention.max_age_seconds.and_then(seconds),
        clear_before: spec.retention.clear_before,
    };
    let inactive = seconds(spec.recovery.inactive_seconds)?;
    Some(ValidCapture { id, origin, spec, receiver, chunk, retention, inactive })
}
