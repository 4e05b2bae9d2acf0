//! Asking keepers: a connection for each request, with a grant for that very request.
//!
//! Nothing is pooled: a request is a download as a rule, and pods come and go.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kube::Client;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use crate::api::grant::{Grant, GrantKey};
use crate::api::names::ChildNames;
use crate::clock::Clock;
use crate::ids::CaptureId;
use crate::installation::{collector_url, keys};
use crate::shutdown::Shutdown;
use crate::telemetry::chain;

/// How long a pod may take to accept a connection: one that is there does within milliseconds.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// How long a keeper may think before it answers: it looks through the directory of chunks first.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// How long a grant is good for, in seconds: the request follows at once, clocks differ a little.
const GRANT_SECONDS: u64 = 60;

/// Bytes of a connection's buffer: what a stream costs, whatever its size.
const BUFFER: usize = 16 << 10;

/// How often the key is read anew at most, where keepers refuse it.
const READ_KEY_AGAIN: Duration = Duration::from_secs(10);

/// A request for a keeper.
pub(super) struct Question<'a> {
    pub(super) capture: &'a CaptureId,
    pub(super) uid: &'a str,
    pub(super) method: &'a Method,
    pub(super) path: String,
    pub(super) query: String,
    /// What is passed on of the client's headers.
    pub(super) headers: HeaderMap,
}

/// Why a keeper did not answer. Another try may help.
#[derive(Debug, Error)]
pub(super) enum KeeperDown {
    #[error("`{0}` is no address of the form `http://host:port`")]
    Address(String),
    #[error("no connection within {} seconds", CONNECT_LIMIT.as_secs())]
    ConnectTime,
    #[error("no connection")]
    Connect(#[source] std::io::Error),
    #[error("no answer within {} seconds", ANSWER_LIMIT.as_secs())]
    AnswerTime,
    #[error("the exchange failed")]
    Exchange(#[source] hyper::Error),
    #[error("the request cannot be written")]
    Request(#[source] http::Error),
}

/// The way to keepers.
pub(super) struct Keepers {
    client: Client,
    namespace: String,
    template: String,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    key: ArcSwap<GrantKey>,
    /// When the key was read last.
    read_at: Mutex<Duration>,
}

impl Keepers {
    /// Asks with `key`, which lies in `namespace`; pods are reached by `template`.
    pub(super) fn new(
        (client, namespace): (Client, String),
        key: GrantKey,
        template: String,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> Self {
        let read_at = Mutex::new(clock.monotonic());
        Self { client, namespace, template, clock, shutdown, key: ArcSwap::from_pointee(key), read_at }
    }

    /// Asks; the guard ends the connection when it is dropped.
    ///
    /// # Errors
    /// [`KeeperDown`]; another try may help.
    ///
    /// # Cancel safety
    /// Dropped, it closes the connection.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<(Response<Incoming>, DropGuard), KeeperDown> {
        let key = self.key.load_full();
        let answer = self.ask_once(question, &key).await?;
        // Somebody may have made the installation's key anew since it was read.
        if answer.0.status() == StatusCode::UNAUTHORIZED && self.has_newer_key(&key).await {
            return self.ask_once(question, &self.key.load_full()).await;
        }
        Ok(answer)
    }

    async fn ask_once(
        &self,
        question: &Question<'_>,
        key: &GrantKey,
    ) -> Result<(Response<Incoming>, DropGuard), KeeperDown> {
        let names = ChildNames::of(question.capture);
        let address = collector_url::fill(&self.template, question.capture, (&names.pod(0), &names.collector()), 0);
        let uri: Uri = address.parse().map_err(|_| KeeperDown::Address(address.clone()))?;
        let authority = match (uri.scheme_str(), uri.authority()) {
            (Some("http"), Some(authority)) => authority.clone(),
            _ => return Err(KeeperDown::Address(address)),
        };
        let target = (authority.host().trim_matches(['[', ']']).to_owned(), authority.port_u16().unwrap_or(80));
        let connected = timeout(CONNECT_LIMIT, TcpStream::connect(target)).await;
        let stream = connected.map_err(|_| KeeperDown::ConnectTime)?.map_err(KeeperDown::Connect)?;
        let handshake = hyper::client::conn::http1::Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(KeeperDown::Exchange)?;
        let closed = CancellationToken::new();
        let guard = closed.clone().drop_guard();
        self.shutdown.spawn("keeper connection", async move {
            tokio::select! {
                // Its failure reaches who reads the body.
                _ = connection => {}
                () = closed.cancelled() => {}
            }
        });
        let sent = sender.send_request(self.request(question, authority.as_str(), key)?);
        let response = timeout(ANSWER_LIMIT, sent).await.map_err(|_| KeeperDown::AnswerTime)?;
        Ok((response.map_err(KeeperDown::Exchange)?, guard))
    }

    fn request(
        &self,
        question: &Question<'_>,
        authority: &str,
        key: &GrantKey,
    ) -> Result<Request<Empty<Bytes>>, KeeperDown> {
        let Question { uid, method, path, query, headers, .. } = question;
        let grant = key.sign(&Grant {
            uid: (*uid).to_owned(),
            // A grant to read stands for asking about it, too.
            method: if **method == Method::HEAD { Method::GET.to_string() } else { method.to_string() },
            path: path.clone(),
            expires: self.clock.now().as_unix_nanos() / 1_000_000_000 + GRANT_SECONDS,
        });
        let target = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
        let request = Request::builder()
            .method((*method).clone())
            .uri(target)
            .header(HOST, authority)
            .header(AUTHORIZATION, format!("Bearer {grant}"))
            .body(Empty::new());
        let mut request = request.map_err(KeeperDown::Request)?;
        request.headers_mut().extend(headers.clone());
        Ok(request)
    }

    /// Tells whether there is another key than the one that was refused, and reads the installation's anew where it is time.
    async fn has_newer_key(&self, refused: &Arc<GrantKey>) -> bool {
        let mut read_at = self.read_at.lock().await;
        // Whoever had the lock before may have read it.
        if !Arc::ptr_eq(refused, &self.key.load()) {
            return true;
        }
        let now = self.clock.monotonic();
        if now.saturating_sub(*read_at) < READ_KEY_AGAIN {
            return false;
        }
        *read_at = now;
        match keys::obtain(&self.client, &self.namespace).await {
            Ok(key) if key.public() == refused.public() => false,
            Ok(key) => {
                self.key.store(Arc::new(key));
                true
            }
            Err(error) => {
                warn!(error = chain(&error), "cannot read the key of this installation anew");
                false
            }
        }
    }
}
