//! The public address: accepts connections, with TLS or without, and bounds how many there are and how long they are silent.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::App;
use crate::http1::{self, Bounds};
use crate::patience::Impatient;
use crate::shutdown::Shutdown;

/// The TLS settings of connections that begin now; exchanged as a whole while this runs.
pub type Tls = Arc<ArcSwap<ServerConfig>>;

/// Time for a handshake, and for a request's head at the most.
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
    let places = app.options.limits.connections;
    http1::accept(listener, places, (&shutdown, "gateway connection"), |stream, peer| {
        accept(stream, peer.ip(), tls.clone(), Arc::clone(&app), shutdown.clone())
    })
    .await;
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
    let bounds = Bounds { head: HEAD_LIMIT.min(limits.idle), buffer: BUFFER, drain: limits.drain };
    http1::serve(stream, bounds, &stage, |request| {
        let app = Arc::clone(&app);
        async move { app.respond(request, peer).await }
    })
    .await;
}
