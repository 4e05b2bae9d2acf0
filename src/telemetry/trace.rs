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
        let (mut trace_id, mut span_id) = ([0; 16], [0; 8]);
        let random = SystemRandom::new();
        let _ = random.fill(&mut trace_id).and_then(|()| random.fill(&mut span_id));
        let trace_id = format!("{:032x}", u128::from_be_bytes(trace_id));
        Self { trace_id, span_id: format!("{:016x}", u64::from_be_bytes(span_id)) }
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
