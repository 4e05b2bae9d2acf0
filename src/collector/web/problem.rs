//! Answers that say why there is none: problem documents (RFC 9457).

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::stream::WebBody;
use crate::archive::bundle::BundleError;
use crate::telemetry::chain;

/// A problem on its way to become a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// Stable, `CamelCase`, for programs.
    pub(super) reason: &'static str,
    /// What failed, why, and what to do next.
    pub(super) detail: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    reason: &'a str,
    detail: &'a str,
}

impl Problem {
    pub(super) fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        Self { status, reason, detail: detail.into(), headers: Vec::new() }
    }

    /// The one answer for everything that does not exist.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "nothing is found here: `GET /api/v1/captures` lists the captures")
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", detail)
    }

    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("this resource has {allow} only");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", detail)
            .with(http::header::ALLOW, HeaderValue::from_static(allow))
    }

    pub(super) fn busy() -> Self {
        let detail = "as many downloads run as are allowed at a time: try again in a few seconds";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "TooManyDownloads", detail)
            .with(http::header::RETRY_AFTER, HeaderValue::from_static("5"))
    }

    #[must_use]
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn into_response(self) -> Response<WebBody> {
        let Self { status, reason, detail, headers } = self;
        let document = Document {
            r#type: format!("urn:tracecapture:problem:{reason}"),
            title: status.canonical_reason().unwrap_or(reason),
            status: status.as_u16(),
            reason,
            detail: &detail,
        };
        // Strings and numbers cannot fail to serialise.
        let mut body = serde_json::to_vec(&document).unwrap_or_default();
        body.push(b'\n');
        let mut response = Response::new(WebBody::full(Bytes::from(body)));
        *response.status_mut() = status;
        let fixed = [(CONTENT_TYPE, "application/problem+json"), (CACHE_CONTROL, "no-store")];
        response.headers_mut().extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
        response.headers_mut().extend(headers);
        response
    }
}

impl From<BundleError> for Problem {
    fn from(error: BundleError) -> Self {
        let status = match &error {
            BundleError::Gone { .. } | BundleError::Changed => StatusCode::GONE,
            BundleError::OtherScope => StatusCode::BAD_REQUEST,
            BundleError::NoSuchChunk => return Self::not_found(),
            BundleError::TraceTooLarge { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            _ => {
                tracing::error!(error = %chain(&error), "cannot serve a capture");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let next = match status {
            StatusCode::GONE => "; start the download anew, without `snapshot`, `Range` and `If-Range`",
            _ => "",
        };
        Self::new(status, error.reason(), format!("{error}{next}"))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_internal_error_is_logged_with_its_causes() {
        let log = Log::default();
        let writer = log.clone();
        // With a second dispatcher the log's call sites are asked of all, not of the thread that meets them first.
        let _other = tracing::Dispatch::new(tracing_subscriber::registry());
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let problem = tracing::subscriber::with_default(subscriber, || {
            Problem::from(BundleError::List(io::Error::other("the cable is out")))
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("cannot list the chunks: the cable is out"), "{text}");
        assert_eq!((problem.status, problem.reason), (StatusCode::INTERNAL_SERVER_ERROR, "ReadFailed"));
        assert!(!problem.detail.contains("cable"), "{}", problem.detail);
    }
}
