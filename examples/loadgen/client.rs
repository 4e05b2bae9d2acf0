//! Connections that carry prepared bodies: OTLP/gRPC over HTTP/2, framed by hand, and OTLP/HTTP over HTTP/1.1.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// The path of the trace service's only call.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What the server said to a request.
pub(crate) enum Answer {
    /// It is durable.
    Acknowledged,
    /// It may be sent again.
    Retry,
    /// It must not be sent again.
    Refused,
}

/// One connection; clones share it.
#[derive(Clone)]
pub(crate) enum Connection {
    /// HTTP/2 with requests in parallel.
    Grpc {
        /// Where requests are handed in.
        sender: http2::SendRequest<Full<Bytes>>,
        /// Scheme and authority, in front of the path.
        base: Arc<str>,
        /// The value of `grpc-encoding`, where the bodies are compressed.
        encoding: Option<&'static str>,
    },
    /// HTTP/1.1, one request at a time.
    Http {
        /// Where requests are handed in.
        sender: Arc<Mutex<http1::SendRequest<Full<Bytes>>>>,
        /// The value of `host`.
        authority: Arc<str>,
    },
}

impl Connection {
    /// Connects for gRPC.
    pub(crate) async fn grpc(authority: &str, encoding: Option<&'static str>) -> anyhow::Result<Self> {
        let io = connect(authority).await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.context("no HTTP/2")?;
        drive(connection);
        Ok(Self::Grpc { sender, base: format!("http://{authority}").into(), encoding })
    }

    /// Connects for HTTP/1.1.
    pub(crate) async fn http(authority: &str) -> anyhow::Result<Self> {
        let io = connect(authority).await?;
        let (sender, connection) = http1::handshake(io).await.context("no HTTP/1.1")?;
        drive(connection);
        Ok(Self::Http { sender: Arc::new(Mutex::new(sender)), authority: authority.into() })
    }

    /// Sends one body and waits for the whole answer.
    pub(crate) async fn send(&mut self, body: Bytes) -> anyhow::Result<Answer> {
        match self {
            Self::Grpc { sender, base, encoding } => {
                let mut request = Request::post(format!("{base}{EXPORT}"))
                    .header("content-type", "application/grpc")
                    .header("te", "trailers");
                if let Some(encoding) = encoding {
                    request = request.header("grpc-encoding", *encoding);
                }
                sender.ready().await.context("the connection is gone")?;
                let response = sender.send_request(request.body(Full::new(body))?).await.context("no answer")?;
                grpc_answer(response).await
            }
            Self::Http { sender, authority } => {
                let request = Request::post("/v1/traces")
                    .header("host", authority.as_ref())
                    .header("content-type", "application/json")
                    .body(Full::new(body))?;
                let mut sender = sender.lock().await;
                sender.ready().await.context("the connection is gone")?;
                let response = sender.send_request(request).await.context("no answer")?;
                let status = response.status();
                response.into_body().collect().await.context("half an answer")?;
                Ok(http_answer(status))
            }
        }
    }
}

/// Reads `grpc-status` from the trailers, or from the headers where the answer has only those.
async fn grpc_answer(response: Response<Incoming>) -> anyhow::Result<Answer> {
    let (head, body) = response.into_parts();
    let collected = body.collect().await.context("half an answer")?;
    let status = |headers: &HeaderMap| headers.get("grpc-status").and_then(|value| value.to_str().ok()?.parse().ok());
    match collected.trailers().and_then(status).or_else(|| status(&head.headers)) {
        Some(0_u8) => Ok(Answer::Acknowledged),
        // RESOURCE_EXHAUSTED and UNAVAILABLE.
        Some(8 | 14) => Ok(Answer::Retry),
        Some(_) => Ok(Answer::Refused),
        None => bail!("an answer without `grpc-status`: {}", head.status),
    }
}

fn http_answer(status: StatusCode) -> Answer {
    match status.as_u16() {
        200 => Answer::Acknowledged,
        429 | 502..=504 => Answer::Retry,
        _ => Answer::Refused,
    }
}

async fn connect(authority: &str) -> anyhow::Result<TokioIo<TcpStream>> {
    let stream = TcpStream::connect(authority).await.with_context(|| format!("cannot connect to {authority}"))?;
    // Without it the kernel holds back the end of a small request until the last answer is acknowledged.
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

#[expect(clippy::disallowed_methods, reason = "ends with the connection, and with this program")]
fn drive(connection: impl Future<Output = Result<(), hyper::Error>> + Send + 'static) {
    tokio::spawn(async move {
        // A fault reaches the senders too, through their requests.
        let _ = connection.await;
    });
}
