//! The two OTLP addresses: accepts connections and serves them until it is told to stop.
//!
//! Both addresses speak HTTP/1.1 and HTTP/2 without TLS, told apart by the first bytes. gRPC is also
//! taken on the HTTP address; a client that speaks HTTP to the gRPC address is told so.
//!
//! # Guarantees
//! - Connections are bounded in number, age, streams, header size, and in the time they may be silent.
//! - Once the stage stops, nothing is accepted, clients get GOAWAY or `Connection: close`, and what is
//!   in flight is answered.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Response, Version};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::intake::Intake;
use super::reply::ReplyBody;
use super::{grpc, http as otlp_http};
use crate::shutdown::Shutdown;
use crate::telemetry::metrics::AnswerLabels;

/// A connection that says nothing for this long is closed: clients speak first.
const FIRST_BYTE_LIMIT: Duration = Duration::from_mins(1);

/// Time for the head of an HTTP/1 request, counted from the end of the one before: exporters send every few seconds.
const HEADER_LIMIT: Duration = Duration::from_secs(90);

/// Pings of HTTP/2 and the time for their answer, so that dead peers are noticed.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_LIMIT: Duration = Duration::from_secs(10);

/// Calls in flight on one connection.
const MAX_STREAMS: u32 = 256;

/// Bytes a client may send before we read them, per stream and per connection.
///
/// 64 MiB pass at full speed up to a few milliseconds of round trip; what lies unread is small,
/// because a body is always read on.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 2 << 20;

/// Bytes of a request's headers.
const MAX_HEADER_BYTES: u32 = 16 << 10;

/// Bytes of an HTTP/1 head and of what is read ahead of a body.
const HTTP1_BUFFER_BYTES: usize = 64 << 10;

/// How long accepting pauses after it failed, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why an address could not be opened.
#[derive(Debug, Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system says; retrying helps once the address is free.
    #[source]
    pub source: io::Error,
}

/// Bounds of connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Open connections over all addresses; one more is closed at once.
    pub max_connections: usize,
    /// Age at which a connection is asked to end, so that clients spread over new replicas.
    pub max_age: Duration,
    /// Time for what is in flight on a connection that was asked to end.
    pub grace: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { max_connections: 4096, max_age: Duration::from_mins(10), grace: Duration::from_mins(1) }
    }
}

/// The bound, not yet served OTLP addresses.
#[derive(Debug)]
pub struct Receiver {
    listeners: Vec<(Port, SocketAddr, TcpListener)>,
}

/// What is mainly spoken on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    Grpc,
    Http,
}

/// What all connections share.
struct Service {
    intake: Arc<Intake>,
    limits: ConnectionLimits,
    stage: Shutdown,
    connections: Arc<Semaphore>,
    http: auto::Builder<Streams>,
}

/// Spawns the streams of HTTP/2 connections.
#[derive(Debug, Clone)]
struct Streams(Shutdown);

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn("stream", stream);
    }
}

impl Receiver {
    /// Opens the addresses; port 0 picks a free one.
    ///
    /// # Errors
    /// [`BindError`] names the address; those opened before are closed again.
    pub async fn bind(grpc: &[SocketAddr], http: &[SocketAddr]) -> Result<Self, BindError> {
        let mut listeners = Vec::with_capacity(grpc.len().saturating_add(http.len()));
        let ports = grpc.iter().map(|&address| (Port::Grpc, address));
        for (port, address) in ports.chain(http.iter().map(|&address| (Port::Http, address))) {
            let error = |source| BindError { address, source };
            let listener = TcpListener::bind(address).await.map_err(error)?;
            let bound = listener.local_addr().map_err(error)?;
            listeners.push((port, bound, listener));
        }
        Ok(Self { listeners })
    }

    /// Returns the addresses of OTLP/gRPC, with the ports that were picked.
    pub fn grpc_addresses(&self) -> Vec<SocketAddr> {
        self.addresses(Port::Grpc)
    }

    /// Returns the addresses of OTLP/HTTP, with the ports that were picked.
    pub fn http_addresses(&self) -> Vec<SocketAddr> {
        self.addresses(Port::Http)
    }

    fn addresses(&self, wanted: Port) -> Vec<SocketAddr> {
        self.listeners.iter().filter(|(port, ..)| *port == wanted).map(|(_, address, _)| *address).collect()
    }

    /// Serves in tasks of `stage`, until it is told to stop.
    ///
    /// Stopping the stage ends accepting, and waits for what is in flight; the queue must still be
    /// read while it does.
    pub fn serve(self, intake: Arc<Intake>, limits: ConnectionLimits, stage: &Shutdown) {
        let connections = Arc::new(Semaphore::new(limits.max_connections));
        let http = protocols(Streams(stage.clone()));
        let service = Arc::new(Service { intake, limits, stage: stage.clone(), connections, http });
        for (port, _, listener) in self.listeners {
            let service = Arc::clone(&service);
            stage.spawn("accept", async move { service.accept(port, listener).await });
        }
    }
}

fn protocols(streams: Streams) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .max_buf_size(HTTP1_BUFFER_BYTES)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_LIMIT)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_BYTES);
    builder
}

impl Service {
    async fn accept(self: Arc<Self>, port: Port, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stage.requested() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.take(port, stream, peer),
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection in a task of its own, or closes it where there are too many.
    fn take(self: &Arc<Self>, port: Port, stream: TcpStream, peer: SocketAddr) {
        let Ok(place) = Arc::clone(&self.connections).try_acquire_owned() else {
            self.intake.metrics().refused_connections.inc();
            return;
        };
        // Answers are tiny: with Nagle's algorithm each would wait for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, %peer, "cannot set TCP_NODELAY");
        }
        let service = Arc::clone(self);
        self.stage.spawn("connection", async move {
            let open = &service.intake.metrics().connections;
            open.inc();
            service.serve(port, stream, peer, place).await;
            open.dec();
        });
    }

    async fn serve(self: &Arc<Self>, port: Port, stream: TcpStream, peer: SocketAddr, _place: OwnedSemaphorePermit) {
        let mut closing = pin!(self.end_of(peer));
        tokio::select! {
            biased;
            () = &mut closing => return,
            readable = timeout(FIRST_BYTE_LIMIT, stream.readable()) => if !matches!(readable, Ok(Ok(()))) { return },
        }
        let service = service_fn(|request| {
            let service = Arc::clone(self);
            // Boxed, because the future holds a whole request's state, and is moved several times on its way into a task.
            Box::pin(async move { Ok::<_, Infallible>(service.answer(port, request).await) })
        });
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = &mut closing => {
                connection.as_mut().graceful_shutdown();
                timeout(self.limits.grace, connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            debug!(%error, %peer, "connection failed");
        }
    }

    /// Waits until a connection should end: at shutdown or at its age.
    ///
    /// Ages differ by up to a tenth, so that clients that came together do not come again together.
    async fn end_of(&self, peer: SocketAddr) {
        let age = self.limits.max_age.saturating_sub(self.limits.max_age / 1000 * u32::from(peer.port() % 100));
        tokio::select! {
            () = self.stage.requested() => {}
            () = sleep(age) => {}
        }
    }

    async fn answer(&self, port: Port, request: http::Request<Incoming>) -> Response<ReplyBody> {
        let speaks_grpc =
            port == Port::Grpc || (request.version() == Version::HTTP_2 && grpc::is_grpc(request.headers()));
        let (transport, (response, answer)) = if speaks_grpc {
            ("grpc", grpc::answer(&self.intake, request).await)
        } else {
            ("http", otlp_http::answer(&self.intake, &self.stage, request).await)
        };
        self.intake.metrics().requests.get_or_create(&AnswerLabels { transport, answer }).inc();
        response
    }
}

#[cfg(test)]
mod tests {
    use arc_swap::ArcSwap;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::queue::queue;
    use super::*;
    use crate::settings::{ReceiveSettings, ReceiveState};
    use crate::telemetry::metrics::ReceiveMetrics;

    const LONG: Duration = Duration::from_mins(1);
    const REQUEST: &str =
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

    /// Serves OTLP/HTTP under these bounds; requests without spans need no appender.
    async fn served(limits: ConnectionLimits, settings: ReceiveSettings) -> (SocketAddr, Shutdown, Arc<Intake>) {
        let (stage, loopback) = (Shutdown::new(), SocketAddr::from(([127, 0, 0, 1], 0)));
        let receiver = Receiver::bind(&[], &[loopback]).await.unwrap();
        let address = receiver.http_addresses()[0];
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let intake = Arc::new(Intake::new(settings, queue(1 << 20).0, ReceiveMetrics::default(), stage.clone()));
        receiver.serve(Arc::clone(&intake), limits, &stage);
        (address, stage, intake)
    }

    async fn served_by_default() -> (SocketAddr, Shutdown, Arc<Intake>) {
        served(ConnectionLimits::default(), ReceiveSettings::default()).await
    }

    async fn sent(address: SocketAddr, bytes: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream
    }

    /// Reads until the other side closes.
    async fn rest_of(mut stream: TcpStream) -> String {
        let mut text = String::new();
        timeout(LONG, stream.read_to_string(&mut text)).await.unwrap().unwrap();
        text
    }

    #[tokio::test]
    async fn stopping_ends_idle_connections_and_finishes_what_is_in_flight() {
        let (address, stage, intake) = served_by_default().await;
        let (begin, end) = REQUEST.split_at(REQUEST.len() - 1);
        let (idle, mut half) = (sent(address, "").await, sent(address, begin).await);
        while intake.metrics().in_flight_bytes.get() == 0 {
            tokio::task::yield_now().await;
        }
        let finish = async {
            stage.requested().await;
            half.write_all(end.as_bytes()).await.unwrap();
            (rest_of(half).await, rest_of(idle).await)
        };
        let (ended, (answer, nothing)) = tokio::join!(stage.stop("receive", LONG), finish);
        assert!(ended && answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert_eq!(nothing, "");
        assert!(TcpStream::connect(address).await.is_err());
        assert_eq!(intake.metrics().connections.get(), 0);
    }

    #[tokio::test]
    async fn a_connection_ends_at_its_age() {
        let limits = ConnectionLimits { max_age: Duration::from_millis(10), ..ConnectionLimits::default() };
        let (address, ..) = served(limits, ReceiveSettings::default()).await;
        assert_eq!(rest_of(sent(address, "").await).await, "");
    }

    #[tokio::test]
    async fn one_connection_too_many_is_closed() {
        let limits = ConnectionLimits { max_connections: 1, ..ConnectionLimits::default() };
        let (address, _stage, intake) = served(limits, ReceiveSettings::default()).await;
        let mut first = sent(address, REQUEST).await;
        first.readable().await.unwrap();
        assert_eq!(rest_of(sent(address, "").await).await, "");
        assert_eq!(intake.metrics().refused_connections.get(), 1);
        assert_eq!(first.read(&mut [0; 8]).await.unwrap(), 8);
    }

    #[tokio::test]
    async fn a_stopped_capture_asks_to_come_back_in_a_minute() {
        let stopped = ReceiveSettings { state: ReceiveState::Stopped, ..ReceiveSettings::default() };
        let (address, stage, _) = served(ConnectionLimits::default(), stopped).await;
        let stream = sent(address, REQUEST).await;
        stream.readable().await.unwrap();
        stage.stop("receive", LONG).await;
        let answer = rest_of(stream).await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 60\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let (address, ..) = served_by_default().await;
        let error = Receiver::bind(&[address], &[]).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    }
}
