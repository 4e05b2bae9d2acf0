//! What became of a request, in words that no transport knows.

use std::time::Duration;

use super::queue::NotStored;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything in it is stored, or there was nothing in it.
    Accepted,
    /// What was acceptable is stored; the client must not send the rest again.
    Partial {
        /// Spans that were refused; zero makes the message a warning.
        rejected: u64,
        /// Why, for the client's log.
        message: String,
    },
    /// Nothing is stored, and the same request may succeed later.
    RetryAfter {
        /// When to try again.
        delay: Duration,
        /// Why.
        reason: RetryReason,
    },
    /// Nothing is stored, and the same request never will be.
    Refused {
        /// Why, as a closed set.
        refusal: Refusal,
        /// Why, for the client's log.
        message: String,
    },
}

/// Why a request should come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// Too much is in flight.
    Overloaded,
    /// The capture is stopped.
    Stopped,
    /// The client stopped sending in the middle of the body; the next try may come through.
    Incomplete,
    /// The lines could not be stored.
    NotStored(NotStored),
}

/// Why a request must not come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The body is not what it says it is.
    BadData,
    /// The body is larger than the limit, on the wire or inflated.
    TooLarge,
    /// The body is compressed in a way that is not known.
    UnknownCompression,
    /// The message is flagged as compressed, but no compression was named (gRPC only).
    UnnamedCompression,
    /// The body is of another media type.
    UnknownMediaType,
    /// Nothing is served under this path.
    NotFound,
    /// The path is served with another method.
    WrongMethod,
    /// The client's own deadline passed.
    DeadlineExceeded,
}

impl Outcome {
    /// Makes the outcome that asks to come back, after the delay that fits the reason.
    pub fn retry(reason: RetryReason) -> Self {
        Self::RetryAfter { delay: reason.delay(), reason }
    }

    /// Makes a refusal.
    pub fn refused(refusal: Refusal, message: impl Into<String>) -> Self {
        Self::Refused { refusal, message: message.into() }
    }

    /// Returns the stable name for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Partial { .. } => "Partial",
            Self::RetryAfter { reason, .. } => reason.reason(),
            Self::Refused { refusal, .. } => refusal.reason(),
        }
    }
}

impl RetryReason {
    /// Returns how long a client should stay away: as long as the cause can be expected to last.
    pub fn delay(self) -> Duration {
        Duration::from_secs(match self {
            // The queue empties within milliseconds, and a client that stalled has waited; a second spreads the clients.
            Self::Overloaded | Self::Incomplete | Self::NotStored(NotStored::Draining) => 1,
            Self::NotStored(NotStored::StorageFailed) => 5,
            // Retention needs a chunk's time to make room.
            Self::NotStored(NotStored::VolumeFull) => 30,
            // Somebody stopped it on purpose.
            Self::Stopped => 60,
        })
    }

    /// Returns the text for the client's log.
    pub fn message(self) -> String {
        match self {
            Self::Overloaded => "too many bytes of requests in flight".to_owned(),
            Self::Stopped => "the capture is stopped and takes no spans".to_owned(),
            Self::Incomplete => "the body did not arrive in time".to_owned(),
            Self::NotStored(not_stored) => not_stored.to_string(),
        }
    }

    /// Returns the stable name for metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Overloaded => "Overloaded",
            Self::Stopped => "Stopped",
            Self::Incomplete => "Incomplete",
            Self::NotStored(not_stored) => not_stored.reason(),
        }
    }
}

impl Refusal {
    /// Returns the stable name for metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::BadData => "BadData",
            Self::TooLarge => "TooLarge",
            Self::UnknownCompression => "UnknownCompression",
            Self::UnnamedCompression => "UnnamedCompression",
            Self::UnknownMediaType => "UnknownMediaType",
            Self::NotFound => "NotFound",
            Self::WrongMethod => "WrongMethod",
            Self::DeadlineExceeded => "DeadlineExceeded",
        }
    }
}
