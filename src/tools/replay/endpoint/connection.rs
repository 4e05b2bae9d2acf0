//! One connection at a time: made when it is needed, kept, made anew when it is gone.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::{http1, http2};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use thiserror::Error;
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use super::answer::MAX_ANSWER;
use super::target::Protocol;
use crate::shutdown::Shutdown;
use crate::tools::exit::{ExitCode, Failure};

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;
type Boxed = Box<dyn Error + Send + Sync>;

/// Why there is no client.
#[derive(Debug, Error)]
#[error("cannot read the system's certificates, which https needs")]
pub(in super::super) struct NoCertificates(#[source] io::Error);

impl From<NoCertificates> for Failure {
    fn from(error: NoCertificates) -> Self {
        Self::new(ExitCode::Failed, error).with_hint("install them, or name a file with SSL_CERT_FILE")
    }
}

/// Why there is no answer; trying again may help.
#[derive(Debug, Error)]
pub(super) enum SendError {
    /// There is no connection.
    #[error("cannot connect to {address}")]
    Connect {
        address: String,
        #[source]
        source: Boxed,
    },
    /// The other side does not speak the protocol.
    #[error("cannot speak {protocol} with {address}")]
    Handshake {
        protocol: &'static str,
        address: String,
        #[source]
        source: hyper::Error,
    },
    /// The connection broke before an answer.
    #[error("no answer to a request")]
    Request(#[source] hyper::Error),
    /// The connection broke within the answer, or the answer is too long.
    #[error("cannot read the answer to a request")]
    Answer(#[source] Boxed),
}

/// A whole answer.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) trailers: HeaderMap,
}

enum Dial {
    Plain(HttpConnector),
    Tls(Box<HttpsConnector<HttpConnector>>),
}

enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// Makes connections to one address, and sends over them.
pub(super) struct Connector {
    address: Uri,
    protocol: Protocol,
    dial: Dial,
    tasks: Shutdown,
    connection: Option<Connection>,
}

impl Connector {
    /// Makes a connector without a connection.
    pub(super) fn new(address: Uri, protocol: Protocol, tasks: Shutdown) -> Result<Self, NoCertificates> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // Without it the kernel holds back the end of a small request until the last answer is acknowledged.
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_LIMIT));
        let dial = if address.scheme_str() == Some("https") {
            let provider = rustls::crypto::ring::default_provider();
            let roots =
                HttpsConnectorBuilder::new().with_provider_and_native_roots(provider).map_err(NoCertificates)?;
            // The protocol is agreed upon in the handshake.
            let https = match protocol {
                Protocol::Grpc => roots.https_only().enable_http2().wrap_connector(tcp),
                Protocol::Http => roots.https_only().enable_http1().wrap_connector(tcp),
            };
            Dial::Tls(Box::new(https))
        } else {
            Dial::Plain(tcp)
        };
        Ok(Self { address, protocol, dial, tasks, connection: None })
    }

    /// Sends a request and waits for the whole answer.
    ///
    /// # Cancel safety
    /// Dropped, it is not known whether the request arrived; the next one takes a new connection.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response, SendError> {
        let mut connection = self.ready().await?;
        let sent = match &mut connection {
            Connection::Http1(sender) => sender.send_request(request).await,
            Connection::Http2(sender) => sender.send_request(request).await,
        };
        let (head, body) = sent.map_err(SendError::Request)?.into_parts();
        let collected = Limited::new(body, MAX_ANSWER).collect().await.map_err(SendError::Answer)?;
        self.connection = Some(connection);
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Ok(Response { status: head.status, headers: head.headers, body: collected.to_bytes(), trailers })
    }

    /// Returns the connection that is there if it still takes requests, else a new one.
    async fn ready(&mut self) -> Result<Connection, SendError> {
        if let Some(mut connection) = self.connection.take() {
            let is_ready = match &mut connection {
                Connection::Http1(sender) => sender.ready().await.is_ok(),
                Connection::Http2(sender) => sender.ready().await.is_ok(),
            };
            if is_ready {
                return Ok(connection);
            }
        }
        let stream = self.dial().await?;
        match self.protocol {
            Protocol::Grpc => {
                let handshake = http2::handshake(TokioExecutor::new(), stream).await;
                let (sender, driver) = handshake.map_err(|source| self.mute("HTTP/2", source))?;
                self.drive(driver);
                Ok(Connection::Http2(sender))
            }
            Protocol::Http => {
                let (sender, driver) =
                    http1::handshake(stream).await.map_err(|source| self.mute("HTTP/1.1", source))?;
                self.drive(driver);
                Ok(Connection::Http1(sender))
            }
        }
    }

    async fn dial(&self) -> Result<Stream, SendError> {
        let failed = |source: Boxed| SendError::Connect { address: self.address(), source };
        match &self.dial {
            Dial::Plain(tcp) => {
                let stream = tcp.clone().oneshot(self.address.clone()).await.map_err(|error| failed(error.into()))?;
                Ok(MaybeHttpsStream::Http(stream))
            }
            Dial::Tls(https) => https.as_ref().clone().oneshot(self.address.clone()).await.map_err(failed),
        }
    }

    fn drive(&self, driver: impl Future<Output = Result<(), hyper::Error>> + Send + 'static) {
        self.tasks.spawn("replay connection", async move {
            // A fault reaches the sender too, through its request.
            let _ = driver.await;
        });
    }

    fn mute(&self, protocol: &'static str, source: hyper::Error) -> SendError {
        SendError::Handshake { protocol, address: self.address(), source }
    }

    fn address(&self) -> String {
        self.address.authority().map(ToString::to_string).unwrap_or_default()
    }
}
