//! The web address: accepts connections and bounds how many there are and how long they are silent.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tracing::{debug, warn};

use super::WebContext;
use super::api::App;
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

/// A stream whose writes fail once the peer has taken nothing for a while.
struct Impatient<S> {
    stream: S,
    limit: Duration,
    /// Runs while a write waits.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, deadline: None }
    }

    /// Passes a write's result on; one that waits for longer than the limit has failed.
    fn watch<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let limit = self.limit;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_let_go() {
        let (near, far) = tokio::io::duplex(16);
        let mut stream = Impatient::new(near, Duration::from_mins(1));
        let error = stream.write_all(&[1; 17]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(far);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_waited_for() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut stream = Impatient::new(near, Duration::from_mins(1));
        let slow = async {
            for _ in 0..10 {
                sleep(Duration::from_secs(59)).await;
                tokio::io::AsyncReadExt::read_exact(&mut far, &mut [0; 16]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(stream.write_all(&[1; 160]), slow);
        written.unwrap();
    }
}
