//! The web address: accepts connections and bounds how many there are and how long they are silent.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::WebContext;
use super::api::App;
use crate::patience::Impatient;
use crate::shutdown::Shutdown;

/// How long accepting pauses after it failed, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Time for a request's head, also between two requests: a silent peer keeps others from a place no longer than this.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// Bytes of a request's head: a token of 4 KiB may stand in its path and in two headers.
const HEAD_BYTES: usize = 64 << 10;

/// Serves the HTTP API on a listener until the stage stops.
///
/// HTTP/1.1 without TLS. Responses that run then may go on for [`super::WebLimits::drain`];
/// downloads that are cut can be resumed.
///
/// # Cancel safety
/// Dropped, it accepts no more; connections go on until the stage stops.
pub async fn serve(listener: TcpListener, context: WebContext, shutdown: Shutdown) {
    let connections = Arc::new(Semaphore::new(context.limits.connections));
    let app = Arc::new(App::new(context, shutdown.clone()));
    loop {
        // One place is taken before a client is accepted: who finds none waits in the system's backlog.
        let accepted = tokio::select! {
            () = shutdown.requested() => return,
            accepted = async { (Arc::clone(&connections).acquire_owned().await, listener.accept().await) } => accepted,
        };
        match accepted {
            (Ok(place), Ok((stream, _))) => {
                let app = Arc::clone(&app);
                shutdown.spawn("web connection", async move {
                    connection(stream, app).await;
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

/// Serves one connection to its end.
async fn connection(stream: TcpStream, app: Arc<App>) {
    let limits = app.context.limits;
    let shutdown = app.shutdown.clone();
    // Without it the last piece of a download would wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Impatient::new(stream, limits.idle));
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(app.respond(request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT.min(limits.idle))
        .max_buf_size(HEAD_BYTES)
        .half_close(true)
        .serve_connection(io, service);
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = shutdown.requested() => {
            serving.as_mut().graceful_shutdown();
            match timeout(limits.drain, serving).await {
                Ok(ended) => ended,
                Err(_) => return debug!("connection closed before its response ended"),
            }
        }
    };
    if let Err(error) = ended {
        debug!(error = &error as &dyn std::error::Error, "connection ended early");
    }
}
