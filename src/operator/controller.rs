//! The loop of the operator: events become visits, visits become the next visits.
//!
//! One task owns the index of what the watches told and the queue of who is due. Visits run
//! beside one another within it, as many as the options allow.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;

use super::backoff::{Backoff, LONGEST};
use super::context::Context;
use super::errand::{Ended, Errand, Next, Outcome};
use super::error::{Retry, VisitError, told};
use super::heard::Heard;
use super::index::{Effects, Index, Source};
use super::ledger::Ledger;
use super::queue::Queue;
use super::reconcile::visit;
use super::status::Readiness;
use super::watches::{self, Change, Changes};
use crate::ids::CaptureId;
use crate::installation::answer::is_forbidden;
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::{KindLabel, OperatorMetrics};

/// How long an event waits for others of the same capture: the dozen that one visit causes come together.
const SETTLE: Duration = Duration::from_millis(500);

/// How often the loop goes round without a reason, to show that it lives.
const PULSE: Duration = Duration::from_secs(15);

/// How long a watch counts as forbidden after the API server said so: it is tried again within half a minute.
const FORBIDDEN_FOR: Duration = Duration::from_mins(2);

/// What others may know of the loop.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Whether there is a namespace whose captures are known, and whose other watches have told what is there, or failed to.
    pub(super) is_able: watch::Sender<bool>,
    /// Whether that holds for every namespace but those whose captures may not be listed.
    pub(super) is_synced: watch::Sender<bool>,
    /// Why the captures are not known, as far as that was said.
    pub(super) trouble: Mutex<Option<String>>,
    /// When the loop went round last, in seconds of the process's monotonic clock.
    pub(super) beat_seconds: AtomicU64,
}

/// The loop and what it owns.
pub(super) struct Controller {
    context: Arc<Context>,
    leading: watch::Receiver<bool>,
    pulse: Arc<Pulse>,
    index: Index,
    queue: Queue,
    backoff: Backoff,
    ledgers: HashMap<CaptureId, Ledger>,
    heard: Heard,
    /// Streams of children that are forbidden: why, and when that was said last.
    forbidden: HashMap<Source, (String, Duration)>,
    visits: FuturesUnordered<BoxFuture<'static, Outcome>>,
}

impl Controller {
    /// Makes a loop that has seen nothing yet.
    pub(super) fn new(context: Context, leading: watch::Receiver<bool>, pulse: Arc<Pulse>) -> Self {
        let heard = Heard::new(&context.options.watched);
        Self {
            context: Arc::new(context),
            leading,
            pulse,
            index: Index::default(),
            queue: Queue::default(),
            backoff: Backoff::default(),
            ledgers: HashMap::new(),
            heard,
            forbidden: HashMap::new(),
            visits: FuturesUnordered::new(),
        }
    }

    /// Runs until the stage stops; visits that run then are dropped, and the next process repeats them.
    pub(super) async fn run(mut self, mut changes: Changes, shutdown: Shutdown) {
        loop {
            self.send_out();
            let now = self.context.clock.monotonic();
            self.pulse.beat_seconds.store(now.as_secs(), Ordering::Relaxed);
            let is_free = self.may_visit();
            let due = self.queue.next_due().filter(|_| is_free).map_or(PULSE, |due| due.saturating_sub(now));
            tokio::select! {
                () = shutdown.requested() => return,
                Some(change) = changes.next() => self.take_in(change),
                Some(outcome) = self.visits.next() => self.come_back(outcome),
                Ok(()) = self.leading.changed() => self.change_sides(),
                () = sleep(due.min(PULSE)) => {}
            }
        }
    }

    fn metrics(&self) -> &OperatorMetrics {
        &self.context.metrics
    }

    fn may_visit(&self) -> bool {
        *self.leading.borrow() && self.queue.active() < self.limit()
    }

    fn limit(&self) -> usize {
        usize::from(self.context.options.concurrency.max(1))
    }

    /// Sends out visits that are due, as many as may run.
    fn send_out(&mut self) {
        let now = self.context.clock.monotonic();
        while self.may_visit() {
            let Some(id) = self.queue.pop(now) else { break };
            let errand = Errand {
                children: self.index.children(&id),
                ledger: self.ledgers.remove(&id).unwrap_or_default(),
                sharers: self.index.sharers(&id),
                blind: self.blind_spots(&id, now),
                id,
            };
            self.visits.push(Box::pin(visit(Arc::clone(&self.context), errand)));
        }
        self.metrics().queue_depth.set(count(self.queue.depth(now)));
        self.metrics().active.set(count(self.queue.active()));
    }

    fn take_in(&mut self, change: Change) {
        let now = self.context.clock.monotonic();
        let (source, is_complete, effects) = match change {
            Change::Capture(source, event) => {
                (source, matches!(event, Event::InitDone), self.index.apply_capture(source, event))
            }
            Change::Child(source, kind, event) => {
                (source, matches!(event, Event::InitDone), self.index.apply_child(source, kind, &event))
            }
            Change::Fault(source, error) => {
                self.stumble(source, &error);
                return;
            }
        };
        self.metrics().beat(source.kind(), now);
        if is_complete {
            self.hear(source);
        }
        self.react(effects, now);
    }

    fn react(&mut self, effects: Effects, now: Duration) {
        for (id, uid) in effects.gone {
            self.backoff.forget(&uid);
            self.ledgers.remove(&id);
            self.queue.forget(&id);
            self.metrics().forget(id.namespace(), id.name());
        }
        // The others are visited once everything around them is known.
        for id in effects.visit.into_iter().filter(|id| self.heard.knows(id)) {
            self.queue.push(&id, now + SETTLE);
        }
        self.metrics().captures.set(count(self.index.captures().count()));
    }

    /// Takes note of a stream that has told all there is, or that cannot.
    fn hear(&mut self, source: Source) {
        if self.heard.hear(source) {
            // Whoever waited for just this one; another visit of the others changes nothing.
            self.visit_all();
            self.tell();
        }
    }

    /// Tells others how much is known.
    fn tell(&self) {
        self.pulse.is_able.send_replace(self.heard.has_scope());
        self.pulse.is_synced.send_replace(self.heard.is_complete());
    }

    /// Takes note of a stream that failed; it begins again by itself.
    fn stumble(&mut self, source: Source, error: &watcher::Error) {
        let now = self.context.clock.monotonic();
        self.metrics().watch_errors.get_or_create(&KindLabel { kind: source.kind() }).inc();
        let (text, namespace) = (watches::told(error), watches::namespace(&self.context.options.watched, source));
        warn!(kind = source.kind(), namespace, error = text, "a watch failed and begins again");
        // Children that cannot be watched must not keep the captures from being visited.
        if source.children.is_some() {
            self.hear(source);
            if is_forbidden(error) {
                self.forbidden.insert(source, (text, now));
            }
            return;
        }
        *self.pulse.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        // Nor must a namespace whose captures may not be listed keep those of the others from it.
        if is_forbidden(error) {
            self.heard.bar(source.scope);
            self.tell();
        }
    }

    /// Returns what cannot be watched of a capture, for its condition.
    fn blind_spots(&self, id: &CaptureId, now: Duration) -> Vec<String> {
        let is_told = |source: &Source, at: Duration| {
            now.saturating_sub(at) < FORBIDDEN_FOR && watches::covers(&self.context.options.watched, *source, id)
        };
        let told = self.forbidden.iter().filter(|(source, (_, at))| is_told(source, *at));
        let mut spots: Vec<String> =
            told.map(|(source, (error, _))| format!("cannot watch {}: {error}", source.kind())).collect();
        spots.sort();
        spots
    }

    fn come_back(&mut self, outcome: Outcome) {
        let Outcome { id, span, ledger, readiness, took, ended } = outcome;
        let _within = span.enter();
        let now = self.context.clock.monotonic();
        self.metrics().visits.inc();
        self.metrics().visit_seconds.observe(took.as_secs_f64());
        let Some(uid) = self.index.uid(&id).map(str::to_owned) else {
            self.queue.done(&id, None);
            self.queue.forget(&id);
            return;
        };
        self.ledgers.insert(id.clone(), ledger);
        self.show(&id, readiness);
        match ended {
            Ok(ended) => {
                self.backoff.forget(&uid);
                if !matches!(ended, Ended::Unapplied(_)) {
                    let seconds = self.context.clock.now().as_unix_nanos() / 1_000_000_000;
                    self.metrics().succeeded(id.namespace(), id.name(), seconds);
                }
                self.queue.done(&id, self.wait(ended).map(|wait| now + wait));
            }
            Err(error) => self.put_off(&id, &uid, &error, now),
        }
    }

    /// Shows whether a capture takes the spans that it is to take; where nobody saw that, what was seen last stays.
    fn show(&self, id: &CaptureId, readiness: Option<Readiness>) {
        let (metrics, namespace, name) = (self.metrics(), id.namespace(), id.name());
        match readiness {
            Some(Readiness::Ready) => metrics.ready(namespace, name),
            Some(Readiness::NotReady) => metrics.not_ready(namespace, name),
            Some(Readiness::NotWanted) => metrics.not_wanted(namespace, name),
            None => {}
        }
    }

    /// Returns how long the next visit waits after one that ended well; `None` where there is none.
    fn wait(&self, ended: Ended) -> Option<Duration> {
        let always = self.context.options.revisit;
        match ended {
            Ended::Done(next) | Ended::Unapplied(next) => Some(match next {
                Next::AsAlways => always,
                Next::Within(wait) => wait.min(always),
            }),
            // The watch is about to say so.
            Ended::Gone => None,
        }
    }

    /// Puts a capture off whose visit failed: it could not be looked at, or its status could not be published.
    fn put_off(&mut self, id: &CaptureId, uid: &str, error: &VisitError, now: Duration) {
        let reason = error.reason();
        self.metrics().failed(reason);
        let wait = match error.retry() {
            // Somebody may give a right, which no watch shows; to look costs little.
            Retry::AfterChange if reason == "Forbidden" => self.context.options.revisit,
            Retry::AfterChange => LONGEST,
            Retry::Soon(asked) => self.backoff.failed(uid).max(asked.unwrap_or_default()),
        };
        warn!(capture = %id, error = told(error), reason, again_in_seconds = wait.as_secs(), "a visit failed");
        self.queue.failed(id, now + wait);
    }

    /// Takes up visits, or drops them, as leadership comes and goes.
    fn change_sides(&mut self) {
        let leads = *self.leading.borrow_and_update();
        self.metrics().leader.set(i64::from(leads));
        // Whoever leads now may write already: what runs here ends at once, in the middle.
        self.visits = FuturesUnordered::new();
        self.queue = Queue::default();
        self.ledgers.clear();
        self.visit_all();
    }

    /// Has every capture visited around which everything is known.
    fn visit_all(&mut self) {
        let now = self.context.clock.monotonic();
        for id in self.index.captures().filter(|id| self.heard.knows(id)) {
            self.queue.push(id, now);
        }
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
