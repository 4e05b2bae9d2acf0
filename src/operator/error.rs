//! Why a visit failed, and whether another one may succeed without a change.

use std::time::Duration;

use kube::core::Status;
use thiserror::Error;

pub(super) use crate::installation::answer::{optional, status, told};
use crate::units::ByteSize;

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
    /// The claim does not become larger.
    #[error("cannot grow {claim} from {has} to {wanted}")]
    Grow {
        /// The claim.
        claim: String,
        /// What it asks for already.
        has: ByteSize,
        /// What it was to ask for.
        wanted: ByteSize,
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
    #[error("cannot make {0}: an object of that name exists and is not of this capture")]
    Taken(String),
    /// Pods would run under something, or mount something, that belongs to somebody else.
    #[error("{set} is neither made nor changed while its pods would use {needed} of somebody else")]
    Withheld {
        /// The set.
        set: String,
        /// What its pods would use.
        needed: String,
    },
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
            Self::Api { source, .. } | Self::Grow { source, .. } => status(source),
            _ => None,
        }
    }

    /// Tells whether an object of that name belongs to somebody else.
    pub(super) fn is_of_others(&self) -> bool {
        matches!(self, Self::Taken(_) | Self::BeingReplaced(_))
    }

    /// Tells whether finding it out again takes no write: then nothing is won by waiting.
    pub(super) fn is_a_look(&self) -> bool {
        self.is_of_others()
    }

    /// Returns the kind of failure, for metrics and events: a closed list of words.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Encode(..) => "Encode",
            Self::TimedOut(_) => "TimedOut",
            Self::BeingReplaced(_) => "BeingReplaced",
            Self::Taken(_) => "Taken",
            Self::Withheld { .. } => "Withheld",
            Self::Api { source, .. } | Self::Grow { source, .. } => match status(source) {
                None => "Unreachable",
                Some(status) if is_terminating(status) => "Terminating",
                Some(status) if lacks_permission(status) => "Forbidden",
                Some(status) if is_sealed_up(status) => "Refused",
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
            ("Forbidden" | "Refused" | "Encode" | "Taken" | "Withheld", _) => Retry::AfterChange,
            (_, Some(status)) => {
                let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                Retry::Soon((seconds > 0).then(|| Duration::from_secs(u64::from(seconds))))
            }
            _ => Retry::Soon(None),
        }
    }
}

/// Tells whether the operator lacks a permission. Admission answers with the same code, also where a quota is
/// exceeded, a volume may not grow or a namespace is being deleted.
///
/// Source: `forbiddenMessage` in `k8s.io/apiserver/pkg/endpoints/handlers/responsewriters`.
pub(super) fn lacks_permission(status: &Status) -> bool {
    status.is_forbidden() && status.message.contains("User \"") && status.message.contains("\" cannot ")
}

/// Tells whether the API server refuses because the namespace is being deleted.
///
/// Source: `NamespaceTerminatingCause` in `k8s.io/api/core/v1`, set by the admission plugin `NamespaceLifecycle`.
fn is_terminating(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// Tells whether the API server refuses every apply to an object, since what is there is not of the form that its
/// definition asks for now. It calls that an internal error.
///
/// Source: `structuredMergeManager.Apply` in `k8s.io/apimachinery/pkg/util/managedfields`, Kubernetes 1.36.
fn is_sealed_up(status: &Status) -> bool {
    status.code == 500 && status.message.starts_with("failed to create typed live object")
}

#[cfg(test)]
mod tests {
    use kube::core::response::{StatusCause, StatusDetails};

    use super::*;

    fn check(code: u16, reason: &str, expected: &str, retry: Retry) {
        let status = Status::failure("m", reason).with_code(code);
        let error = VisitError::api("apply x")(kube::Error::Api(Box::new(status)));
        assert_eq!((error.reason(), error.retry()), (expected, retry), "{code}");
    }

    #[test]
    fn only_what_may_change_by_itself_is_tried_again_soon() {
        check(403, "Forbidden", "Refused", Retry::AfterChange);
        check(422, "Invalid", "Refused", Retry::AfterChange);
        check(400, "BadRequest", "Refused", Retry::AfterChange);
        check(409, "Conflict", "Conflict", Retry::Soon(None));
        check(410, "Expired", "Gone", Retry::Soon(None));
        check(429, "TooManyRequests", "Throttled", Retry::Soon(None));
        check(401, "Unauthorized", "Unauthorized", Retry::Soon(None));
        check(503, "ServiceUnavailable", "ServerError", Retry::Soon(None));
        check(500, "", "ServerError", Retry::Soon(None));
    }

    #[test]
    fn a_refusal_by_another_cause_than_its_code_is_told_apart() {
        let reason = |status: Status| VisitError::api("apply x")(kube::Error::Api(Box::new(status))).reason();
        let sealed_up = "failed to create typed live object (shop/checkout; v1, Kind=X): .spec.chunk: expected map";
        assert_eq!(reason(Status::failure(sealed_up, "").with_code(500)), "Refused");
        let rights = "services is forbidden: User \"operator\" cannot create resource \"services\" in API group \"\"";
        assert_eq!(reason(Status::failure(rights, "Forbidden").with_code(403)), "Forbidden");
        let text = String::new;
        let cause = StatusCause { reason: "NamespaceTerminating".to_owned(), message: text(), field: text() };
        let (name, group, kind, uid) = (text(), text(), text(), text());
        let details = StatusDetails { name, group, kind, uid, causes: vec![cause], retry_after_seconds: 0 };
        let forbidden = Status::failure("m", "Forbidden").with_code(403).with_details(details);
        assert_eq!(reason(forbidden), "Terminating");
    }
}
