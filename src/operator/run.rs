//! An operator process: starting its parts, telling how they are, ending them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info};

use super::context::Context;
use super::controller::{Controller, Pulse};
use super::events::Announcer;
use super::lease::Candidate;
use super::options::Options;
use super::reports::{HttpReports, Reports};
use super::status_link::StatusLinks;
use super::{installed, watches};
use crate::admin::Admin;
use crate::api::grant::GrantKey;
use crate::clock::Clock;
use crate::installation::answer::told;
use crate::installation::{deadline, keys, nesting};
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::OperatorMetrics;

/// How often the start is tried again: somebody is about to apply the definition, or grant a permission.
const START_AGAIN: Duration = Duration::from_secs(10);

/// A loop that has not gone round for so long hangs; it does every quarter of a minute.
const SILENT_FOR: Duration = Duration::from_mins(3);

/// How long visits have to end.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// How long giving the lease back may take: one call to read it and one to write it.
const RELEASE_LIMIT: Duration = Duration::from_secs(12);

/// What an operator works with.
pub struct Parts {
    /// The way to the API server.
    pub client: Client,
    /// The machine's clocks.
    pub clock: Arc<dyn Clock>,
    /// What the process was told.
    pub options: Options,
    /// The way to the collectors; `None` asks them over HTTP.
    pub reports: Option<Arc<dyn Reports>>,
}

/// A running operator.
pub struct Operator {
    work: Shutdown,
    election: Shutdown,
    admin: Admin,
}

/// How far the process has come.
#[derive(Debug)]
struct Progress {
    pulse: Arc<Pulse>,
    is_started: AtomicBool,
    /// What the start waits for, for people.
    waits_for: Mutex<String>,
}

impl Operator {
    /// Starts every part; what cannot be had yet is waited for.
    pub fn start(parts: Parts) -> Self {
        let mut registry = Registry::with_prefix("tracecapture");
        let metrics = OperatorMetrics::register(&mut registry);
        let progress = Arc::new(Progress {
            pulse: Arc::default(),
            is_started: AtomicBool::new(false),
            waits_for: Mutex::new("the process is starting".to_owned()),
        });
        let admin = admin(&progress, &parts.clock, registry, metrics.clone());
        let (work, election) = (Shutdown::new(), Shutdown::new());
        let client = nesting::limited(deadline::limited(parts.client));
        let Options { namespace, identity, .. } = &parts.options;
        let (candidate, leading) =
            Candidate::new(client.clone(), namespace, identity.clone(), Arc::clone(&parts.clock));
        // Whoever cannot work yet leaves the lease to those who can.
        let is_able = progress.pulse.is_able.subscribe();
        election.spawn("election", candidate.run(is_able, election.clone()));
        let start = Start { parts: Parts { client, ..parts }, progress, metrics, leading };
        let stage = work.clone();
        work.spawn("controller", async move {
            tokio::select! {
                () = stage.requested() => {}
                () = start.run(stage.clone()) => {}
            }
        });
        Self { work, election, admin }
    }

    /// Returns what speaks for the process on its admin port.
    pub fn admin(&self) -> Admin {
        self.admin.clone()
    }

    /// Ends the visits, then gives the lease back; returns whether both ended in time.
    pub async fn stop(self) -> bool {
        let has_stopped = self.work.stop("visits", STOP_LIMIT).await;
        self.election.stop("election", RELEASE_LIMIT).await && has_stopped
    }
}

/// What has to be there before the first visit.
struct Start {
    parts: Parts,
    progress: Arc<Progress>,
    metrics: OperatorMetrics,
    leading: watch::Receiver<bool>,
}

impl Start {
    async fn run(self, shutdown: Shutdown) {
        let Self { parts: Parts { client, clock, options, reports }, progress, metrics, leading } = self;
        let installed = || installed::check(&client, &options.watched);
        until_done(&progress, installed).await;
        let key = until_done(&progress, || keys::obtain(&client, &options.namespace)).await;
        let grant_keys = key.public().into_iter().collect();
        let reports = reports.unwrap_or_else(|| over_http(key, &clock, &options));
        let announcer = Announcer::new(client.clone(), &options.identity);
        let changes = watches::start(&client, &options.watched);
        progress.is_started.store(true, Ordering::Relaxed);
        info!("watching captures");
        let links = StatusLinks::new(&client, &options.namespace, &clock, options.max_link_ttl);
        let context = Context { client, clock, options, reports, grant_keys, announcer, metrics, links };
        let pulse = Arc::clone(&progress.pulse);
        Controller::new(context, leading, pulse).run(changes, shutdown).await;
    }
}

fn over_http(key: GrantKey, clock: &Arc<dyn Clock>, options: &Options) -> Arc<dyn Reports> {
    Arc::new(HttpReports::new(Arc::new(key), Arc::clone(clock), options.collector_url.clone()))
}

/// Tries until it succeeds, and tells what it waits for.
async fn until_done<T, E, F>(progress: &Progress, mut attempt: impl FnMut() -> F) -> T
where
    E: std::error::Error + 'static,
    F: Future<Output = Result<T, E>>,
{
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(failure) => {
                let text = told(&failure);
                error!(error = text, again_in_seconds = START_AGAIN.as_secs(), "cannot start yet");
                *progress.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = text;
                sleep(START_AGAIN).await;
            }
        }
    }
}

/// Returns what answers probes and shows metrics.
fn admin(progress: &Arc<Progress>, clock: &Arc<dyn Clock>, registry: Registry, metrics: OperatorMetrics) -> Admin {
    let (alive, ready) = (Arc::clone(progress), Arc::clone(progress));
    let (clock, metrics_clock) = (Arc::clone(clock), Arc::clone(clock));
    Admin {
        live: Arc::new(move || alive.is_alive(clock.monotonic())),
        // Followers are ready, too: their watches are warm, and a roll-out need not wait for the lease.
        ready: Arc::new(move || ready.is_ready()),
        render_metrics: Arc::new(move || {
            metrics.refresh(metrics_clock.monotonic());
            let mut text = String::new();
            // Writing to a String cannot fail.
            let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
            text
        }),
    }
}

impl Progress {
    fn is_alive(&self, now: Duration) -> Result<(), String> {
        let beat = Duration::from_secs(self.pulse.beat_seconds.load(Ordering::Relaxed));
        if self.is_started.load(Ordering::Relaxed) && now.saturating_sub(beat) > SILENT_FOR {
            return Err(format!(
                "the controller has not gone round for {} seconds",
                (now.saturating_sub(beat)).as_secs()
            ));
        }
        Ok(())
    }

    fn is_ready(&self) -> Result<(), String> {
        if !self.is_started.load(Ordering::Relaxed) {
            return Err(self.waits_for.lock().unwrap_or_else(PoisonError::into_inner).clone());
        }
        if !*self.pulse.is_synced.borrow() {
            let trouble = self.pulse.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let why = trouble.map_or_else(String::new, |trouble| format!(": TraceCapture: {trouble}"));
            return Err(format!("the watches have not told yet what is there{why}"));
        }
        Ok(())
    }
}
