//! HTTP/1.1 servers: accepting connections, serving one to its end, and what their answers have in common.

mod body;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

pub use body::{Pieces, StreamedBody};

use crate::shutdown::Shutdown;

/// How long accepting pauses after it failed, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a connection may take of time and memory.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Time for a request's head, also between two requests: a silent peer keeps others from a place no longer than this.
    pub head: Duration,
    /// Bytes of a request's head, and of the connection's buffer.
    pub buffer: usize,
    /// How long a response that runs may go on once the stage stops.
    pub drain: Duration,
}

/// Accepts connections until the stage stops, so many at a time; each is served by a task of the stage with this name.
///
/// # Cancel safety
/// Dropped, it accepts no more; connections go on.
pub async fn accept<F>(
    listener: TcpListener,
    places: usize,
    (stage, task): (&Shutdown, &'static str),
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(places));
    loop {
        // One place is taken before a client is accepted: who finds none waits in the system's backlog.
        let accepted = tokio::select! {
            () = stage.requested() => return,
            accepted = async { (Arc::clone(&places).acquire_owned().await, listener.accept().await) } => accepted,
        };
        match accepted {
            (Ok(place), Ok((stream, peer))) => {
                let connection = serve(stream, peer);
                stage.spawn(task, async move {
                    connection.await;
                    drop(place);
                });
            }
            (_, Err(error)) => {
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
            (Err(_), _) => return,
        }
    }
}

/// Answers the requests of one connection, until it ends or the stage stops.
///
/// # Cancel safety
/// Dropped, it closes the connection, also in the middle of a response.
pub async fn serve<S, F, B>(stream: S, bounds: Bounds, stage: &Shutdown, answer: impl Fn(Request<Incoming>) -> F)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Response<B>>,
    B: Body + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let service = service_fn(|request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(bounds.buffer)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = stage.requested() => {
            serving.as_mut().graceful_shutdown();
            match timeout(bounds.drain, serving).await {
                Ok(ended) => ended,
                Err(_) => return debug!("connection closed before its response ended"),
            }
        }
    };
    if let Err(error) = ended {
        debug!(error = &error as &dyn std::error::Error, "connection ended early");
    }
}

/// Marks an answer as meant for who asked alone: nobody keeps it, changes it, or tells others of its address.
pub fn keep_private(headers: &mut HeaderMap) {
    let fixed = [
        (CACHE_CONTROL, "private, no-store, no-transform"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
