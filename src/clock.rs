//! The only place that reads a clock.
//!
//! Deciders take `now` as an argument; who needs the time itself holds a [`Clock`].
//! Wall time may jump in both directions and is used for names and for what people
//! read; durations are measured on the monotonic clock alone.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use thiserror::Error;

/// An instant of wall time: nanoseconds since the Unix epoch, as OTLP counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

/// Why a text is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a time: write RFC 3339 such as `2026-11-21T10:30:00Z`, or Unix seconds")]
pub struct InvalidTimestamp(pub String);

impl Timestamp {
    /// Makes a timestamp of nanoseconds since the Unix epoch.
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the nanoseconds since the Unix epoch.
    pub const fn as_unix_nanos(self) -> u64 {
        self.0
    }

    /// Returns the same instant without what is finer than a millisecond.
    #[must_use]
    pub const fn truncated_to_millis(self) -> Self {
        Self(self.0 - self.0 % 1_000_000)
    }

    /// Returns the instant `by` later, or the last one there is.
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Returns the instant `by` earlier, or the epoch where that would be before it.
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Returns the time from `earlier` to `self`, zero where `earlier` is later.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// Reads RFC 3339, or Unix seconds with an optional fraction.
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let invalid = || InvalidTimestamp(text.chars().take(64).collect());
        let parsed = if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
            if seconds.is_empty() || fraction.len() > 9 || fraction.contains('.') {
                return Err(invalid());
            }
            let seconds: u64 = seconds.parse().map_err(|_| invalid())?;
            let nanos: u64 = format!("{fraction:0<9}").parse().map_err(|_| invalid())?;
            seconds.checked_mul(1_000_000_000).and_then(|s| s.checked_add(nanos))
        } else {
            let instant: jiff::Timestamp = text.parse().map_err(|_| invalid())?;
            u64::try_from(instant.as_nanosecond()).ok()
        };
        parsed.map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC, with as many fraction digits as are needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(instant) => write!(f, "{instant}"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A source of time.
pub trait Clock: Send + Sync {
    /// Returns the wall time; it may be earlier than at the last call.
    fn now(&self) -> Timestamp;

    /// Returns the time since an arbitrary fixed point; never earlier than at the last call.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Makes a clock whose monotonic time starts at zero.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until it is told to move, for tests and simulations.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<(Timestamp, Duration)>,
}

impl ManualClock {
    /// Makes a clock whose wall time is `now` and whose monotonic time is zero.
    pub fn new(now: Timestamp) -> Self {
        Self { state: Mutex::new((now, Duration::ZERO)) }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let mut state = self.lock();
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        *state = (Timestamp(state.0.0.saturating_add(nanos)), state.1.saturating_add(by));
    }

    /// Sets the wall clock, to either side; the monotonic clock goes on unmoved.
    pub fn set_wall(&self, now: Timestamp) {
        self.lock().0 = now;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Timestamp, Duration)> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.lock().0
    }

    fn monotonic(&self) -> Duration {
        self.lock().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rfc_3339_and_unix_seconds() {
        let half_past: Timestamp = "2026-11-21T10:30:45.123Z".parse().unwrap();
        assert_eq!(half_past.as_unix_nanos(), 1_795_257_045_123_000_000);
        assert_eq!("2026-11-21T12:30:45.123+02:00".parse(), Ok(half_past));
        assert_eq!("1795257045.123".parse(), Ok(half_past));
        assert_eq!(half_past.to_string(), "2026-11-21T10:30:45.123Z");
    }

    #[test]
    fn refuses_what_is_no_instant() {
        for text in ["", ".", "1.2.3", "yesterday", "99999999999999999999", "1.0000000001", "1969-12-31T00:00:00Z"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_manual_clock_keeps_its_monotonic_time_when_the_wall_jumps_back() {
        let clock = ManualClock::new(Timestamp::from_unix_nanos(5_000));
        clock.advance(Duration::from_nanos(10));
        clock.set_wall(Timestamp::from_unix_nanos(1));
        assert_eq!((clock.now().as_unix_nanos(), clock.monotonic()), (1, Duration::from_nanos(10)));
    }
}
