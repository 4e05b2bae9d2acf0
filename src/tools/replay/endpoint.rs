//! An OTLP endpoint, over gRPC or HTTP: one request at a time, over a connection that is kept.

mod answer;
mod connection;
mod grpc;
mod http1;
mod target;

use bytes::Bytes;
use http::HeaderMap;

use crate::shutdown::Shutdown;
use crate::tools::exit::ExitCode;
use connection::{Connector, NoCertificates};

pub(super) use answer::{ATTEMPT_LIMIT, Answer};
pub use target::{Protocol, Target};

/// Takes export requests.
pub(super) trait Endpoint {
    /// Sends one request and returns what was said to it; failures of the connection are an answer, too.
    async fn export(&mut self, body: Bytes) -> Answer;
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
