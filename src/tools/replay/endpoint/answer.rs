//! What an endpoint says, and how long it may take and how much it may say.

use std::time::Duration;

use crate::tools::exit::ExitCode;

/// How long an endpoint may take for one answer.
pub(in super::super) const ATTEMPT_LIMIT: Duration = Duration::from_secs(30);

/// The longest answer that is read; OTLP has answers of at most 4 MiB.
pub(super) const MAX_ANSWER: usize = 4 << 20;

/// The longest text of an endpoint that is shown.
const MAX_TEXT: usize = 300;

/// What an endpoint said to a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Answer {
    /// It took the batch, but for some spans.
    Accepted {
        /// How many spans it refused.
        rejected: u64,
        /// Why, or a warning; mostly empty.
        message: String,
    },
    /// It may take the batch later.
    Retry {
        /// When it asks to come back; `None` leaves that to us.
        after: Option<Duration>,
        /// What is the matter.
        what: String,
    },
    /// It will never take this batch.
    Refused {
        /// Why.
        what: String,
    },
    /// It will take no batch at all.
    Unusable {
        /// How the command ends.
        code: ExitCode,
        /// Why.
        what: String,
    },
}

/// Cuts a text of an endpoint to what a person reads.
pub(super) fn shown(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(MAX_TEXT) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
