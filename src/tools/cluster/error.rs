//! What goes wrong between here and the API server, and how a command then ends.

use std::time::Duration;

use thiserror::Error;
use tower::BoxError;

use crate::tools::exit::{ExitCode, Failure};

/// Why the API server did not do what was asked.
#[derive(Debug, Error)]
pub(super) enum ClusterError {
    /// Nothing says where the cluster is, or it cannot be read.
    #[error("cannot tell where the Kubernetes API server is")]
    Config(#[source] BoxError),
    /// What says so cannot be used.
    #[error("cannot make a client of the server")]
    Client(#[source] Box<kube::Error>),
    /// The kubeconfig names a token that cannot be had.
    #[error("cannot get the token that the kubeconfig names")]
    Token(#[source] BoxError),
    /// The API server said no.
    #[error("cannot {what}: {message}")]
    Refused {
        /// What was asked.
        what: String,
        /// The status of HTTP.
        code: u16,
        /// What it said.
        message: String,
        /// The plural of what it speaks of; empty where it does not know the kind.
        kind: String,
    },
    /// There was no answer. Another try may help.
    #[error("cannot {what}")]
    Unanswered {
        /// What was asked.
        what: String,
        /// What the client said.
        #[source]
        source: Box<kube::Error>,
    },
    /// There was no answer in time. Another try may help.
    #[error("cannot {what}: the API server did not answer within {} seconds", limit.as_secs())]
    Time {
        /// What was asked.
        what: String,
        /// How long was waited.
        limit: Duration,
    },
}

impl ClusterError {
    pub(super) fn of(what: String, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused {
                what,
                code: status.code,
                kind: status.details.filter(|details| !details.name.is_empty()).map_or_else(String::new, |d| d.kind),
                message: status.message,
            },
            source => Self::Unanswered { what, source: Box::new(source) },
        }
    }

    fn code(&self) -> ExitCode {
        match self {
            Self::Refused { code: 401 | 403, .. } | Self::Token(_) => ExitCode::Denied,
            Self::Unanswered { source, .. } | Self::Client(source) if matches!(**source, kube::Error::Auth(_)) => {
                ExitCode::Denied
            }
            Self::Refused { code: 404, .. } => ExitCode::NotFound,
            Self::Refused { code: 504, .. } | Self::Time { .. } => ExitCode::Timeout,
            _ => ExitCode::Failed,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        let hint = match self {
            Self::Config(_) => "give --kubeconfig FILE or --context NAME, or set KUBECONFIG",
            Self::Client(_) => "look at the credentials that the kubeconfig names: its files, or its exec plugin",
            Self::Refused { code: 401, .. } | Self::Token(_) => "log in to the cluster anew, or give another --context",
            Self::Refused { code: 403, .. } => {
                "ask for a binding to a role with this verb on `tracecaptures` in `tracecapture.dev`"
            }
            Self::Refused { code: 404, kind, .. } if kind.is_empty() => {
                "the cluster may lack the definition: `tracecapture crd | kubectl apply --server-side -f -`"
            }
            Self::Refused { code: 404, kind, .. } if kind == "tracecaptures" => {
                "`kubectl tracecapture list -A` shows every capture"
            }
            Self::Unanswered { .. } | Self::Time { .. } => "look whether `kubectl version` reaches the same cluster",
            Self::Refused { .. } => return None,
        };
        Some(hint)
    }
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        let (code, hint) = (error.code(), error.hint());
        let failure = Self::new(code, error);
        match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}
