//! One question about links and its answer.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use serde_json::Value;
use thiserror::Error;
use tokio::time::timeout;

use crate::tools::cluster::door::Door;
use crate::tools::cluster::refusal::{Advice, Refusal};
use crate::tools::exit::{ExitCode, Failure};

/// How long an answer may take: the gateway itself waits a few seconds for the API server.
const LIMIT: Duration = Duration::from_secs(30);

/// How much of an answer is read, in bytes: as many links as there can be.
const MAX_LEN: usize = 4 << 20;

/// What to do where something about links is refused.
const ADVICE: Advice = Advice {
    role: "tracecapture-admin",
    missing: "`kubectl tracecapture link list NAME` shows the links of a capture, `kubectl tracecapture list -A` every capture",
};

/// Why a question has no answer.
#[derive(Debug, Error)]
enum ExchangeError {
    #[error("cannot {what}: {why}")]
    Refused { what: String, why: String },
    #[error("cannot {0}")]
    Unanswered(String, #[source] Box<kube::Error>),
    #[error("cannot read the answer of the gateway")]
    Unreadable(#[source] Option<serde_json::Error>),
    #[error("cannot {what}: the gateway did not answer within {} seconds", LIMIT.as_secs())]
    Time { what: String },
}

/// Asks the gateway, once, and reads its answer; `what` completes "cannot …".
///
/// # Errors
/// A [`Failure`] with the exit code for the answer.
pub(super) async fn exchange(
    door: &Door<'_>,
    what: String,
    (method, path): (Method, &str),
    body: Option<&Value>,
) -> Result<Value, Failure> {
    match timeout(LIMIT, ask(door, &what, (method, path), body)).await {
        Ok(answer) => answer,
        Err(_) => {
            Err(Failure::new(ExitCode::Timeout, ExchangeError::Time { what }).with_hint("try it again in a while"))
        }
    }
}

async fn ask(
    door: &Door<'_>,
    what: &str,
    (method, path): (Method, &str),
    body: Option<&Value>,
) -> Result<Value, Failure> {
    let what = what.to_owned();
    let text = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
    let request = Request::builder().method(method).uri(path).header(ACCEPT, "application/json");
    let request = request.header(CONTENT_TYPE, "application/json").body(Body::from(text));
    let request = request.map_err(|error| Failure::new(ExitCode::Failed, error))?;
    let response = door.ask(request).await?.map_err(|error| {
        Failure::new(ExitCode::Failed, ExchangeError::Unanswered(what.clone(), Box::new(error)))
            .with_hint("look whether a gateway is installed and reached; --via apiserver or --via url is another way")
    })?;
    if !response.status().is_success() {
        let refusal = Refusal::read(response).await;
        let why = refusal.why.clone();
        let failure = refusal.end(ExchangeError::Refused { what, why }, &ADVICE);
        // What was typed is what the gateway does not take.
        return Err(if refusal.status == StatusCode::BAD_REQUEST {
            failure.with_code(ExitCode::Usage)
        } else {
            failure
        });
    }
    let read = Limited::new(response.into_body(), MAX_LEN).collect().await.map_err(|_| unreadable(None))?;
    serde_json::from_slice(&read.to_bytes()).map_err(|error| unreadable(Some(error)))
}

/// Reads an answer as what it should be.
///
/// # Errors
/// As [`unreadable`].
pub(super) fn read<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|error| unreadable(Some(error)))
}

/// Makes the failure of an answer that is none of this version.
pub(super) fn unreadable(source: Option<serde_json::Error>) -> Failure {
    Failure::new(ExitCode::Failed, ExchangeError::Unreadable(source))
        .with_hint("look whether a gateway of this version answers there")
}
