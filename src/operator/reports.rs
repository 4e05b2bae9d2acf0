//! What the collector pods tell: their reports over HTTP, each request with a grant.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, Either, select};
use http::header::{AUTHORIZATION, HOST};
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::api::grant::{Grant, GrantKey};
use crate::api::report::CollectorReport;
use crate::clock::Clock;
use crate::ids::CaptureId;
use crate::installation::collector_url;
use crate::telemetry::chain;

/// How long a pod may take to accept a connection: one that is there does within milliseconds.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// How long a report may take altogether.
const WHOLE_LIMIT: Duration = Duration::from_secs(5);

/// How long a report may be, in bytes: one has about 2 KiB.
const BODY_LIMIT: usize = 64 << 10;

/// How long a grant is good for, in seconds: the request follows at once, clocks differ a little.
const GRANT_SECONDS: u64 = 60;

/// How a grant stands in the `Authorization` header.
const GRANT_SCHEME: &str = "Bearer";

/// Where a report is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The capture.
    pub id: CaptureId,
    /// Its UID.
    pub uid: String,
    /// The pod's name.
    pub pod: String,
    /// Its ordinal.
    pub ordinal: i32,
    /// The headless Service of the pods.
    pub service: String,
}

/// Who knows what collector pods tell.
pub trait Reports: Send + Sync {
    /// Asks a pod; for people, why it did not answer.
    fn ask(&self, question: Question) -> BoxFuture<'static, Result<CollectorReport, String>>;
}

/// Asks the pods over HTTP.
pub struct HttpReports {
    key: Arc<GrantKey>,
    clock: Arc<dyn Clock>,
    /// The address, with places for pod, service, namespace and ordinal.
    template: String,
}

/// Why there is no report.
#[derive(Debug, Error)]
enum ReportError {
    #[error("`{0}` is no address of the form `http://host:port`")]
    Address(String),
    #[error("no connection to {0} within {limit} seconds", limit = CONNECT_LIMIT.as_secs())]
    ConnectTime(String),
    #[error("no connection to {0}: {1}")]
    Connect(String, std::io::Error),
    #[error("the request failed: {0}")]
    Exchange(String),
    #[error("no answer within {} seconds", WHOLE_LIMIT.as_secs())]
    Time,
    #[error("the answer was {0}")]
    Status(http::StatusCode),
    #[error("the answer is no report: {0}")]
    Form(serde_json::Error),
}

impl HttpReports {
    /// Makes a client that signs with `key`.
    pub fn new(key: Arc<GrantKey>, clock: Arc<dyn Clock>, template: String) -> Self {
        Self { key, clock, template }
    }
}

impl Reports for HttpReports {
    fn ask(&self, question: Question) -> BoxFuture<'static, Result<CollectorReport, String>> {
        let pod = (question.pod.as_str(), question.service.as_str());
        let address = collector_url::fill(&self.template, &question.id, pod, question.ordinal);
        let path = format!("/api/v1/captures/{}/{}", question.id.namespace(), question.id.name());
        let grant = self.key.sign(&Grant {
            uid: question.uid,
            method: "GET".to_owned(),
            path: path.clone(),
            expires: self.clock.now().as_unix_nanos() / 1_000_000_000 + GRANT_SECONDS,
        });
        Box::pin(async move {
            let read = timeout(WHOLE_LIMIT, read(address, &path, &grant)).await;
            read.unwrap_or(Err(ReportError::Time)).map_err(|error| error.to_string())
        })
    }
}

/// Asks once, on a connection of its own: pods come and go, and half a minute lies between two questions.
async fn read(address: String, path: &str, grant: &str) -> Result<CollectorReport, ReportError> {
    let uri: Uri = address.parse().map_err(|_| ReportError::Address(address.clone()))?;
    let authority = match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(authority)) => authority.clone(),
        _ => return Err(ReportError::Address(address)),
    };
    let target = (authority.host().trim_matches(['[', ']']).to_owned(), authority.port_u16().unwrap_or(80));
    let stream = timeout(CONNECT_LIMIT, TcpStream::connect(target))
        .await
        .map_err(|_| ReportError::ConnectTime(authority.to_string()))?
        .map_err(|error| ReportError::Connect(authority.to_string(), error))?;
    let request = Request::get(path)
        .header(HOST, authority.as_str())
        .header(AUTHORIZATION, format!("{GRANT_SCHEME} {grant}"))
        .body(Empty::<Bytes>::new())
        .map_err(|error| ReportError::Exchange(error.to_string()))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_LIMIT).collect().await;
        let body = body.map_err(|error| ReportError::Exchange(error.to_string()))?.to_bytes();
        if head.status != http::StatusCode::OK {
            return Err(ReportError::Status(head.status));
        }
        serde_json::from_slice(&body).map_err(ReportError::Form)
    };
    // The connection is driven beside the exchange, so that nothing of it outlives the answer.
    match select(Box::pin(exchange), Box::pin(connection)).await {
        Either::Left((report, _)) => report,
        Either::Right((ended, exchange)) => match exchange.await {
            Ok(report) => Ok(report),
            Err(error) => Err(ended.err().map_or(error, |cause| failed(&cause))),
        },
    }
}

/// Says what an HTTP error says, with its causes.
fn failed(error: &hyper::Error) -> ReportError {
    ReportError::Exchange(chain(error))
}
