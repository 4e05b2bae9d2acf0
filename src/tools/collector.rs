//! `tracecapture collector`: the data path as a pod of a capture.
//!
//! What it needs to know is mounted: a `TraceCapture` and the keys of the installation. It talks to no
//! API server. Its end takes at most `NOTICE` and the limits of the collector's stages, together
//! half of the minute that its pod has (`terminationGracePeriodSeconds`).

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::net::TcpListener;
use tracing::{info, warn};

use super::capture_file::{CaptureFile, CaptureFileError, read_text};
use super::exit::{ExitCode, Failure};
use super::pod_args::{CollectorArgs, PodAddresses, any_address};
use super::process::{self, Stop};
use super::watch;
use crate::admin::{self, Admin};
use crate::api::ValidCapture;
use crate::api::grant::GrantPublicKey;
use crate::api::names::{GRANT_KEYS_FILE, SETTINGS_FILE};
use crate::archive::fs::RealFs;
use crate::clock::{Clock, SystemClock};
use crate::collector::web::Access;
use crate::collector::{BindError, Collector, Receiver, Storage, Web};
use crate::settings::{CollectorSettings, Identity, InvalidPodName};
use crate::shutdown::Shutdown;
use crate::telemetry::chain;

/// How long spans are still taken after the pod says that it is not ready: a `Service` learns of that a little later.
const NOTICE: Duration = Duration::from_secs(3);

/// Fields that the operator takes up, by making other pods.
const OF_THE_OPERATOR: &[&str] = &["spec.collector.", "spec.storage."];

/// Why a collector did not start.
#[derive(Debug, Error)]
enum CollectorError {
    /// The pod has no name to write under.
    #[error(transparent)]
    PodName(#[from] InvalidPodName),
    /// The settings do not say which object they are of, so no grant could hold.
    #[error("the settings in {file} have no `metadata.uid`")]
    NoUid {
        /// The file, for people.
        file: String,
    },
    /// An address could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
}

impl From<CollectorError> for Failure {
    fn from(error: CollectorError) -> Self {
        let hint = match &error {
            CollectorError::PodName(_) => "give the name of the pod with --pod-name, or in POD_NAME",
            CollectorError::NoUid { .. } => {
                "settings are written by the operator; without a cluster use `tracecapture run`"
            }
            CollectorError::Bind(_) => {
                "end the process that has the address, or choose another one; port 0 picks a free one"
            }
        };
        Self::new(ExitCode::Failed, error).with_hint(hint)
    }
}

/// Runs until SIGTERM or ctrl-C; a second one ends the drain, too.
///
/// # Errors
/// A [`Failure`] that says what could not be started.
pub fn run(args: &CollectorArgs) -> Result<ExitCode, Failure> {
    let identity = Identity::of_pod(&args.pod_name).map_err(CollectorError::from)?;
    let (file, capture) = CaptureFile::open(&args.settings_dir.join(SETTINGS_FILE))?;
    process::block_on(serve(args, identity, file, capture))
}

async fn serve(
    args: &CollectorArgs,
    identity: Identity,
    file: CaptureFile,
    capture: ValidCapture,
) -> Result<ExitCode, Failure> {
    let clock = Arc::new(SystemClock::new());
    let started = clock.now();
    let settings = CollectorSettings::of(&capture, started);
    let no_uid = || CollectorError::NoUid { file: file.name() };
    let uid = capture.origin().uid.clone().ok_or_else(no_uid)?;
    let stop = Stop::listen()?;
    let listen = args.listen(&settings, any_address());
    let probes = Probes::open(listen.admin).await?;
    let background = Shutdown::new();
    let keys = follow_keys(&args.settings_dir.join(GRANT_KEYS_FILE), &background);
    let storage = Storage::open(Arc::new(RealFs), clock, &args.data_dir, identity)?;
    let (receiver, web, addresses) = open(&listen, Access::Grants { uid, keys }).await?;
    let collector = Collector::start(storage, settings, receiver, web)?;
    probes.current.store(Arc::new(collector.admin()));
    let reload = process::reload(collector.controls(), (capture, started), OF_THE_OPERATOR);
    watch::follow(file, &background, reload);
    let PodAddresses { grpc, http, web, .. } = addresses;
    let text = |address: Option<SocketAddr>| address.map_or("off".to_owned(), |address| address.to_string());
    info!(grpc = text(grpc), http = text(http), %web, admin = %probes.address, "collector ready");
    let ended = process::serve(collector, stop, background, NOTICE).await;
    // Last of all: a probe that finds nobody counts as a failure of the pod.
    probes.stage.stop("admin", admin::END_LIMIT).await;
    ended
}

/// The admin port, which answers from before the first look at the volume until the end.
struct Probes {
    current: Arc<ArcSwap<Admin>>,
    address: SocketAddr,
    stage: Shutdown,
}

impl Probes {
    async fn open(address: SocketAddr) -> Result<Self, CollectorError> {
        let (listener, address) = bind(address).await?;
        let (current, stage) = (Arc::new(ArcSwap::from_pointee(Admin::starting())), Shutdown::new());
        stage.spawn("admin", admin::serve(listener, Arc::clone(&current), stage.clone()));
        Ok(Self { current, address, stage })
    }
}

/// Opens the addresses of receiver and web; returns them, too, with the ports that were picked.
async fn open(listen: &PodAddresses, access: Access) -> Result<(Receiver, Web, PodAddresses), CollectorError> {
    let receiver = Receiver::bind(listen.grpc.as_slice(), listen.http.as_slice()).await?;
    let (listener, web) = bind(listen.web).await?;
    let (grpc, http) = (receiver.grpc_addresses().first().copied(), receiver.http_addresses().first().copied());
    Ok((receiver, Web { listener, access }, PodAddresses { grpc, http, web, ..*listen }))
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let error = |source: io::Error| BindError { address, source };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let bound = listener.local_addr().map_err(error)?;
    Ok((listener, bound))
}

/// Reads the keys whose grants are accepted, now and whenever they change.
///
/// Without keys nobody can ask, but spans are taken: those who send them cannot help it.
fn follow_keys(path: &Path, background: &Shutdown) -> Arc<ArcSwap<Vec<GrantPublicKey>>> {
    let keys = Arc::new(ArcSwap::default());
    // What cannot be read is reported at once by those who follow it, because it is not the empty text.
    let text = read_text(path).inspect(|text| take_keys(&keys, Ok(text))).unwrap_or_default();
    let followed = Arc::clone(&keys);
    let take = move |text: Result<String, CaptureFileError>| take_keys(&followed, text.as_deref());
    watch::follow_text(path.to_owned(), text, background, take);
    keys
}

/// Takes up another text of the keys' file; the old keys stay where it is faulty.
fn take_keys(keys: &ArcSwap<Vec<GrantPublicKey>>, text: Result<&str, &CaptureFileError>) {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        let n_kept = keys.load().len();
        warn!(error = chain(error), kept = n_kept, "cannot read grant keys: only grants by those kept are accepted");
    };
    match text.map(GrantPublicKey::parse_file) {
        Ok(Ok(new)) => {
            info!(keys = new.len(), "grant keys read");
            keys.store(Arc::new(new));
        }
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(error),
    }
}
