//! What was attempted in vain, and when it is attempted again.
//!
//! A refused write holds up neither the looking at a capture nor its other objects: each attempt has a wait of its
//! own, and nothing but what was refused is left alone until then.
//!
//! # Invariants
//! - A change of what is attempted, of the object that is there, or of the capture ends a wait.
//! - What is left alone goes on to be told: a failure stands until its attempt succeeds or is not asked for any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::backoff::{self, LONGEST};
use super::child::{ChildName, Seen, State};
use super::error::{Retry, VisitError};

/// One write of a visit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The finalizer of the capture itself.
    Finalizer,
    /// A child, applied or deleted.
    Child(ChildName),
}

/// Under which circumstances something is attempted: while they are the same, so will be the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Circumstances {
    /// A digest of what is wanted.
    pub(super) wanted: u64,
    /// The object that is there, as the watch shows it.
    pub(super) there: Option<State>,
    /// The generation of the capture.
    pub(super) generation: Option<i64>,
}

/// The attempts at one capture that failed last.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<Step, Refused>);

#[derive(Debug)]
struct Refused {
    circumstances: Circumstances,
    /// Failures in a row.
    n_failures: u32,
    /// When it is attempted again, on the monotonic clock.
    again: Duration,
    error: Arc<VisitError>,
}

/// What could not be written.
#[derive(Debug, Default)]
pub(super) struct Unapplied {
    /// Every failure that stands, in the order of the attempts.
    pub(super) failures: Vec<Arc<VisitError>>,
    /// Those of attempts that were made this time, with how long the next one waits.
    pub(super) fresh: Vec<(Arc<VisitError>, Duration)>,
    /// How long until the first of them is attempted again.
    pub(super) again: Option<Duration>,
}

/// The writes of one visit.
pub(super) struct Tries<'a> {
    refusals: &'a mut Refusals,
    uid: &'a str,
    generation: Option<i64>,
    now: Duration,
    unapplied: Unapplied,
}

impl<'a> Tries<'a> {
    /// Begins the writes of a visit of the capture with this UID and generation; `now` is on the monotonic clock.
    pub(super) fn begin(refusals: &'a mut Refusals, (uid, generation): (&'a str, Option<i64>), now: Duration) -> Self {
        Self { refusals, uid, generation, now, unapplied: Unapplied::default() }
    }

    /// Returns the circumstances of an attempt now.
    pub(super) fn circumstances(&self, wanted: u64, seen: Option<&Seen>) -> Circumstances {
        Circumstances { wanted, there: seen.map(Seen::state), generation: self.generation }
    }

    /// Makes an attempt, unless it failed under the same circumstances and its wait is not over.
    ///
    /// # Errors
    /// The failure that stands; it is told at the end.
    ///
    /// # Cancel safety
    /// What was attempted is attempted again by the next visit.
    pub(super) async fn make<T>(
        &mut self,
        step: Step,
        circumstances: Circumstances,
        attempt: impl Future<Output = Result<T, VisitError>>,
    ) -> Result<T, Arc<VisitError>> {
        let earlier = self.refusals.0.remove(&step).filter(|earlier| earlier.circumstances == circumstances);
        let earlier = match earlier {
            Some(earlier) if self.now < earlier.again && !earlier.error.is_a_look() => {
                return Err(self.stand(step, earlier));
            }
            earlier => earlier,
        };
        let error = match attempt.await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if let Some(earlier) = earlier.as_ref().filter(|earlier| self.now < earlier.again)
            && earlier.error.to_string() == error.to_string()
        {
            // Looked at again, and it is as it was: no news.
            let (n_failures, again) = (earlier.n_failures, earlier.again);
            return Err(self.stand(step, Refused { circumstances, n_failures, again, error: Arc::new(error) }));
        }
        let n_failures = earlier.map_or(0, |earlier| earlier.n_failures).saturating_add(1);
        let wait = match error.retry() {
            // Somebody may also change what no watch shows, such as a permission.
            Retry::AfterChange => LONGEST,
            Retry::Soon(asked) => backoff::delay(self.uid, n_failures).max(asked.unwrap_or_default()),
        };
        let refused = Refused { circumstances, n_failures, again: self.now + wait, error: Arc::new(error) };
        self.unapplied.fresh.push((Arc::clone(&refused.error), wait));
        Err(self.stand(step, refused))
    }

    /// Takes note of something that is not even attempted, because of a failure that is told anyway.
    pub(super) fn withhold(&mut self, error: VisitError) {
        self.unapplied.failures.push(Arc::new(error));
    }

    /// Takes note that a step is not due.
    pub(super) fn forget(&mut self, step: &Step) {
        self.refusals.0.remove(step);
    }

    /// Ends the writes of a visit; returns what could not be written, if anything.
    pub(super) fn end(self) -> Option<Unapplied> {
        Some(self.unapplied).filter(|unapplied| !unapplied.failures.is_empty())
    }

    fn stand(&mut self, step: Step, refused: Refused) -> Arc<VisitError> {
        let error = Arc::clone(&refused.error);
        let wait = refused.again.saturating_sub(self.now);
        self.unapplied.again = Some(self.unapplied.again.map_or(wait, |again| again.min(wait)));
        self.unapplied.failures.push(Arc::clone(&error));
        self.refusals.0.insert(step, refused);
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Circumstances = Circumstances { wanted: 1, there: None, generation: Some(1) };

    /// Makes one attempt of a visit at `second` that fails; returns whether it was made, and how long the next waits.
    async fn fail(
        refusals: &mut Refusals,
        second: u64,
        circumstances: &Circumstances,
        error: VisitError,
    ) -> (bool, u64) {
        let mut tries = Tries::begin(refusals, ("u-1", Some(1)), Duration::from_secs(second));
        let mut is_made = false;
        let attempt = async {
            is_made = true;
            Err::<(), _>(error)
        };
        tries.make(Step::Finalizer, circumstances.clone(), attempt).await.unwrap_err();
        let unapplied = tries.end().unwrap();
        assert_eq!(unapplied.failures.len(), 1);
        (is_made, unapplied.again.unwrap().as_secs())
    }

    fn refused() -> VisitError {
        let status = kube::core::Status::failure("m", "Invalid").with_code(422);
        VisitError::api("apply x")(kube::Error::Api(Box::new(status)))
    }

    #[tokio::test]
    async fn what_is_refused_for_good_waits_for_a_change() {
        let mut refusals = Refusals::default();
        assert_eq!(fail(&mut refusals, 0, &CALM, refused()).await, (true, 300));
        assert_eq!(fail(&mut refusals, 30, &CALM, refused()).await, (false, 270));
        for (n, changed) in [
            Circumstances { wanted: 2, ..CALM },
            Circumstances { generation: Some(2), ..CALM },
            Circumstances { there: Some(State::default()), ..CALM },
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(fail(&mut refusals, 40, &changed, refused()).await, (true, 300), "{n}");
        }
        assert_eq!(fail(&mut refusals, 400, &CALM, refused()).await, (true, 300));
    }

    #[tokio::test]
    async fn what_may_pass_waits_longer_each_time() {
        let mut refusals = Refusals::default();
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..6 {
            let (is_made, wait) = fail(&mut refusals, now, &CALM, VisitError::TimedOut(Duration::ZERO)).await;
            assert!(is_made);
            waits.push(wait);
            now += wait + 1;
        }
        assert!(waits.first() < waits.last() && waits.last() > Some(&10), "{waits:?}");
    }

    #[tokio::test]
    async fn what_costs_a_look_alone_is_looked_at_each_time_and_told_once() {
        let mut refusals = Refusals::default();
        let taken = || VisitError::Taken("ConfigMap `shop/a`".to_owned());
        assert_eq!(fail(&mut refusals, 0, &CALM, taken()).await, (true, 300));
        assert_eq!(fail(&mut refusals, 30, &CALM, taken()).await, (true, 270));
        let mut tries = Tries::begin(&mut refusals, ("u-1", Some(1)), Duration::from_mins(1));
        assert_eq!(tries.make(Step::Finalizer, CALM, async { Ok(7) }).await.ok(), Some(7));
        assert!(tries.end().is_none());
    }
}
