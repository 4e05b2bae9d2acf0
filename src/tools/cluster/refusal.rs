//! An answer of the gateway, or of the API server before it, that is not what was asked for.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use serde_json::Value;
use tokio::time::timeout;

use super::door::IDLE_LIMIT;
use crate::tools::exit::{ExitCode, Failure};

/// How much of a refusal is read, in bytes.
const MAX_LEN: usize = 64 << 10;

/// How much of what it says is told, in characters.
const MAX_TOLD: usize = 500;

/// A refusal as it was read.
pub struct Refusal {
    /// The status of HTTP.
    pub status: StatusCode,
    /// The status and what was said, for people.
    pub why: String,
    /// How long to wait before another try, where that was said.
    pub pause: Option<Duration>,
    /// Whether the API server answered, not the gateway behind it.
    is_of_api_server: bool,
}

/// What to do where something is not there, or not allowed, for people.
pub struct Advice {
    /// The role that allows it.
    pub role: &'static str,
    /// What shows what is there.
    pub missing: &'static str,
}

impl Refusal {
    /// Reads what the answer says.
    pub async fn read(response: Response<Body>) -> Self {
        let status = response.status();
        let pause = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = timeout(IDLE_LIMIT, Limited::new(response.into_body(), MAX_LEN).collect()).await;
        let body = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let document: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = document.get("detail").or_else(|| document.get("message")).and_then(Value::as_str);
        let text = text.map_or_else(|| String::from_utf8_lossy(&body).trim().to_owned(), ToOwned::to_owned);
        let text: String = text.chars().take(MAX_TOLD).collect();
        let why = if text.is_empty() { status.to_string() } else { format!("{status}: {text}") };
        let is_of_api_server = document.get("kind").and_then(Value::as_str) == Some("Status");
        Self { status, why, pause: pause.map(Duration::from_secs), is_of_api_server }
    }

    /// Ends a command by `error`, with the exit code and the advice for this answer.
    pub fn end(&self, error: impl std::error::Error + Send + Sync + 'static, advice: &Advice) -> Failure {
        let Advice { role, missing } = advice;
        let (code, hint) = match self.status.as_u16() {
            401 => (ExitCode::Denied, "log in anew: the token is none of this cluster, or expired".to_owned()),
            403 if self.is_of_api_server => {
                let hint = "ask for a binding to the Role tracecapture-proxy, in the namespace of the gateway";
                (ExitCode::Denied, hint.to_owned())
            }
            403 => (ExitCode::Denied, format!("ask for the ClusterRole {role} in the capture's namespace")),
            404 if self.is_of_api_server => {
                let hint = "look whether a gateway is installed there, and give its --gateway-namespace";
                (ExitCode::NotFound, hint.to_owned())
            }
            404 => (ExitCode::NotFound, (*missing).to_owned()),
            410 => (ExitCode::Gone, (*missing).to_owned()),
            504 => (ExitCode::Timeout, "try it again".to_owned()),
            429 | 500..=599 => (ExitCode::Failed, "try it again in a while".to_owned()),
            _ => return Failure::new(ExitCode::Failed, error),
        };
        Failure::new(code, error).with_hint(hint)
    }
}
