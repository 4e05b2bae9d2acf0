//! When a batch may leave: by rate, by the capture's own time, or at once.

use std::time::Duration;

use super::batch::Batch;

/// How long batches collect at most where the capture's own pace counts, in time of the replay.
const WINDOW: Duration = Duration::from_millis(100);

/// Tells when batches may leave; both limits hold where both are given.
#[derive(Debug)]
pub(super) struct Pace {
    spans_per_second: Option<f64>,
    speed: Option<f64>,
    /// When the first batch left; the capture's time counts from here.
    begun: Option<Duration>,
    /// When the rate allows the next batch.
    next: Duration,
}

impl Pace {
    pub(super) fn new(spans_per_second: Option<u64>, speed: Option<f64>) -> Self {
        let exact = |rate| f64::from(u32::try_from(rate).unwrap_or(u32::MAX));
        Self { spans_per_second: spans_per_second.map(exact), speed, begun: None, next: Duration::ZERO }
    }

    /// Returns how much time of the capture one batch may hold; `None` where that does not matter.
    pub(super) fn window(&self) -> Option<Duration> {
        self.speed.map(|speed| WINDOW.mul_f64(speed))
    }

    /// Returns how long the batch has to wait, and counts it as leaving then; `now` is the time since any fixed point.
    ///
    /// After a delay the rate is not made up for, the capture's own time is.
    pub(super) fn wait(&mut self, now: Duration, batch: &Batch) -> Duration {
        let begun = *self.begun.get_or_insert(now);
        let due = match self.speed {
            Some(speed) => {
                let scaled = Duration::try_from_secs_f64(batch.elapsed.as_secs_f64() / speed);
                begun.saturating_add(scaled.unwrap_or_default())
            }
            None => now,
        };
        let leaves = due.max(self.next).max(now);
        if let Some(rate) = self.spans_per_second {
            let spans = f64::from(u32::try_from(batch.spans).unwrap_or(u32::MAX));
            self.next = leaves.saturating_add(Duration::from_secs_f64(spans / rate));
        }
        leaves.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// Batches of spans and seconds passed in the capture; returns when each leaves if sending takes no time.
    fn leaves(mut pace: Pace, batches: &[(u64, u64)]) -> Vec<u128> {
        let mut now = Duration::from_secs(100);
        let mut found = Vec::new();
        for &(spans, elapsed) in batches {
            let elapsed = Duration::from_secs(elapsed);
            now += pace.wait(now, &Batch { body: Bytes::default(), spans, upto: Vec::new(), elapsed });
            found.push(now.as_millis() - 100_000);
        }
        found
    }

    #[test]
    fn batches_leave_by_rate_by_time_by_both_or_at_once() {
        let batches = [(10, 0), (10, 3), (20, 3), (10, 4)];
        assert_eq!(leaves(Pace::new(None, None), &batches), [0, 0, 0, 0]);
        assert_eq!(leaves(Pace::new(Some(10), None), &batches), [0, 1_000, 2_000, 4_000]);
        assert_eq!(leaves(Pace::new(None, Some(1.0)), &batches), [0, 3_000, 3_000, 4_000]);
        assert_eq!(leaves(Pace::new(None, Some(2.0)), &batches), [0, 1_500, 1_500, 2_000]);
        assert_eq!(leaves(Pace::new(Some(10), Some(1.0)), &batches), [0, 3_000, 4_000, 6_000]);
    }

    #[test]
    fn a_rate_is_not_made_up_for_after_a_delay() {
        let mut pace = Pace::new(Some(10), None);
        let batch = Batch { body: Bytes::default(), spans: 10, upto: Vec::new(), elapsed: Duration::ZERO };
        let mut wait = |now| pace.wait(Duration::from_secs(now), &batch).as_secs();
        assert_eq!((wait(0), wait(60), wait(60), wait(61)), (0, 0, 1, 1));
    }
}
