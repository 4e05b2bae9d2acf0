//! Clients that send over gRPC until they are told to stop, and know what was acknowledged.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tokio::runtime::Builder;
use tokio::time::sleep;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::command::closely_until;
use crate::spans::{message, next_id, span};

/// How long a client waits before it tries again: sooner than it was asked to, but not at once.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a connection may take to be made, and the answer to a single request.
const TIMEOUT: Duration = Duration::from_mins(1);

/// After so many requests a client connects anew, and so perhaps to another pod.
const REQUESTS_PER_CONNECTION: usize = 50;

/// How a request is made, and how many clients make them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) n_clients: usize,
    pub(crate) n_spans: usize,
    /// Bytes of each span's name, which hardly compress.
    pub(crate) filler: usize,
    /// Between two requests of a client.
    pub(crate) pause: Duration,
    /// How long a client waits for an answer; none is given while nobody is there.
    pub(crate) timeout: Duration,
}

/// A few small spans at a time, again and again.
pub(crate) const STEADY: Shape = Shape {
    n_clients: 4,
    n_spans: 10,
    filler: 100,
    pause: Duration::from_millis(20),
    timeout: Duration::from_secs(10),
};

/// Much at a time, as fast as it is taken.
pub(crate) const HEAVY: Shape = Shape { n_spans: 20, filler: 2_000, pause: Duration::from_millis(10), ..STEADY };

/// What became of the requests of all clients.
#[derive(Debug, Default)]
struct Tally {
    n_acknowledged: AtomicU64,
    /// Requests that were answered with "come back later".
    n_told_to_retry: AtomicU64,
    /// Requests whose connection was refused or broke.
    n_unanswered: AtomicU64,
    refusals: Mutex<Vec<String>>,
}

/// Running clients; dropped, they are told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
    clients: Vec<JoinHandle<Vec<u64>>>,
}

impl Load {
    /// Starts clients, each with connections of its own.
    pub(crate) fn start(endpoint: &str, shape: Shape) -> Self {
        let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
        let clients = (0..shape.n_clients).map(|_| {
            let (stop, tally, endpoint) = (Arc::clone(&stop), Arc::clone(&tally), endpoint.to_owned());
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            thread::spawn(move || runtime.block_on(send(&endpoint, shape, &stop, &tally)))
        });
        Self { clients: clients.collect(), stop, tally }
    }

    /// How many spans were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.tally.n_acknowledged.load(Ordering::Relaxed)
    }

    /// How many requests were asked to come back so far.
    pub(crate) fn told_to_retry(&self) -> u64 {
        self.tally.n_told_to_retry.load(Ordering::Relaxed)
    }

    /// How many requests got no answer so far.
    pub(crate) fn unanswered(&self) -> u64 {
        self.tally.n_unanswered.load(Ordering::Relaxed)
    }

    /// Waits until so many more spans are acknowledged.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, n: u64) {
        self.watch_until(self.acknowledged() + n, || ());
    }

    /// Looks at something again and again until so many spans are acknowledged in all.
    ///
    /// It takes as long as it takes: only where nothing at all is acknowledged for long it fails.
    #[track_caller]
    pub(crate) fn watch_until(&self, n: u64, mut look: impl FnMut()) {
        while self.acknowledged() < n {
            let (seen, told, lost) = (self.acknowledged(), self.told_to_retry(), self.unanswered());
            let what = format!("more than {seen} of {n} acknowledged ({told} told to come back, {lost} unanswered)");
            closely_until(&what, || {
                look();
                (self.acknowledged() > seen).then_some(())
            });
        }
    }

    /// Ends the clients and returns what was acknowledged to each, in its order; fails where an answer was a final refusal.
    pub(crate) fn finish(mut self) -> Vec<Vec<u64>> {
        self.stop.store(true, Ordering::Relaxed);
        let acknowledged = self.clients.drain(..).map(|client| client.join().unwrap()).collect();
        let refusals = self.tally.refusals.lock().unwrap();
        assert!(refusals.is_empty(), "neither stored nor to be sent again: {:?}", refusals.first());
        acknowledged
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// All acknowledged spans, whoever sent them.
pub(crate) fn all(acknowledged: &[Vec<u64>]) -> HashSet<u64> {
    acknowledged.iter().flatten().copied().collect()
}

/// How a request was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The client is asked to come back.
    ComeBack,
    /// For good.
    Refused(Code),
    /// Nobody answered.
    Lost(Code),
}

/// Sends one request with one span.
pub(crate) fn send_one(endpoint: &str, filler: usize) -> Result<u64, NotTaken> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let id = next_id();
    runtime.block_on(async {
        let answer = connect(endpoint, TIMEOUT).export(message(vec![span(id, filler)])).await;
        answer.map(|_| id).map_err(|status| not_taken(&status))
    })
}

/// Sends until it is told to stop; a broken connection is made anew. Returns what was acknowledged, in order.
async fn send(endpoint: &str, shape: Shape, stop: &AtomicBool, tally: &Tally) -> Vec<u64> {
    let (mut client, mut acknowledged, mut n_requests) = (connect(endpoint, shape.timeout), Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        n_requests += 1;
        if n_requests % REQUESTS_PER_CONNECTION == 0 {
            client = connect(endpoint, shape.timeout);
        }
        let ids: Vec<u64> = (0..shape.n_spans).map(|_| next_id()).collect();
        let request = message(ids.iter().map(|&id| span(id, shape.filler)).collect());
        match client.export(request).await {
            Ok(answer) if answer.get_ref().partial_success.is_none() => {
                tally.n_acknowledged.fetch_add(ids.len() as u64, Ordering::Relaxed);
                acknowledged.extend(ids);
                sleep(shape.pause).await;
                continue;
            }
            Ok(answer) => tally.refusals.lock().unwrap().push(format!("{answer:?}")),
            Err(status) => match not_taken(&status) {
                NotTaken::ComeBack => {
                    tally.n_told_to_retry.fetch_add(1, Ordering::Relaxed);
                }
                NotTaken::Lost(_) => {
                    tally.n_unanswered.fetch_add(1, Ordering::Relaxed);
                    client = connect(endpoint, shape.timeout);
                }
                NotTaken::Refused(_) => tally.refusals.lock().unwrap().push(format!("{status:?}")),
            },
        }
        sleep(PAUSE).await;
    }
    acknowledged
}

fn connect(endpoint: &str, timeout: Duration) -> TraceServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(endpoint.to_owned()).unwrap().timeout(timeout).connect_timeout(timeout);
    TraceServiceClient::new(endpoint.connect_lazy())
}

fn not_taken(status: &Status) -> NotTaken {
    match status.code() {
        // A retry that we ask for carries how long to wait.
        Code::Unavailable if !status.details().is_empty() => NotTaken::ComeBack,
        // Nobody knows whether the spans were stored: a client sends them again.
        code @ (Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Internal) => {
            NotTaken::Lost(code)
        }
        code => NotTaken::Refused(code),
    }
}
