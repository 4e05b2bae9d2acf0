//! Passing on: which headers go to a keeper, and what becomes of its answer.

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH,
    IF_NONE_MATCH, IF_RANGE, LINK, RANGE, RETRY_AFTER,
};
use http::response::Parts;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;
use tokio_util::sync::DropGuard;
use tracing::warn;

use super::App;
use super::audit::Access;
use super::body::{GatewayBody, Stream};
use super::keeper::Question;
use super::places::Place;
use super::problem::Problem;
use crate::telemetry::chain;

/// What a keeper is told of a client's headers.
const ASKED: [HeaderName; 4] = [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH];

/// What a client is told of a keeper's headers; all others are of that connection, or nobody's business.
const ANSWERED: [HeaderName; 10] = [
    ACCEPT_RANGES,
    CONTENT_DISPOSITION,
    CONTENT_LENGTH,
    CONTENT_LOCATION,
    CONTENT_RANGE,
    CONTENT_TYPE,
    ETAG,
    LINK,
    RETRY_AFTER,
    http::header::ALLOW,
];

/// How long a keeper's problem document may be, in bytes.
const PROBLEM_LIMIT: usize = 64 << 10;

/// Returns what is passed on of a client's headers: each that stands there once.
pub(super) fn asked(headers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::new();
    for name in ASKED {
        let mut values = headers.get_all(&name).iter();
        if let (Some(value), None) = (values.next(), values.next()) {
            passed.insert(name, value.clone());
        }
    }
    passed
}

impl App {
    /// Asks a keeper and passes its answer on.
    ///
    /// # Errors
    /// A [`Problem`] where there is no keeper, or none that takes our grants.
    pub(super) async fn pass(
        &self,
        question: Question<'_>,
        place: Place,
        access: &mut Access,
    ) -> Result<Response<GatewayBody>, Problem> {
        let (head, from) = self.ask(&question).await?;
        if !head.status.is_success() {
            return self.refused(head, from).await;
        }
        if let Some(range) = head.headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok()) {
            range.trim_start_matches("bytes ").clone_into(&mut access.range);
        }
        if *question.method == Method::HEAD || head.status == StatusCode::NO_CONTENT {
            return Ok(answer(&head, GatewayBody::empty()));
        }
        let (expected, idle) = (from.0.size_hint().exact(), self.options.limits.idle);
        let stream = Stream::new(from, expected, idle, place, self.metrics.clone());
        Ok(answer(&head, GatewayBody::Stream(Box::new(stream))))
    }

    /// Asks a keeper.
    ///
    /// # Errors
    /// A [`Problem`] where there is none.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<(Parts, (Incoming, DropGuard)), Problem> {
        let (response, connection) = self.keepers.ask(question).await.map_err(|error| {
            warn!(capture = %question.capture, error = chain(&error), "the keeper does not answer");
            let detail = "the pod that keeps this capture's chunks does not answer: try again in a few seconds";
            Problem::unavailable("KeeperUnavailable", detail)
        })?;
        let (head, body) = response.into_parts();
        Ok((head, (body, connection)))
    }

    /// Reads why a keeper refuses, and passes it on.
    ///
    /// # Errors
    /// A [`Problem`] where what is wrong is between it and the gateway, and so not the client's fault.
    pub(super) async fn refused(
        &self,
        head: Parts,
        (body, _connection): (Incoming, DropGuard),
    ) -> Result<Response<GatewayBody>, Problem> {
        if head.status == StatusCode::NOT_MODIFIED {
            return Ok(answer(&head, GatewayBody::empty()));
        }
        let read = timeout(self.options.limits.idle, Limited::new(body, PROBLEM_LIMIT).collect()).await;
        let text = read.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let reason = reason(&text);
        let is_ours = match head.status {
            StatusCode::UNAUTHORIZED | StatusCode::MISDIRECTED_REQUEST => true,
            StatusCode::FORBIDDEN => reason.as_deref() != Some("DownloadsDisabled"),
            status => status.is_redirection() || reason.is_none(),
        };
        if is_ours {
            warn!(status = head.status.as_u16(), reason, "the keeper refuses the gateway");
            let detail =
                "the pod that keeps this capture's chunks does not take the gateway's request: try again later";
            return Err(Problem::unavailable("KeeperRefuses", detail));
        }
        Ok(answer(&head, GatewayBody::full(text)))
    }
}

/// Makes an answer of a keeper's head.
fn answer(head: &Parts, body: GatewayBody) -> Response<GatewayBody> {
    let mut answer = Response::new(body);
    *answer.status_mut() = head.status;
    for name in ANSWERED {
        if let Some(value) = head.headers.get(&name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

/// Returns the reason in a problem document.
fn reason(text: &Bytes) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(text).ok()?;
    document.get("reason")?.as_str().map(ToOwned::to_owned)
}
