//! The public address: accepts connections, with TLS or without, and bounds how many there are and how long they are silent.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::App;
use crate::patience::Impatient;
use crate::shutdown::Shutdown;

/// The TLS settings of connections that begin now; exchanged as a whole while this runs.
pub type Tls = Arc<ArcSwap<ServerConfig>>;

/// How long accepting pauses after it failed, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Time for a handshake, and for a request's head: a silent peer keeps others from a place no longer than this.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// Bytes of a request's head and of a connection's buffer: a token of 16 KiB fits.
const BUFFER: usize = 32 << 10;

/// Serves until the stage stops; responses that run then may go on for a while.
///
/// HTTP/1.1. Connections that began keep the certificate that they began with.
///
/// # Cancel safety
/// Dropped, it accepts no more; connections go on until the stage stops.
pub(super) async fn serve(listener: TcpListener, tls: Option<Tls>, app: Arc<App>, shutdown: Shutdown) {
    let connections = Arc::new(Semaphore::new(app.options.limits.connections));
    loop {
        // One place is taken before a client is accepted: who finds none waits in the system's backlog.
        let accepted = tokio::select! {
            () = shutdown.requested() => return,
            accepted = async { (Arc::clone(&connections).acquire_owned().await, listener.accept().await) } => accepted,
        };
        match accepted {
            (Ok(place), Ok((stream, peer))) => {
                let (app, tls, stage) = (Arc::clone(&app), tls.clone(), shutdown.clone());
                shutdown.spawn("gateway connection", async move {
                    accept(stream, peer.ip(), tls, app, stage).await;
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
async fn accept(stream: TcpStream, peer: IpAddr, tls: Option<Tls>, app: Arc<App>, stage: Shutdown) {
    // Without it the last piece of a download would wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let stream = Impatient::new(stream, app.options.limits.idle);
    let Some(tls) = tls else { return serve_one(stream, peer, app, stage).await };
    let handshake = TlsAcceptor::from(tls.load_full()).accept(stream);
    match timeout(HEAD_LIMIT, handshake).await {
        Ok(Ok(stream)) => serve_one(stream, peer, app, stage).await,
        Ok(Err(error)) => debug!(%error, "no TLS connection came about"),
        Err(_) => debug!("a TLS handshake took too long"),
    }
}

async fn serve_one<S>(stream: S, peer: IpAddr, app: Arc<App>, stage: Shutdown)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = app.options.limits;
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(app.respond(request, peer).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT.min(limits.idle))
        .max_buf_size(BUFFER)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = stage.requested() => {
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
