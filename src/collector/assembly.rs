//! Puts a collector together and takes it apart again in stages.
//!
//! Downstream parts start first and end last: the appender reads the queue until every
//! connection is closed, so whatever was received is answered before the chunk is sealed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::appender::Appender;
use super::controls::Controls;
use super::describe::{LastStored, Sources};
use super::health::{Health, StorageHealth};
use super::incarnation;
use super::intake::Intake;
use super::keeper::Keeper;
use super::place::Place;
use super::queue::{QueueSender, queue};
use super::server::{ConnectionLimits, Receiver};
use super::serving::{self, Site};
use super::share::Share;
use super::vitals::{Draining, Pulse, Vitals, pulse};
use super::wake::{Waker, wake};
use super::web::{self, Access};
use crate::admin::Admin;
use crate::archive::bundle::Pins;
use crate::archive::committed::Committed;
use crate::archive::fs::{Fs, Lock, LockError, is_full};
use crate::archive::layout::{self, Step, Unfit};
use crate::clock::Clock;
use crate::settings::{CollectorSettings, Duty, Identity};
use crate::shutdown::Shutdown;
use crate::telemetry::chain;
use crate::telemetry::metrics::{ReceiveMetrics, StorageMetrics, WebMetrics};

/// How many bytes of lines may wait for the appender: two groups, so that one fills while the other syncs.
const QUEUE_BYTES: usize = 64 << 20;

/// How long connections have to finish what is in flight.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// How long the appender has for the rest of the queue and the seal.
const SEAL_LIMIT: Duration = Duration::from_secs(10);

/// How long running downloads may go on once everything else has ended.
const SERVE_LIMIT: Duration = Duration::from_secs(3);

/// Why a data directory could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The directory cannot hold chunks.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The lock was not taken: another process writes there under the same name, or the lock file cannot be written.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The system gives no random numbers.
    #[error("cannot draw a random number")]
    Random,
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// A data directory that this process may write to, under a name that no other process uses.
pub struct Storage {
    place: Place,
    duty: Duty,
    /// Full where the volume is at the start: clients are told so before the first of them fails.
    health: Health,
    /// Whether no process had opened the directory before.
    is_new: bool,
    /// None where the filesystem knows no locks.
    lock: Option<Lock>,
}

impl Storage {
    /// Prepares and probes the directory and takes the writer's lock.
    ///
    /// # Errors
    /// [`OpenError`]; retrying helps once what it names was mended.
    pub fn open(
        fs: Arc<dyn Fs>,
        clock: Arc<dyn Clock>,
        data_dir: &Path,
        identity: Identity,
    ) -> Result<Self, OpenError> {
        let Identity { writer, duty } = identity;
        let unfit = |step| move |source| Unfit { dir: data_dir.to_owned(), step, source };
        fs.create_dir_all(data_dir).map_err(unfit(Step::Directories))?;
        let is_new = layout::count_writers(&*fs, data_dir).is_ok_and(|n| n == 0);
        let lock = match Lock::acquire(&layout::lock_path(data_dir, &writer)) {
            Ok(lock) => Some(lock),
            // Two writers of one name would still not share a chunk.
            Err(error @ LockError::Unsupported { .. }) => {
                warn!(%error, "going on without: see to it that no other process writes under this name");
                None
            }
            Err(error) => return Err(error.into()),
        };
        let health = Health::new();
        match layout::prepare(&*fs, data_dir, &writer) {
            // Retention has to run to make room, and it runs in here.
            Err(error) if is_full(&error.source) => {
                warn!(%error, "starting on a full volume");
                health.set(StorageHealth::Full { message: chain(&error) });
            }
            prepared => prepared?,
        }
        let incarnation = incarnation::unused(drawn()?, &*fs, data_dir, &writer).map_err(unfit(Step::Reach))?;
        let device = layout::device(&*fs, data_dir)?;
        let data_dir: PathBuf = data_dir.to_owned();
        let place = Place { fs, data_dir, device, writer, incarnation, clock, committed: Committed::new() };
        Ok(Self { place, duty, health, is_new, lock })
    }
}

/// Draws a number.
fn drawn() -> Result<u16, OpenError> {
    let mut bytes = [0; 2];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).map_err(|_| OpenError::Random)?;
    Ok(u16::from_be_bytes(bytes))
}

/// The web address of a collector, opened but not yet served.
pub struct Web {
    /// The open address.
    pub listener: TcpListener,
    /// What requests have to carry.
    pub access: Access,
}

/// A running collector.
pub struct Collector {
    controls: Controls,
    admin: Admin,
    draining: Draining,
    receiving: Shutdown,
    serving: Shutdown,
    appender_ended: oneshot::Receiver<()>,
    queue: QueueSender,
    keeper: Waker,
}

impl Collector {
    /// Recovers what earlier lives of this writer left, and starts every part; spans are taken from now on.
    ///
    /// # Errors
    /// [`OpenError::Thread`].
    pub fn start(
        storage: Storage,
        settings: CollectorSettings,
        receiver: Receiver,
        web: Web,
    ) -> Result<Self, OpenError> {
        let Storage { place, duty, health, is_new, lock } = storage;
        let mut registry = Registry::with_prefix("tracecapture");
        let requests = ReceiveMetrics::default();
        requests.register(&mut registry);
        let stored = StorageMetrics::register(&mut registry);
        let (waker, sleeper) = wake();
        let controls = Controls::new(settings.live, Arc::clone(&place.clock), waker.clone());
        let sources = Sources {
            writer: place.writer.clone(),
            settings: controls.live(),
            inventory: Arc::default(),
            health: health.clone(),
            last_stored: LastStored::default(),
            share: Share::default(),
            received: requests.clone(),
            stored,
        };
        let pins = Pins::new(Arc::clone(&place.clock));
        let mut keeper = Keeper::new(place.clone(), duty, &sources, pins.clone());
        // Before anything is received, so that what a crash left is there for the first download.
        keeper.sweep();
        let keeping = spawn_thread("keeper", move || keeper.run(&sleeper))?;
        let (queue, submissions) = queue(QUEUE_BYTES);
        let appender = Appender::new(place.clone(), lock, &sources, waker.clone());
        let (ended, appender_ended) = oneshot::channel();
        let writing = spawn_thread("appender", move || {
            appender.run(&submissions);
            // Dropping it says the same, also when the thread panics.
            drop(ended);
        })?;
        let (receiving, serving) = (Shutdown::new(), Shutdown::new());
        let intake = Intake::new(controls.receive(), queue.clone(), requests, receiving.clone());
        receiver.serve(Arc::new(intake), ConnectionLimits::default(), &receiving);
        receiving.spawn("keep time", controls.clone().keep_time(receiving.clone()));
        let metrics = WebMetrics::default();
        metrics.register(&mut registry);
        let draining = Draining::default();
        let vitals = Vitals { health, appender: writing, keeper: keeping, draining: draining.clone() };
        let admin = serving::admin(vitals, sources.clone(), registry);
        // What a copied directory holds may have been sent from where it was.
        let is_new = is_new && sources.inventory.load().chunks.is_empty();
        let site = Site { place, duty, is_new };
        let capture = serving::capture(&site, settings.id, sources, pins);
        let context = serving::web(site, capture, (web.access, admin.clone()), metrics);
        serving.spawn("web", web::serve(web.listener, context, serving.clone()));
        Ok(Self { controls, admin, draining, receiving, serving, appender_ended, queue, keeper: waker })
    }

    /// Returns what can be changed while it runs.
    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }

    /// Returns what it says about itself to probes and scrapers.
    pub fn admin(&self) -> Admin {
        self.admin.clone()
    }

    /// Says from now on that it is not ready, and goes on taking spans until [`Self::drain`].
    pub fn announce_end(&self) {
        self.draining.begin();
    }

    /// Waits until the appender ends on its own, which it never should.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn failed(&mut self) {
        // Nothing is ever sent: the channel closes when the thread ends.
        let _ = (&mut self.appender_ended).await;
    }

    /// Answers what was received, seals the growing chunk, and ends.
    ///
    /// Returns whether the chunk was sealed in time; what was acknowledged is safe in any case.
    pub async fn drain(self) -> bool {
        self.announce_end();
        let Self { controls, receiving, serving, appender_ended, queue, keeper, admin: _, draining: _ } = self;
        let received = receiving.stop("receiving", DRAIN_LIMIT).await;
        queue.close();
        let sealed = tokio::time::timeout(SEAL_LIMIT, appender_ended).await.is_ok();
        if sealed {
            info!("drained");
        } else {
            error!("the chunk could not be sealed in time; the next start recovers it");
        }
        // With the last waker the keeper ends; nothing depends on when.
        drop((keeper, controls));
        serving.stop("serving", SERVE_LIMIT).await;
        // A peer that says nothing must not make a failure of an end in which nothing was lost.
        if !received {
            warn!("some connections did not end in time; what they had sent in full was answered");
        }
        sealed
    }
}

/// Starts a thread; returns what tells whether it is alive.
fn spawn_thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<Pulse, OpenError> {
    let (beating, pulse) = pulse();
    let work = move || {
        work();
        drop(beating);
    };
    thread::Builder::new().name(name.to_owned()).spawn(work).map(|_| pulse).map_err(OpenError::Thread)
}
