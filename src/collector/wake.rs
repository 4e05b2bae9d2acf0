//! Wakes a sleeping thread early; calls while it is awake make one more round, not many.
//! Whoever called can wait until a round that began after the call has done its work.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The end that wakes; clones wake the same thread.
#[derive(Debug, Clone)]
pub(super) struct Waker {
    calls: SyncSender<()>,
    rounds: Arc<Rounds>,
}

/// The end that sleeps.
#[derive(Debug)]
pub(super) struct Sleeper {
    calls: Receiver<()>,
    rounds: Arc<Rounds>,
}

/// A call, to wait for the round that answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Call(u64);

/// The last call, and the last one that a round has answered.
#[derive(Debug, Default)]
struct Rounds {
    calls: Mutex<(Call, Call)>,
    answered: Condvar,
}

impl Rounds {
    fn lock(&self) -> MutexGuard<'_, (Call, Call)> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a sleep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// Somebody called.
    Called,
    /// The time is up.
    TimeUp,
    /// Every [`Waker`] is gone: nobody needs this thread any more.
    Abandoned,
}

/// Makes both ends.
pub(super) fn wake() -> (Waker, Sleeper) {
    // Room for one call: a second one before the thread is up asks for the same round.
    let (sender, receiver) = sync_channel(1);
    let rounds = Arc::<Rounds>::default();
    (Waker { calls: sender, rounds: Arc::clone(&rounds) }, Sleeper { calls: receiver, rounds })
}

impl Waker {
    /// Ends the sleep, or the next one where the thread is awake.
    pub(super) fn wake(&self) -> Call {
        let call = {
            let (last, _) = &mut *self.rounds.lock();
            last.0 += 1;
            *last
        };
        // A full channel holds a call already; a closed one has nobody to wake.
        let _ = self.calls.try_send(());
        call
    }

    /// Waits, at most for `at_most`, until a round that began after the call is done; tells whether it is.
    pub(super) fn wait_for(&self, call: Call, at_most: Duration) -> bool {
        let waited = self.rounds.answered.wait_timeout_while(self.rounds.lock(), at_most, |(_, done)| *done < call);
        waited.unwrap_or_else(PoisonError::into_inner).0.1 >= call
    }
}

impl Sleeper {
    /// Sleeps until somebody calls, at most for `at_most`.
    pub(super) fn sleep(&self, at_most: Duration) -> Woken {
        match self.calls.recv_timeout(at_most) {
            Ok(()) => Woken::Called,
            Err(RecvTimeoutError::Timeout) => Woken::TimeUp,
            Err(RecvTimeoutError::Disconnected) => Woken::Abandoned,
        }
    }

    /// Begins a round; the calls up to now are those that it answers.
    pub(super) fn begin(&self) -> Call {
        self.rounds.lock().0
    }

    /// Tells those who wait that the round is done.
    pub(super) fn answer(&self, call: Call) {
        self.rounds.lock().1 = call;
        self.rounds.answered.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_kept_once_and_the_last_waker_ends_it() {
        let (waker, sleeper) = wake();
        waker.wake();
        waker.clone().wake();
        let long = Duration::from_mins(1);
        assert_eq!(sleeper.sleep(long), Woken::Called);
        assert_eq!(sleeper.sleep(Duration::ZERO), Woken::TimeUp);
        drop(waker);
        assert_eq!(sleeper.sleep(long), Woken::Abandoned);
    }

    #[test]
    fn a_round_answers_the_calls_before_it_and_none_after() {
        let (waker, sleeper) = wake();
        let first = waker.wake();
        let round = sleeper.begin();
        let second = waker.wake();
        assert!(!waker.wait_for(first, Duration::ZERO));
        sleeper.answer(round);
        assert!(waker.wait_for(first, Duration::ZERO) && !waker.wait_for(second, Duration::ZERO));
        let other = std::thread::spawn(move || sleeper.answer(sleeper.begin()));
        assert!(waker.wait_for(second, Duration::from_mins(1)));
        other.join().unwrap();
    }
}
