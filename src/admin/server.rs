//! The admin port: one request for each connection, a few connections at a time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tracing::debug;

use super::Admin;
use crate::http1;
use crate::shutdown::Shutdown;

/// Connections at a time: a kubelet and a few scrapers. One more waits in the system's backlog.
const MAX_CONNECTIONS: usize = 32;

/// Time for a request's head.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// Time for a whole connection: the default timeout of a scrape, so a peer that takes nothing holds a place no longer.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);

/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 << 10;

/// Serves probes and metrics on a listener until the stage stops; each request is answered by who stands in `admin` then.
///
/// HTTP/1.1 without TLS, one request for each connection.
///
/// # Cancel safety
/// Dropped, it accepts no more; connections go on to their end.
pub async fn serve(listener: TcpListener, admin: Arc<ArcSwap<Admin>>, shutdown: Shutdown) {
    http1::accept(listener, MAX_CONNECTIONS, (&shutdown, "admin connection"), |stream, _| {
        connection(stream, admin.load_full())
    })
    .await;
}

/// Answers one request.
async fn connection(stream: TcpStream, admin: Arc<Admin>) {
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let response = admin.respond(request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(response.map(|text| Full::new(Bytes::from(text)))) }
    });
    let serving = Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_LIMIT, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "admin connection ended early"),
        Err(_) => debug!("admin connection took too long"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Returns the first line and the last of the answer to a request.
    async fn ask(address: std::net::SocketAddr, line: &str) -> (String, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{line} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (answer.lines().next().unwrap().to_owned(), answer.lines().last().unwrap().to_owned())
    }

    #[tokio::test]
    async fn whoever_speaks_now_answers_also_while_others_are_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stage, admin) = (Shutdown::new(), Arc::new(ArcSwap::from_pointee(Admin::starting())));
        stage.spawn("admin", serve(listener, Arc::clone(&admin), stage.clone()));
        let mut silent = Vec::new();
        for _ in 0..MAX_CONNECTIONS - 1 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let unavailable = ("HTTP/1.1 503 Service Unavailable".to_owned(), "the process is starting".to_owned());
        assert_eq!(ask(address, "GET /readyz").await, unavailable);
        admin.store(Arc::new(Admin { ready: Arc::new(|| Ok(())), ..Admin::starting() }));
        assert_eq!(ask(address, "GET /readyz").await, ("HTTP/1.1 200 OK".to_owned(), "ok".to_owned()));
        drop(silent);
        assert!(stage.stop("admin", CONNECTION_LIMIT).await);
    }
}
