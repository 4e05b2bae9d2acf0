//! Decides when a growing chunk is sealed. Pure: the caller brings the clock.

use std::time::Duration;

/// What is known about the growing chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Growing {
    /// The length in bytes that it would have if it were sealed now.
    pub len: u64,
    /// When it was begun, on the monotonic clock.
    pub begun: Duration,
}

/// When a chunk is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkLimits {
    /// Its length in bytes; the group that reaches it is the chunk's last.
    pub max_bytes: u64,
    /// Its age.
    pub max_age: Duration,
}

/// Why a chunk is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It is long enough.
    Size,
    /// It is old enough.
    Age,
    /// The volume is full, and only sealed chunks can be deleted.
    Full,
    /// Its compression is no longer the one that was asked for.
    Settings,
    /// The capture was stopped: what it holds can be cleared once it is sealed.
    Stopped,
    /// The process ends.
    Shutdown,
}

impl Cause {
    /// Returns the word for logs and metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Age => "age",
            Self::Full => "full",
            Self::Settings => "settings",
            Self::Stopped => "stopped",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Tells whether the chunk is to be sealed at `now`, and why.
pub(super) fn due(chunk: Growing, limits: ChunkLimits, now: Duration) -> Option<Cause> {
    if chunk.len >= limits.max_bytes {
        Some(Cause::Size)
    } else if now.saturating_sub(chunk.begun) >= limits.max_age {
        Some(Cause::Age)
    } else {
        None
    }
}

/// Tells whether the chunk is to be sealed on a full volume, and why.
///
/// Also where no room is set aside for its end, which is short: a seal that fails costs nothing.
pub(super) fn due_on_full_volume(chunk: Growing) -> Option<Cause> {
    (chunk.len > 0).then_some(Cause::Full)
}

/// Returns how long after `now` the chunk becomes due by age.
pub(super) fn due_in(chunk: Growing, limits: ChunkLimits, now: Duration) -> Duration {
    chunk.begun.saturating_add(limits.max_age).saturating_sub(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_due_by_size_or_by_age_whichever_is_first() {
        let limits = ChunkLimits { max_bytes: 100, max_age: Duration::from_mins(1) };
        let check = |len, age, expected| {
            let chunk = Growing { len, begun: Duration::from_secs(5) };
            let now = Duration::from_secs(5 + age);
            assert_eq!(due(chunk, limits, now), expected);
            assert_eq!(due_in(chunk, limits, now), Duration::from_secs(60_u64.saturating_sub(age)));
        };
        check(99, 59, None);
        check(100, 0, Some(Cause::Size));
        check(0, 60, Some(Cause::Age));
        check(100, 60, Some(Cause::Size));
    }

    #[test]
    fn on_a_full_volume_a_chunk_with_something_in_it_is_due() {
        let chunk = |len| Growing { len, begun: Duration::ZERO };
        assert_eq!(due_on_full_volume(chunk(1)), Some(Cause::Full));
        assert_eq!(due_on_full_volume(chunk(0)), None);
    }
}
