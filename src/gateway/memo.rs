//! Answers that are kept for a while, each asked for once at a time.
//!
//! # Guarantees
//! - Of requests for the same thing at the same time one asks, and all get its answer.
//! - What is kept is bounded, good and bad answers apart: however many bad ones come, no good one leaves.
//! - A failure is told to all that wait for it and is not kept.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};

use crate::clock::Clock;

/// An answer that may be kept.
pub(super) trait Answer: Clone + Send + Sync + 'static {
    /// Tells whether it is kept among the good ones.
    fn is_good(&self) -> bool;

    /// How long it is kept at least; some are kept up to twice as long, so that not all end at once.
    fn keep(&self) -> Duration;
}

/// What asks: shared by all that wait.
type Question<V, E> = BoxFuture<'static, Result<V, E>>;

/// Answers by key.
pub(super) struct Memo<K, V, E> {
    clock: Arc<dyn Clock>,
    spread: RandomState,
    state: Mutex<State<K, V, E>>,
}

struct State<K, V, E> {
    max: usize,
    good: HashMap<K, Kept<V>>,
    bad: HashMap<K, Kept<V>>,
    running: HashMap<K, WeakShared<Question<V, E>>>,
}

struct Kept<V> {
    answer: V,
    until: Duration,
}

impl<K, V, E> Memo<K, V, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// Keeps at most `max` good answers and as many bad ones.
    pub(super) fn new(clock: Arc<dyn Clock>, max: usize) -> Self {
        let state = State { max, good: HashMap::new(), bad: HashMap::new(), running: HashMap::new() };
        Self { clock, spread: RandomState::new(), state: Mutex::new(state) }
    }

    /// Returns the answer that is kept.
    pub(super) fn kept(&self, key: &K) -> Option<V> {
        let (now, state) = (self.clock.monotonic(), self.lock());
        let found = state.good.get(key).into_iter().chain(state.bad.get(key)).find(|kept| now < kept.until);
        found.map(|kept| kept.answer.clone())
    }

    /// Tells whether a good answer was kept, though it may be too old to be given.
    pub(super) fn was_good(&self, key: &K) -> bool {
        self.lock().good.contains_key(key)
    }

    /// Returns the answer that is kept, else that of `question`.
    ///
    /// # Errors
    /// What `question` fails with.
    ///
    /// # Cancel safety
    /// Safe: who else waits goes on asking.
    pub(super) async fn get(&self, key: &K, question: impl FnOnce() -> Question<V, E>) -> Result<V, E> {
        if let Some(answer) = self.kept(key) {
            return Ok(answer);
        }
        let asked = self.asked(key, question);
        let answer = asked.await?;
        self.keep(key, &answer);
        Ok(answer)
    }

    /// Forgets an answer.
    pub(super) fn forget(&self, key: &K) {
        let mut state = self.lock();
        state.good.remove(key);
        state.bad.remove(key);
    }

    fn asked(&self, key: &K, question: impl FnOnce() -> Question<V, E>) -> Shared<Question<V, E>> {
        let mut state = self.lock();
        let running = state.running.get(key).and_then(WeakShared::upgrade).filter(|asked| asked.peek().is_none());
        if let Some(asked) = running {
            return asked;
        }
        let asked = question().shared();
        state.running.retain(|_, asked| asked.upgrade().is_some());
        if let Some(weak) = asked.downgrade() {
            state.running.insert(key.clone(), weak);
        }
        asked
    }

    fn keep(&self, key: &K, answer: &V) {
        let least = answer.keep();
        let part = self.spread.hash_one(key) % 1000;
        let until =
            self.clock.monotonic() + least + least.mul_f64(f64::from(u32::try_from(part).unwrap_or(0)) / 1000.0);
        let mut state = self.lock();
        let State { max, good, bad, running } = &mut *state;
        running.remove(key);
        let (into, from) = if answer.is_good() { (good, bad) } else { (bad, good) };
        from.remove(key);
        if into.len() >= *max && !into.contains_key(key) {
            let oldest = into.iter().min_by_key(|(_, kept)| kept.until).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| into.remove(&oldest));
        }
        into.insert(key.clone(), Kept { answer: answer.clone(), until });
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    struct Bench {
        clock: Arc<ManualClock>,
        memo: Memo<u32, bool, &'static str>,
        n_asked: Arc<AtomicUsize>,
    }

    impl Bench {
        fn new(max: usize) -> Self {
            let clock = Arc::new(ManualClock::new(Timestamp::default()));
            let memo = Memo::new(Arc::clone(&clock) as Arc<dyn Clock>, max);
            Self { clock, memo, n_asked: Arc::default() }
        }

        async fn ask(&self, key: u32, answer: Result<bool, &'static str>) -> Result<bool, &'static str> {
            let n_asked = Arc::clone(&self.n_asked);
            let question = move || {
                async move {
                    n_asked.fetch_add(1, Ordering::SeqCst);
                    // On a paused clock: it ends once everybody waits.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    answer
                }
                .boxed()
            };
            self.memo.get(&key, question).await
        }

        fn n_asked(&self) -> usize {
            self.n_asked.load(Ordering::SeqCst)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn good_answers_live_longer_than_bad_ones() {
        let bench = Bench::new(8);
        assert_eq!((bench.ask(1, Ok(true)).await, bench.ask(2, Ok(false)).await), (Ok(true), Ok(false)));
        bench.clock.advance(Duration::from_millis(4999));
        assert_eq!((bench.memo.kept(&1), bench.memo.kept(&2)), (Some(true), Some(false)));
        bench.clock.advance(Duration::from_millis(5001));
        assert_eq!((bench.memo.kept(&1), bench.memo.kept(&2)), (Some(true), None));
        bench.clock.advance(Duration::from_secs(50));
        assert_eq!((bench.memo.kept(&1), bench.memo.was_good(&1), bench.memo.was_good(&2)), (None, true, false));
        assert_eq!(bench.ask(1, Ok(false)).await, Ok(false));
        assert!(!bench.memo.was_good(&1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_at_the_same_time_shares_one_answer() {
        let bench = Bench::new(8);
        let answers = futures::future::join_all((0..20).map(|_| bench.ask(1, Ok(true)))).await;
        assert!(answers.iter().all(|answer| *answer == Ok(true)));
        assert_eq!(bench.n_asked(), 1);
        let failures = futures::future::join_all((0..20).map(|_| bench.ask(2, Err("down")))).await;
        assert!(failures.iter().all(|answer| *answer == Err("down")));
        assert_eq!((bench.n_asked(), bench.memo.kept(&2)), (2, None));
        assert_eq!(bench.ask(2, Ok(true)).await, Ok(true));
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_bad_answers_come_the_good_ones_stay() {
        let bench = Bench::new(4);
        for key in 0..4 {
            bench.ask(key, Ok(true)).await.unwrap();
        }
        for key in 10..100 {
            bench.ask(key, Ok(false)).await.unwrap();
        }
        assert!((0..4).all(|key| bench.memo.kept(&key) == Some(true)));
        let state = bench.memo.lock();
        assert_eq!((state.bad.len(), state.running.len()), (4, 0));
    }
}
