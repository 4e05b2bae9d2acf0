//! One visit of one capture: `observe → validate → build → apply → derive → publish`.
//!
//! A visit reads everything anew. What it takes along from the one before, the ledger of what was
//! applied, only spares writes that would change nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use serde_json::{Value, json};
use tokio::time::timeout;
use tracing::{Instrument as _, Span, info_span};

use super::apply::Writer;
use super::build::{BuildError, Context as BuildContext, build};
use super::error::{VisitError, lacks_permission, optional};
use super::events::Announcer;
use super::ledger::{ChildName, Ledger, Seen};
use super::observe::Observer;
use super::observed::Observed;
use super::options::Options;
use super::publish::publish;
use super::reports::Reports;
use super::status::{ApplyFailure, Refusal, Visit};
use super::teardown;
use crate::api::grant::GrantPublicKey;
use crate::api::names::PAUSED_ANNOTATION;
use crate::api::{API_VERSION, Fault, Reason, TraceCapture, TraceCaptureStatus, ValidCapture, parse, validate};
use crate::clock::{Clock, Timestamp};
use crate::ids::CaptureId;
use crate::telemetry::chain;
use crate::telemetry::trace::TraceContext;
use crate::units::ByteSize;

/// How long a visit may take: a dozen calls, and the reports of all pods at once.
const VISIT_LIMIT: Duration = Duration::from_mins(1);

/// How many faults a condition names; the rest come up once these are corrected.
const NAMED_FAULTS: usize = 5;

/// What every visit needs.
pub(super) struct Context {
    /// The way to the API server.
    pub(super) client: Client,
    /// The machine's clocks.
    pub(super) clock: Arc<dyn Clock>,
    /// What the process was told.
    pub(super) options: Options,
    /// The way to the collectors.
    pub(super) reports: Arc<dyn Reports>,
    /// The keys whose grants collectors accept.
    pub(super) grant_keys: Vec<GrantPublicKey>,
    /// Where events go.
    pub(super) announcer: Announcer,
}

/// What one visit is sent out with.
#[derive(Debug)]
pub(super) struct Errand {
    /// The capture.
    pub(super) id: CaptureId,
    /// What was made of it, as the watches show it.
    pub(super) children: BTreeMap<ChildName, Seen>,
    /// What was applied last.
    pub(super) ledger: Ledger,
    /// Who had its claim and directory first.
    pub(super) sharers: Vec<CaptureId>,
    /// What the operator may not watch; empty where all is well.
    pub(super) blind: Vec<String>,
}

/// What a visit comes back with.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The capture.
    pub(super) id: CaptureId,
    /// What its log lines are found by.
    pub(super) span: Span,
    /// What has been applied; complete up to the point where the visit failed.
    pub(super) ledger: Ledger,
    /// How long it took.
    pub(super) took: Duration,
    /// How it ended.
    pub(super) ended: Result<Ended, VisitError>,
}

/// How a visit ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The next one is due when it always is.
    Done,
    /// Something goes on that is to be looked at soon.
    LookAgain,
    /// The object is gone.
    Gone,
}

/// Visits a capture.
///
/// # Cancel safety
/// What was written stays, and the next visit goes on; the ledger is lost, which costs one round of
/// applies that change nothing.
pub(super) async fn visit(context: Arc<Context>, errand: Errand) -> Outcome {
    let Errand { id, children, mut ledger, sharers, blind } = errand;
    let began = context.clock.monotonic();
    let visit = Visiting { context: &context, id: &id, children: &children, sharers, blind };
    let TraceContext { trace_id, span_id } = TraceContext::draw();
    let span = info_span!("visit", capture = %id, trace_id, span_id);
    let ended = timeout(VISIT_LIMIT, Box::pin(visit.run(&mut ledger).instrument(span.clone()))).await;
    let ended = ended.unwrap_or(Err(VisitError::TimedOut(VISIT_LIMIT)));
    let took = context.clock.monotonic().saturating_sub(began);
    Outcome { id, span, ledger, took, ended }
}

struct Visiting<'a> {
    context: &'a Context,
    id: &'a CaptureId,
    children: &'a BTreeMap<ChildName, Seen>,
    sharers: Vec<CaptureId>,
    blind: Vec<String>,
}

impl Visiting<'_> {
    async fn run(self, ledger: &mut Ledger) -> Result<Ended, VisitError> {
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.context.client.clone(),
            self.id.namespace(),
            &ApiResource::erase::<TraceCapture>(&()),
        );
        let object = optional(api.get(self.id.name()).await);
        let Some(object) = object.map_err(VisitError::api(format!("read TraceCapture `{}`", self.id)))? else {
            return Ok(Ended::Gone);
        };
        if let Some(deleted) = object.metadata.deletion_timestamp.clone() {
            return self.end(&object.metadata, &deleted).await;
        }
        let published = object.data.get("status").cloned().and_then(|status| serde_json::from_value(status).ok());
        let subject = Subject { meta: object.metadata.clone(), published };
        let capture = match read(object) {
            Ok(capture) => capture,
            Err(refusal) => {
                self.publish(&subject, Err(&refusal), &Observed::default(), Ok(())).await?;
                return Ok(Ended::Done);
            }
        };
        Box::pin(self.attend(&subject, &capture, ledger)).await
    }

    /// Visits a capture that can be read and keeps every rule.
    async fn attend(
        mut self,
        subject: &Subject,
        capture: &ValidCapture,
        ledger: &mut Ledger,
    ) -> Result<Ended, VisitError> {
        let watcher = Observer { client: &self.context.client, reports: self.context.reports.as_ref() };
        let observed = Box::pin(watcher.observe(capture, std::mem::take(&mut self.sharers))).await?;
        if subject.is_paused() {
            self.publish(subject, Ok(capture), &observed, Ok(())).await?;
            return Ok(Ended::Done);
        }
        let written = Box::pin(self.write(subject, capture, &observed, ledger)).await;
        let failure = self.failure(written.as_ref().err());
        let applied = failure.as_ref().map_or(Ok(()), Err);
        let capture = match &written {
            Ok(Some(refusal)) => Err(refusal),
            _ => Ok(capture),
        };
        // The status speaks of a failure, too; that it cannot be written either is the lesser news.
        let publication = self.publish(subject, capture, &observed, applied).await;
        written?;
        publication?;
        Ok(Ended::Done)
    }

    /// Returns what the conditions say where not everything is applied, or changes of it may go unnoticed.
    fn failure(&self, error: Option<&VisitError>) -> Option<ApplyFailure> {
        if let Some(error) = error {
            let is_forbidden = error.status().is_some_and(lacks_permission);
            let reason = if is_forbidden { Reason::Forbidden } else { Reason::ApplyFailed };
            return Some(ApplyFailure { reason, message: told(error) });
        }
        (!self.blind.is_empty()).then(|| ApplyFailure { reason: Reason::Forbidden, message: self.blind.join("; ") })
    }

    /// Writes the objects of a capture; returns why nothing was written where something is in the way.
    async fn write(
        &self,
        subject: &Subject,
        capture: &ValidCapture,
        observed: &Observed,
        ledger: &mut Ledger,
    ) -> Result<Option<Refusal>, VisitError> {
        let uid = subject.meta.uid.as_deref().unwrap_or_default();
        let finalizers = subject.meta.finalizers.as_deref().unwrap_or_default();
        let needs_finalizer = teardown::needs_finalizer(capture);
        if needs_finalizer != teardown::has_finalizer(finalizers) {
            teardown::set_finalizer(&self.context.client, self.id, uid, needs_finalizer).await?;
        }
        if let Some(sharer) = observed.sharers.first() {
            let message = format!("`{sharer}` uses the same claim and directory and came first");
            return Ok(Some(Refusal { reason: Reason::ClaimShared, message }));
        }
        let Options { image, image_pull_policy, namespace, .. } = &self.context.options;
        let context = BuildContext {
            image,
            image_pull_policy: image_pull_policy.as_deref(),
            image_pull_secrets: &self.context.options.image_pull_secrets,
            grant_keys: &self.context.grant_keys,
            installation_namespace: namespace,
            claim_size: claim_size(observed),
        };
        let resources = match build(capture, &context) {
            Ok(resources) => resources,
            Err(error) => return Ok(Some(Refusal { reason: error.reason(), message: refusal(&error) })),
        };
        let (client, id, seen) = (&self.context.client, self.id, self.children);
        Box::pin(Writer { client, id, uid, seen, ledger }.apply(resources)).await?;
        Ok(None)
    }

    async fn publish(
        &self,
        subject: &Subject,
        capture: Result<&ValidCapture, &Refusal>,
        observed: &Observed,
        applied: Result<(), &ApplyFailure>,
    ) -> Result<(), VisitError> {
        let Context { client, clock, options, announcer, .. } = self.context;
        let visit = Visit {
            namespace: self.id.namespace(),
            name: self.id.name(),
            generation: subject.meta.generation,
            capture,
            observed,
            applied,
            now: clock.now(),
            previous: subject.published.as_ref(),
            public_url: options.public_url.as_deref(),
            paused: subject.is_paused(),
        };
        publish(client, announcer, (self.id, &subject.meta), &visit).await
    }

    /// Goes on with the end of a capture that somebody deleted.
    async fn end(&self, meta: &ObjectMeta, deleted: &Time) -> Result<Ended, VisitError> {
        if !teardown::has_finalizer(meta.finalizers.as_deref().unwrap_or_default()) {
            // The garbage collector deletes what it owns, and the claim stays.
            return Ok(Ended::Done);
        }
        let uid = meta.uid.as_deref().unwrap_or_default();
        let deleted = u64::try_from(deleted.0.as_nanosecond()).map(Timestamp::from_unix_nanos).unwrap_or_default();
        let now = self.context.clock.now();
        let is_over = teardown::advance(&self.context.client, (self.id, uid), deleted, now).await?;
        Ok(if is_over { Ended::Done } else { Ended::LookAgain })
    }
}

/// The object that is visited, as far as it can be read whatever its spec holds.
struct Subject {
    meta: ObjectMeta,
    published: Option<TraceCaptureStatus>,
}

impl Subject {
    fn is_paused(&self) -> bool {
        let annotations = self.meta.annotations.as_ref();
        annotations.and_then(|annotations| annotations.get(PAUSED_ANNOTATION)).is_some_and(|value| value == "true")
    }
}

/// Reads an object and checks it, also one that an older definition let in.
fn read(object: DynamicObject) -> Result<ValidCapture, Refusal> {
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

/// Says what failed and why, each once: the client repeats the cause in its own text.
fn told(error: &VisitError) -> String {
    match error.status() {
        Some(status) => format!("{error}: {}", status.message),
        None => chain(error),
    }
}

fn refusal(error: &BuildError) -> String {
    if error.faults().is_empty() { chain(error) } else { listed(error.faults()) }
}

fn listed(faults: &[Fault]) -> String {
    let mut texts: Vec<String> = faults.iter().take(NAMED_FAULTS).map(ToString::to_string).collect();
    if faults.len() > NAMED_FAULTS {
        texts.push(format!("and {} more", faults.len() - NAMED_FAULTS));
    }
    texts.join("; ")
}

/// Returns what the claim asks for already.
fn claim_size(observed: &Observed) -> Option<ByteSize> {
    let requests = observed.claim.as_ref()?.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    requests.get("storage")?.0.parse().ok()
}
