//! Settings of the OTLP endpoint, replaced as a whole while it runs.

use crate::units::ByteSize;

/// How many requests of the largest size fit into memory at once, at the least.
///
/// One such request needs its body inflated and about twice that as lines, so with four one always gets through.
const REQUESTS_IN_FLIGHT: u64 = 4;

/// Whether new spans are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReceiveState {
    /// Spans are captured.
    #[default]
    Running,
    /// Spans are refused, with an answer that asks the client to come back.
    Stopped,
}

/// What the receive path reads anew for every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiveSettings {
    /// Whether new spans are taken.
    pub state: ReceiveState,
    /// The largest body, on the wire and inflated.
    pub max_request_bytes: ByteSize,
    /// How many bytes of requests and of lines made from them may be in memory; see [`Self::budget`].
    pub in_flight_bytes: ByteSize,
    /// Path of OTLP/HTTP.
    pub traces_path: String,
    /// Origins whose pages may send spans; `*` stands for every one, an empty list for none.
    pub cors_allowed_origins: Vec<String>,
}

impl ReceiveSettings {
    /// Returns the bytes that may be in flight: as set, but never too few for the largest request.
    pub fn budget(&self) -> u64 {
        self.in_flight_bytes.0.max(self.max_request_bytes.0.saturating_mul(REQUESTS_IN_FLIGHT))
    }
}

impl Default for ReceiveSettings {
    /// Takes the sizes that the OTLP specification recommends ("OTLP/gRPC Request", "OTLP/HTTP Request").
    fn default() -> Self {
        Self {
            state: ReceiveState::Running,
            max_request_bytes: ByteSize(64 << 20),
            in_flight_bytes: ByteSize(256 << 20),
            traces_path: "/v1/traces".to_owned(),
            cors_allowed_origins: vec!["*".to_owned()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_request_always_fits_into_the_budget() {
        let huge = ReceiveSettings { max_request_bytes: ByteSize(1 << 30), ..ReceiveSettings::default() };
        assert_eq!((ReceiveSettings::default().budget(), huge.budget()), (256 << 20, 4 << 30));
    }
}
