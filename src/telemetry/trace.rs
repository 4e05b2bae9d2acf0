//! The ids under which the log lines of one piece of work are found together.

use ring::rand::{SecureRandom as _, SystemRandom};

/// A trace of its own, and the span that is its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// 32 lower-case hexadecimal digits.
    pub trace_id: String,
    /// 16 lower-case hexadecimal digits.
    pub span_id: String,
}

impl TraceContext {
    /// Draws both ids.
    ///
    /// Where the system has no random numbers they are all zero, which by W3C Trace Context ("trace-id") means none.
    pub fn draw() -> Self {
        let mut bytes = [0_u8; 24];
        let _ = SystemRandom::new().fill(&mut bytes);
        let mut digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let span_id = digits.split_off(32);
        Self { trace_id: digits, span_id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_length_and_differ() {
        let (one, other) = (TraceContext::draw(), TraceContext::draw());
        assert_eq!((one.trace_id.len(), one.span_id.len()), (32, 16));
        assert_ne!(one, other);
    }
}
