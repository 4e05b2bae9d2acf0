//! A gateway process: starting its parts, telling how they are, ending them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tracing::{error, info};

use super::App;
use super::captures::Captures;
use super::keeper::Keepers;
use super::options::Options;
use super::records::Records;
use super::reviews::Reviews;
use super::server::{self, Tls};
use super::streams::Streams;
use crate::admin::Admin;
use crate::clock::Clock;
use crate::installation::link_keys::KeptKeys;
use crate::installation::{deadline, keys, nesting};
use crate::shutdown::Shutdown;
use crate::telemetry::chain;
use crate::telemetry::metrics::GatewayMetrics;

/// How often the start is tried again: somebody is about to grant a permission.
const START_AGAIN: Duration = Duration::from_secs(10);

/// How long tasks have once the last response has ended.
const END_LIMIT: Duration = Duration::from_secs(2);

/// What a gateway works with.
pub struct Parts {
    /// The way to the API server.
    pub client: Client,
    /// The machine's clocks.
    pub clock: Arc<dyn Clock>,
    /// What the process was told.
    pub options: Options,
    /// Where it is asked.
    pub listener: TcpListener,
    /// How connections are secured; `None` where somebody in front does that.
    pub tls: Option<Tls>,
}

/// A running gateway.
pub struct Gateway {
    stage: Shutdown,
    admin: Admin,
    limit: Duration,
}

/// How far the process has come.
struct Progress {
    captures: Arc<Captures>,
    /// What the start waits for, for people; `None` once it has started.
    waits_for: Mutex<Option<String>>,
}

impl Gateway {
    /// Starts every part; what cannot be had yet is waited for.
    ///
    /// Clients that connect before wait in the system's backlog.
    pub fn start(parts: Parts) -> Self {
        let mut registry = Registry::with_prefix("tracecapture");
        let metrics = GatewayMetrics::default();
        metrics.register(&mut registry);
        let progress = Arc::new(Progress {
            captures: Arc::new(Captures::new(&parts.options.watched)),
            waits_for: Mutex::new(Some("the process is starting".to_owned())),
        });
        let admin = admin(&progress, registry);
        let limit = parts.options.limits.drain + END_LIMIT;
        let stage = Shutdown::new();
        let parts = Parts { client: nesting::limited(deadline::limited(parts.client)), ..parts };
        let group = stage.clone();
        stage.spawn("gateway", async move {
            tokio::select! {
                () = group.requested() => {}
                () = run(parts, progress, metrics, group.clone()) => {}
            }
        });
        Self { stage, admin, limit }
    }

    /// Returns what speaks for the process on its admin port.
    pub fn admin(&self) -> Admin {
        self.admin.clone()
    }

    /// Accepts no more, and gives running responses a while; returns whether all ended in time.
    pub async fn stop(self) -> bool {
        self.stage.stop("gateway", self.limit).await
    }
}

async fn run(parts: Parts, progress: Arc<Progress>, metrics: GatewayMetrics, stage: Shutdown) {
    let Parts { client, clock, options, listener, tls } = parts;
    let key = until_done(&progress, || keys::obtain(&client, &options.namespace)).await;
    let link_keys = until_done(&progress, || KeptKeys::obtain(&client, &options.namespace)).await;
    let place = (client.clone(), options.namespace.clone());
    let keepers = Keepers::new(place, key, options.collector_url.clone(), Arc::clone(&clock), stage.clone());
    let app = Arc::new(App {
        keepers,
        link_keys,
        reviews: Reviews::new(client.clone(), options.audience.clone(), Arc::clone(&clock), metrics.clone()),
        records: Records::new(client.clone(), &options.namespace, Arc::clone(&clock)),
        streams: Streams::new(&options.limits),
        captures: Arc::clone(&progress.captures),
        has_tls: tls.is_some(),
        clock,
        metrics,
        options,
    });
    *progress.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = None;
    info!("watching captures");
    tokio::join!(
        progress.captures.follow(&client, &app.options.watched),
        app.link_keys.follow(),
        app.records.follow(&app.streams),
        server::serve(listener, tls, Arc::clone(&app), stage),
    );
}

/// Tries until it succeeds, and tells what it waits for.
async fn until_done<T, E, F>(progress: &Progress, mut attempt: impl FnMut() -> F) -> T
where
    E: std::error::Error,
    F: Future<Output = Result<T, E>>,
{
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(failure) => {
                let text = chain(&failure);
                error!(error = text, again_in_seconds = START_AGAIN.as_secs(), "cannot start yet");
                *progress.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
                sleep(START_AGAIN).await;
            }
        }
    }
}

/// Returns what answers probes and shows metrics.
fn admin(progress: &Arc<Progress>, registry: Registry) -> Admin {
    let progress = Arc::clone(progress);
    Admin {
        // Nothing in here can hang for good without the process hanging.
        live: Arc::new(|| Ok(())),
        ready: Arc::new(move || progress.is_ready()),
        render_metrics: Arc::new(move || {
            let mut text = String::new();
            // Writing to a String cannot fail.
            let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
            text
        }),
    }
}

impl Progress {
    fn is_ready(&self) -> Result<(), String> {
        if let Some(text) = &*self.waits_for.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(text.clone());
        }
        if !self.captures.is_ready() {
            return Err("the watches have not told yet which captures there are".to_owned());
        }
        Ok(())
    }
}
