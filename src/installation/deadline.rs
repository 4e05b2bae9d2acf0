//! A limit on how long the API server may think about a request.
//!
//! Without it, one connection that goes silent would hold a visit, or the first list of a
//! watch, for as long as the system keeps the socket. The limit ends with the answer's head, so
//! that a watch may last.

use std::time::Duration;

use kube::Client;
use kube::client::Body;
use tower::BoxError;

/// How long the head of an answer may take: the API server itself gives up on a request after 60 s.
const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// Returns a client whose requests all have the limit.
///
/// Must be called within the runtime, which runs the queue in front of the connections.
pub fn limited(client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        async move {
            match tokio::time::timeout(HEAD_LIMIT, client.send(request)).await {
                Ok(answer) => answer.map_err(BoxError::from),
                Err(elapsed) => Err(BoxError::from(elapsed)),
            }
        }
    });
    Client::new(service, namespace)
}
