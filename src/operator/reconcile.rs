//! One visit of one capture: `observe → validate → build → apply → derive → publish`.
//!
//! A visit reads everything anew. What it takes along from the one before, the ledger of what was
//! applied, only spares writes that would change nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject};
use tokio::time::timeout;
use tracing::{Instrument as _, info_span, warn};

use super::apply::Writer;
use super::attempts::Attempts;
use super::build::{Built, Context as BuildContext, Resources, build};
use super::child::{ChildName, Seen};
use super::contest::{self, Side};
use super::context::Context;
use super::errand::{Ended, Errand, Next, Outcome};
use super::error::{VisitError, lacks_permission, optional, told};
use super::failures::Failures;
use super::kinds::Kind;
use super::ledger::Ledger;
use super::nudge::nudge;
use super::observe::Observer;
use super::observed::Observed;
use super::options::Options;
use super::publish::publish;
use super::status::{LinkNews, Readiness, Refusal, Visit, derive, readiness};
use super::status_link::Of;
use super::subject::{Subject, read, unbuildable};
use super::teardown::{self, End};
use super::tries::{Step, Tries, Unapplied};
use crate::api::names::ChildNames;
use crate::api::{Reason, TraceCapture, ValidCapture};
use crate::ids::CaptureId;
use crate::telemetry::trace::TraceContext;

/// How long a visit may take: a dozen calls, and the reports of all pods at once.
const VISIT_LIMIT: Duration = Duration::from_mins(1);

/// How long after the time to stop a capture is visited: the collectors have taken note of it by then.
const AFTER_THE_END: Duration = Duration::from_secs(1);

/// Visits a capture.
///
/// # Cancel safety
/// What was written stays, and the next visit goes on; the ledger is lost, which costs one round of
/// applies that change nothing.
pub(super) async fn visit(context: Arc<Context>, errand: Errand) -> Outcome {
    let Errand { id, children, mut ledger, sharers, blind } = errand;
    let began = context.clock.monotonic();
    let mut readiness = None;
    let visit = Visiting { context: &context, id: &id, children: &children, sharers, blind, readiness: &mut readiness };
    let TraceContext { trace_id, span_id } = TraceContext::draw();
    let span = info_span!("visit", capture = %id, trace_id, span_id);
    let ended = timeout(VISIT_LIMIT, Box::pin(visit.run(&mut ledger).instrument(span.clone()))).await;
    let ended = ended.unwrap_or(Err(VisitError::TimedOut(VISIT_LIMIT)));
    let took = context.clock.monotonic().saturating_sub(began);
    Outcome { id, span, ledger, readiness, took, ended }
}

struct Visiting<'a> {
    context: &'a Context,
    id: &'a CaptureId,
    children: &'a BTreeMap<ChildName, Seen>,
    sharers: Vec<CaptureId>,
    blind: Vec<String>,
    readiness: &'a mut Option<Readiness>,
}

impl Visiting<'_> {
    async fn run(mut self, ledger: &mut Ledger) -> Result<Ended, VisitError> {
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.context.client.clone(),
            self.id.namespace(),
            &ApiResource::erase::<TraceCapture>(&()),
        );
        let object = optional(api.get(self.id.name()).await);
        let Some(object) = object.map_err(VisitError::api(format!("read TraceCapture `{}`", self.id)))? else {
            return Ok(Ended::Gone);
        };
        let subject = Subject::of(&object);
        // Whoever paused a capture wants nothing of it touched: its volume waits until it goes on.
        if object.metadata.deletion_timestamp.is_some() && !subject.holds_its_end() {
            *self.readiness = Some(Readiness::NotWanted);
            return self.end(&object).await;
        }
        let capture = match read(object) {
            Ok(capture) => capture,
            Err(refusal) => {
                self.publish(&subject, Err(&refusal), &Observed::default(), (&Failures::default(), &LinkNews::Unseen))
                    .await?;
                return Ok(Ended::Done(Next::AsAlways));
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
        let observed = match Box::pin(watcher.observe(capture, std::mem::take(&mut self.sharers))).await {
            Ok(observed) => observed,
            Err(error) => return Err(self.unseen(subject, error).await),
        };
        let next = Next::AsAlways.or(self.until_its_end(capture));
        if subject.is_paused() {
            // It is a part of the status, and to take it away must not wait.
            let link = self.link(subject, capture).await;
            self.publish(subject, Ok(capture), &observed, (&Failures::default(), &link)).await?;
            return Ok(Ended::Done(next));
        }
        let contest = match self.judge(ledger) {
            Side::GivesWay { to, is_news } => {
                // Only the other one tells of it from now on.
                *self.readiness = Some(Readiness::NotWanted);
                if is_news {
                    warn!(capture = %self.id, installation = to, "another installation looks after this capture: it is left alone for a while");
                }
                return Ok(Ended::Done(next));
            }
            Side::GoesOn(other) => Some(other),
            Side::Alone => None,
        };
        let link = self.link(subject, capture).await;
        let written = Box::pin(self.write(subject, capture, &observed, ledger)).await;
        let (refusal, unapplied) = (written.refusal, written.unapplied.unwrap_or_default());
        for (error, wait) in &unapplied.fresh {
            self.context.metrics.failed(error.reason());
            let (error, reason) = (told(&**error), error.reason());
            warn!(capture = %self.id, error, reason, again_in_seconds = wait.as_secs(), "an object is not applied");
        }
        let failures = Failures::of(&unapplied.failures, &self.blind, contest);
        let capture = refusal.as_ref().map_or(Ok(capture), Err);
        self.publish(subject, capture, &observed, (&failures, &link)).await?;
        let next = match refusal {
            None => next.or(self.nudge(subject, &observed, ledger).await),
            Some(_) => next,
        };
        let is_whole = unapplied.failures.is_empty();
        Ok(if is_whole { Ended::Done(next) } else { Ended::Unapplied(next.or(unapplied.again)) })
    }

    /// Tells in the status that a capture may not be looked at; returns why.
    async fn unseen(&mut self, subject: &Subject, error: VisitError) -> VisitError {
        if !error.status().is_some_and(lacks_permission) {
            return error;
        }
        let refusal = Refusal { reason: Reason::Forbidden, message: told(&error) };
        let nothing = (&Failures::default(), &LinkNews::Unseen);
        // Where that is refused as well, both are told in the log.
        match self.publish(subject, Err(&refusal), &Observed::default(), nothing).await {
            Ok(()) => error,
            Err(unpublished) => {
                warn!(capture = %self.id, error = told(&error), "the capture cannot be looked at");
                unpublished
            }
        }
    }

    /// Returns how long it is until the capture has stopped by itself.
    fn until_its_end(&self, capture: &ValidCapture) -> Option<Duration> {
        let now = self.context.clock.now();
        let stop = capture.stop_time(now).filter(|stop| *stop > now)?;
        Some(stop.saturating_since(now).saturating_add(AFTER_THE_END))
    }

    /// Has pods take up settings that were applied; returns when to look whether they did.
    async fn nudge(&self, subject: &Subject, observed: &Observed, ledger: &mut Ledger) -> Option<Duration> {
        let generation = subject.meta.generation.filter(|_| ledger.applied.contains_key(&self.settings()))?;
        let times = (&mut ledger.nudges, self.context.clock.monotonic());
        nudge(&self.context.client, self.id, generation, observed, times).await
    }

    fn settings(&self) -> ChildName {
        ChildName { kind: Kind::ConfigMap, name: ChildNames::of(self.id).settings() }
    }

    /// Decides whether the capture is ours to look after.
    fn judge(&self, ledger: &mut Ledger) -> Side {
        let settings = self.settings();
        let (mine, now) = (&self.context.options.namespace, self.context.clock.monotonic());
        let remembered = (&mut ledger.contest, &mut ledger.applied);
        contest::judge(remembered, (&settings, self.children.get(&settings)), mine, now)
    }

    /// Writes the objects of a capture.
    async fn write(
        &self,
        subject: &Subject,
        capture: &ValidCapture,
        observed: &Observed,
        ledger: &mut Ledger,
    ) -> Written {
        let uid = subject.meta.uid.as_deref().unwrap_or_default();
        let finalizers = subject.meta.finalizers.as_deref().unwrap_or_default();
        let Ledger { applied, refusals, .. } = ledger;
        let now = self.context.clock.monotonic();
        let mut tries = Tries::begin(refusals, (uid, subject.meta.generation), now);
        // A capture that is refused for others on its claim has no volume to end.
        let needs_finalizer = teardown::needs_finalizer(capture) && observed.sharers.is_empty();
        if needs_finalizer != teardown::has_finalizer(finalizers) {
            let circumstances = tries.circumstances(needs_finalizer.into(), None);
            let (client, meta) = (&self.context.client, &subject.meta);
            let attempt = async {
                if needs_finalizer {
                    teardown::add_finalizer(client, self.id, meta).await
                } else {
                    teardown::remove_finalizer(client, self.id, meta).await
                }
            };
            // It is told with the others at the end.
            let _ = tries.make(Step::Finalizer, circumstances, attempt).await;
        }
        let resources = match self.resources(capture, observed) {
            Ok(resources) => resources,
            Err(refusal) => return Written { refusal: Some(refusal), unapplied: tries.end() },
        };
        let claim_size = observed.claim_size();
        let attempts = Attempts { client: &self.context.client, id: self.id, uid, seen: self.children, claim_size };
        let unapplied = Box::pin(Writer { attempts, applied, tries }.apply(resources)).await.err();
        Written { refusal: None, unapplied }
    }

    /// Builds the objects of a capture, if nothing is in the way.
    fn resources(&self, capture: &ValidCapture, observed: &Observed) -> Result<Resources<Built>, Refusal> {
        if let Some(sharer) = observed.sharers.first() {
            let message = format!(
                "`{sharer}` came first and uses the same directory of the claim, or one around it or within it"
            );
            return Err(Refusal { reason: Reason::ClaimShared, message });
        }
        let Options { image, image_pull_policy, namespace, .. } = &self.context.options;
        let context = BuildContext {
            image,
            image_pull_policy: image_pull_policy.as_deref(),
            image_pull_secrets: &self.context.options.image_pull_secrets,
            grant_keys: &self.context.grant_keys,
            installation_namespace: namespace,
            claim_size: observed.claim_size(),
        };
        build(capture, &context).map_err(|error| unbuildable(&error))
    }

    /// Keeps the signed link in the status, where the capture wants one.
    async fn link(&self, subject: &Subject, capture: &ValidCapture) -> LinkNews {
        let bundle = subject.published.as_ref().and_then(|status| status.bundle.as_ref());
        let of = Of {
            capture,
            uid: subject.meta.uid.as_deref().unwrap_or_default(),
            public_url: self.context.options.public_url.as_deref(),
            shows_one: bundle.is_some_and(|bundle| bundle.link.is_some()),
        };
        self.context.links.keep(&of).await
    }

    /// Derives the status of a capture and publishes it.
    async fn publish(
        &mut self,
        subject: &Subject,
        capture: Result<&ValidCapture, &Refusal>,
        observed: &Observed,
        (failures, link): (&Failures, &LinkNews),
    ) -> Result<(), VisitError> {
        let Context { client, clock, options, announcer, .. } = self.context;
        let visit = Visit {
            namespace: self.id.namespace(),
            name: self.id.name(),
            generation: subject.meta.generation,
            capture,
            observed,
            applied: failures.applied.as_ref().map_or(Ok(()), Err),
            unresized: failures.unresized.as_deref(),
            now: clock.now(),
            previous: subject.published.as_ref(),
            public_url: options.public_url.as_deref(),
            paused: subject.is_paused(),
            is_ending: subject.meta.deletion_timestamp.is_some(),
            link,
        };
        let status = derive(&visit);
        *self.readiness = Some(readiness(&visit, &status));
        publish(client, announcer, (self.id, &subject.meta), (&visit, &status)).await
    }

    /// Goes on with the end of a capture that somebody deleted.
    async fn end(&self, object: &DynamicObject) -> Result<Ended, VisitError> {
        let meta = &object.metadata;
        if !teardown::has_finalizer(meta.finalizers.as_deref().unwrap_or_default()) {
            // The garbage collector deletes what it owns, and the claim stays.
            return Ok(Ended::Done(Next::AsAlways));
        }
        if !teardown::is_asked_for(object) {
            // Whoever changed their mind while nobody took the finalizer away keeps the volume.
            teardown::remove_finalizer(&self.context.client, self.id, meta).await?;
            return Ok(Ended::Done(Next::AsAlways));
        }
        let end = End { client: &self.context.client, id: self.id, meta, now: self.context.clock.now() };
        let is_over = end.advance().await?;
        Ok(Ended::Done(if is_over { Next::AsAlways } else { Next::Within(teardown::LOOK_AGAIN) }))
    }
}

/// What came of writing.
struct Written {
    /// Why nothing was written, where something is in the way.
    refusal: Option<Refusal>,
    /// What could not be written.
    unapplied: Option<Unapplied>,
}
