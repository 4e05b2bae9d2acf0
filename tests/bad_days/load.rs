//! Clients that send until they are told to stop, and know what was acknowledged.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::client::{Client, next_id, pause, request, wait_until};

/// How a request is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) n_spans: usize,
    /// Bytes of each span's name.
    pub(crate) filler: usize,
}

/// One small span per request: an acknowledgement is always about to be given.
pub(crate) const SMALL: Shape = Shape { n_spans: 1, filler: 0 };

/// What became of the requests of all clients.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    acknowledged: Mutex<HashSet<u64>>,
    n_acknowledged: AtomicU64,
    n_retry: AtomicU64,
    others: Mutex<Vec<String>>,
}

/// Running clients; dropped, they are told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts clients, each with a connection of its own.
    pub(crate) fn start(address: &str, n_clients: usize, shape: Shape) -> Self {
        let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
        let clients = (0..n_clients).map(|_| {
            let (stop, tally, address) = (Arc::clone(&stop), Arc::clone(&tally), address.to_owned());
            thread::spawn(move || send(&address, shape, &stop, &tally))
        });
        Self { clients: clients.collect(), stop, tally }
    }

    /// How many spans were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.tally.n_acknowledged.load(Ordering::Relaxed)
    }

    /// How many requests were asked to come back so far.
    pub(crate) fn retries(&self) -> u64 {
        self.tally.n_retry.load(Ordering::Relaxed)
    }

    /// Waits until so many more spans are acknowledged.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, n: u64) {
        let before = self.acknowledged();
        wait_until("more is acknowledged", || self.acknowledged() >= before + n);
    }

    /// Ends the clients and returns the acknowledged ids; fails where an answer was a final refusal.
    pub(crate) fn finish(mut self) -> HashSet<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits until every client has lost its connection, and returns the acknowledged ids.
    pub(crate) fn join(&mut self) -> HashSet<u64> {
        for client in self.clients.drain(..) {
            client.join().unwrap();
        }
        let others = self.tally.others.lock().unwrap();
        assert!(others.is_empty(), "neither stored nor to be sent again: {:?}", others.first());
        std::mem::take(&mut *self.tally.acknowledged.lock().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Sends until it is told to stop, or the connection breaks.
fn send(address: &str, shape: Shape, stop: &AtomicBool, tally: &Tally) {
    let Ok(mut client) = Client::connect(address) else { return };
    while !stop.load(Ordering::Relaxed) {
        let ids: Vec<u64> = (0..shape.n_spans).map(|_| next_id()).collect();
        let Ok(answer) = client.post(&request(&ids, shape.filler)) else { return };
        match (answer.status, answer.header("retry-after")) {
            (200, _) => {
                tally.acknowledged.lock().unwrap().extend(&ids);
                tally.n_acknowledged.fetch_add(ids.len() as u64, Ordering::Relaxed);
            }
            (503, Some(_)) => {
                tally.n_retry.fetch_add(1, Ordering::Relaxed);
                // Sooner than it was asked to, but not at once.
                pause();
            }
            _ => tally.others.lock().unwrap().push(format!("{answer:?}")),
        }
        if answer.header("connection") == Some("close") {
            return;
        }
    }
}
