//! Why a visit failed, and whether another one may succeed without a change.

use std::time::Duration;

use kube::core::Status;
use thiserror::Error;

pub(super) use crate::installation::answer::{optional, status};

/// What a visit attempted in vain.
#[derive(Debug, Error)]
pub(super) enum VisitError {
    /// The API server did not answer as hoped.
    #[error("cannot {attempt}")]
    Api {
        /// What was attempted and on what, such as `apply StatefulSet shop/checkout-collector`.
        attempt: String,
        /// What came of it.
        #[source]
        source: Box<kube::Error>,
    },
    /// An object has no JSON form.
    #[error("cannot write {0} as JSON")]
    Encode(String, #[source] serde_json::Error),
    /// The visit took too long; what it wrote stays, the next one goes on.
    #[error("cannot end the visit within {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// An earlier object of the same name is not gone yet.
    #[error("waiting for {0} to be deleted, so that it can be made anew")]
    BeingReplaced(String),
    /// An object of that name exists and belongs to somebody else.
    #[error("cannot make {0}: an object of that name exists and is not of this capture; rename or delete it")]
    Taken(String),
}

/// What can be hoped for from another visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// It may succeed soon; the server may have named a wait.
    Soon(Option<Duration>),
    /// It succeeds only once somebody changed something.
    AfterChange,
}

impl VisitError {
    /// Makes an error of an attempt at the API server.
    pub(super) fn api(attempt: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let attempt = attempt.into();
        move |source| Self::Api { attempt, source: Box::new(source) }
    }

    /// Returns the answer of the API server, where it gave one.
    pub(super) fn status(&self) -> Option<&Status> {
        match self {
            Self::Api { source, .. } => status(source),
            _ => None,
        }
    }

    /// Returns the kind of failure, for metrics and events: a closed list of words.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Encode(..) => "Encode",
            Self::TimedOut(_) => "TimedOut",
            Self::BeingReplaced(_) => "BeingReplaced",
            Self::Taken(_) => "Taken",
            Self::Api { source, .. } => match status(source) {
                None => "Unreachable",
                Some(status) if status.is_forbidden() => "Forbidden",
                Some(status) if status.is_invalid() => "Refused",
                Some(status) if status.is_conflict() => "Conflict",
                Some(status) if status.is_not_found() => "NotFound",
                Some(status) => match status.code {
                    401 => "Unauthorized",
                    410 => "Gone",
                    429 => "Throttled",
                    400..500 => "Refused",
                    _ => "ServerError",
                },
            },
        }
    }

    /// Tells what can be hoped for from another visit.
    pub(super) fn retry(&self) -> Retry {
        match (self.reason(), self.status()) {
            ("Forbidden" | "Refused" | "Encode" | "Taken", _) => Retry::AfterChange,
            (_, Some(status)) => {
                let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                Retry::Soon((seconds > 0).then(|| Duration::from_secs(u64::from(seconds))))
            }
            _ => Retry::Soon(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: u16, reason: &str, expected: &str, retry: Retry) {
        let status = Status::failure("m", reason).with_code(code);
        let error = VisitError::api("apply x")(kube::Error::Api(Box::new(status)));
        assert_eq!((error.reason(), error.retry()), (expected, retry), "{code}");
    }

    #[test]
    fn only_what_may_change_by_itself_is_tried_again_soon() {
        check(403, "Forbidden", "Forbidden", Retry::AfterChange);
        check(422, "Invalid", "Refused", Retry::AfterChange);
        check(400, "BadRequest", "Refused", Retry::AfterChange);
        check(409, "Conflict", "Conflict", Retry::Soon(None));
        check(410, "Expired", "Gone", Retry::Soon(None));
        check(429, "TooManyRequests", "Throttled", Retry::Soon(None));
        check(401, "Unauthorized", "Unauthorized", Retry::Soon(None));
        check(503, "ServiceUnavailable", "ServerError", Retry::Soon(None));
    }
}
