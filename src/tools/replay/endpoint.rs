//! An OTLP endpoint, over gRPC or HTTP: one request at a time, over a connection that is kept.

mod connection;
mod grpc;
mod http1;
mod target;

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use thiserror::Error;

use super::args::Protocol;
use crate::shutdown::Shutdown;
use crate::tools::exit::{ExitCode, Failure};
use connection::Connector;
pub use target::Target;

/// The longest answer that is read; OTLP has answers of at most 4 MiB.
const MAX_ANSWER: usize = 4 << 20;

/// The longest text of an endpoint that is shown.
const MAX_TEXT: usize = 300;

/// What an endpoint said to a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It took the batch, but for some spans.
    Accepted {
        /// How many spans it refused.
        rejected: u64,
        /// Why, or a warning; mostly empty.
        message: String,
    },
    /// It may take the batch later.
    Retry {
        /// When it asks to come back; `None` leaves that to us.
        after: Option<Duration>,
        /// What is the matter.
        what: String,
    },
    /// It will never take this batch.
    Refused {
        /// Why.
        what: String,
    },
    /// It will take no batch at all.
    Unusable {
        /// How the command ends.
        code: ExitCode,
        /// Why.
        what: String,
    },
}

/// Takes export requests.
pub(super) trait Endpoint {
    /// Sends one request and returns what was said to it; failures of the connection are an answer, too.
    async fn export(&mut self, body: Bytes) -> Answer;
}

/// Why there is no client.
#[derive(Debug, Error)]
#[error("cannot read the system's certificates, which https needs")]
pub(super) struct NoCertificates(#[source] std::io::Error);

impl From<NoCertificates> for Failure {
    fn from(error: NoCertificates) -> Self {
        Self::new(ExitCode::Failed, error).with_hint("install them, or name a file with SSL_CERT_FILE")
    }
}

/// An endpoint somewhere else.
pub(super) struct Client {
    target: Target,
    protocol: Protocol,
    headers: HeaderMap,
    connector: Connector,
}

impl Client {
    /// Makes a client; it connects with the first request.
    pub(super) fn new(
        target: &Target,
        protocol: Protocol,
        headers: HeaderMap,
        tasks: Shutdown,
    ) -> Result<Self, NoCertificates> {
        let connector = Connector::new(target.address(protocol), protocol, tasks)?;
        Ok(Self { target: target.clone(), protocol, headers, connector })
    }
}

impl Endpoint for Client {
    async fn export(&mut self, body: Bytes) -> Answer {
        let request = match self.protocol {
            Protocol::Grpc => grpc::request(&self.target, &self.headers, &body),
            Protocol::Http => http1::request(&self.target, &self.headers, body),
        };
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                return Answer::Unusable { code: ExitCode::Failed, what: format!("cannot make a request: {error}") };
            }
        };
        match self.connector.send(request).await {
            Ok(response) => match self.protocol {
                Protocol::Grpc => grpc::answer(&response),
                Protocol::Http => http1::answer(&response),
            },
            Err(error) => Answer::Retry { after: None, what: crate::telemetry::chain(&error) },
        }
    }
}

/// Cuts a text of an endpoint to what a person reads.
fn shown(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(MAX_TEXT) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
