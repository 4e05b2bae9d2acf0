//! A wire that stands between two processes: it can be held at a byte, and it remembers what was asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the system may hold back on the way: little, so that who is held stops soon.
const HELD_BACK: u32 = 32 << 10;

/// What is remembered of what is asked on one connection: a head, not a body.
const NOTED: usize = 32 << 10;

/// A wire to one address; dropped, it takes no further connections.
pub(crate) struct Valve {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    target: Mutex<SocketAddr>,
    /// Bytes of answers that have passed.
    passed: AtomicU64,
    state: watch::Sender<State>,
    /// The beginning of what was sent the other way, on each connection.
    asked: Mutex<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    /// How many bytes of answers may pass altogether.
    limit: u64,
    /// Connections that are older than this run out without a limit.
    age: u64,
    /// Connections that are older than this are cut off.
    cut: u64,
}

impl Valve {
    /// Opens a wire to an address; everything passes.
    ///
    /// Must be called within the runtime, which runs it.
    pub(crate) fn to(target: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(HELD_BACK).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let state = watch::Sender::new(State { limit: u64::MAX, age: 0, cut: 0 });
        let (target, asked) = (Mutex::new(target), Mutex::default());
        let shared = Arc::new(Shared { target, passed: AtomicU64::new(0), state, asked });
        let all = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, Arc::clone(&all)));
            }
        });
        Self { address, shared, accepting }
    }

    /// Leads to another address from now on.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap() = target;
    }

    /// Returns how many bytes of answers have passed.
    pub(crate) fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::SeqCst)
    }

    /// Lets so many bytes more of answers pass.
    pub(crate) fn let_pass(&self, n_more: u64) {
        let limit = self.passed().saturating_add(n_more);
        self.shared.state.send_modify(|state| *state = State { limit, ..*state });
    }

    /// Lets the connections that are there run out, beyond the limit: one of their ends is gone.
    pub(crate) fn run_out(&self) {
        self.shared.state.send_modify(|state| *state = State { age: state.age + 1, ..*state });
    }

    /// Cuts off the connections that are there, with what is on its way in them, as the loss of a node does.
    pub(crate) fn cut_off(&self) {
        self.shared.state.send_modify(|state| *state = State { age: state.age + 1, cut: state.age + 1, ..*state });
    }

    /// Tells whether the limit is reached.
    pub(crate) fn is_held(&self) -> bool {
        self.passed() >= self.shared.state.borrow().limit
    }

    /// Returns the values of a header in what was asked, whose name is given in small letters.
    pub(crate) fn asked(&self, name: &str) -> Vec<String> {
        let asked = String::from_utf8_lossy(&self.shared.asked.lock().unwrap()).into_owned();
        let values = asked.lines().filter_map(|line| line.split_once(": ").filter(|(found, _)| *found == name));
        values.map(|(_, value)| value.trim().to_owned()).collect()
    }
}

impl Drop for Valve {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Passes one connection on; where nobody is at the other end, it is closed.
async fn connect(client: TcpStream, shared: Arc<Shared>) {
    let mut changes = shared.state.subscribe();
    // Who comes while the wire is held waits for whoever is started meanwhile.
    let opened = changes.wait_for(|state| shared.passed.load(Ordering::SeqCst) < state.limit).await;
    let Ok(age) = opened.map(|state| state.age) else { return };
    let target = *shared.target.lock().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(HELD_BACK).unwrap();
    let Ok(server) = socket.connect(target).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let asked = tokio::spawn(note(from_client, to_server, Arc::clone(&shared)));
    pass(from_server, to_client, &shared, age).await;
    asked.abort();
}

async fn note(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: Arc<Shared>) {
    let (mut buffer, mut n_noted) = (vec![0; 16 << 10], 0);
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let noted = &buffer[..n.min(NOTED - n_noted)];
        shared.asked.lock().unwrap().extend_from_slice(noted);
        n_noted += noted.len();
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, age: u64) {
    let mut changes = shared.state.subscribe();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let left = |state: &State| {
            let passed = shared.passed.load(Ordering::SeqCst);
            if state.age > age { u64::MAX } else { state.limit.saturating_sub(passed) }
        };
        let Ok(state) = changes.wait_for(|state| left(state) > 0).await.map(|state| *state) else { return };
        if state.cut > age {
            return;
        }
        let at_most = usize::try_from(left(&state)).unwrap_or(usize::MAX).min(buffer.len()).max(1);
        let Ok(n @ 1..) = from.read(&mut buffer[..at_most]).await else { return };
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
        shared.passed.fetch_add(n as u64, Ordering::SeqCst);
    }
}
