//! Answers that say why there is none: problem documents (RFC 9457).

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::body::GatewayBody;
use crate::ids::CaptureId;

/// A problem on its way to become a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// Stable, `CamelCase`, for programs.
    pub(super) reason: &'static str,
    /// What failed, why, and what to do next.
    pub(super) detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        Self { status, reason, detail: detail.into(), headers: Vec::new() }
    }

    /// The one answer for every path that names nothing.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "nothing is found here: `GET /api/v1/captures` lists the captures")
    }

    /// The answer to who may ask for a capture that is not there.
    pub(super) fn no_capture(id: &CaptureId) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NoSuchCapture", format!("there is no capture {id}"))
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", detail)
    }

    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("this resource has {allow} only");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", detail)
            .with(ALLOW, HeaderValue::from_static(allow))
    }

    /// One line for who shows no token, or none that holds; the same whether or not there is such a capture.
    pub(super) fn unauthenticated(capture: Option<&CaptureId>) -> Self {
        let command = match capture {
            Some(id) => format!("kubectl tracecapture download {} -n {}", id.name(), id.namespace()),
            None => "kubectl tracecapture list".to_owned(),
        };
        let detail = format!("use `{command}`, or ask its owner for a link (`kubectl tracecapture link NAME`)");
        Self::new(StatusCode::UNAUTHORIZED, "Unauthenticated", detail)
            .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// Says that something is not there at present.
    pub(super) fn unavailable(reason: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason, detail).with(RETRY_AFTER, HeaderValue::from_static("5"))
    }

    /// Says that too much is asked for at a time.
    pub(super) fn too_many(reason: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, reason, detail).with(RETRY_AFTER, HeaderValue::from_static("5"))
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn into_response(self) -> Response<GatewayBody> {
        let Self { status, reason, detail, headers } = self;
        let document = json!({
            "type": format!("urn:tracecapture:problem:{reason}"),
            "title": status.canonical_reason().unwrap_or(reason),
            "status": status.as_u16(),
            "reason": reason,
            "detail": detail,
        });
        let mut response = Response::new(GatewayBody::full(Bytes::from(format!("{document}\n"))));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().extend(headers);
        response
    }
}
