//! What of a running collector can be changed, and what time changes by itself.
//!
//! Settings are *asked for*; those *in effect* follow from them and the clock. Everybody
//! reads the ones in effect, and here alone they are made, so stopping on time is no
//! different from being stopped by hand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::info;

use super::wake::Waker;
use crate::api::State;
use crate::clock::Clock;
use crate::settings::{LiveSettings, ReceiveSettings};
use crate::shutdown::Shutdown;

/// How long the clock is not looked at, at the most: wall time may jump, and timers do not see it.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// What of a running collector can be changed; clones change the same one.
#[derive(Clone)]
pub struct Controls {
    asked: Arc<Mutex<LiveSettings>>,
    live: Arc<ArcSwap<LiveSettings>>,
    receive: Arc<ArcSwap<ReceiveSettings>>,
    clock: Arc<dyn Clock>,
    changed: Arc<Notify>,
    keeper: Waker,
}

impl Controls {
    /// Makes the controls of a collector that works by `asked`, as far as it is time for them.
    pub(super) fn new(asked: LiveSettings, clock: Arc<dyn Clock>, keeper: Waker) -> Self {
        let live = asked.at(clock.now());
        Self {
            receive: Arc::new(ArcSwap::from_pointee(live.receive())),
            live: Arc::new(ArcSwap::from_pointee(live)),
            asked: Arc::new(Mutex::new(asked)),
            clock,
            changed: Arc::default(),
            keeper,
        }
    }

    /// Takes up other settings, from the next request and the next chunk on.
    pub fn apply(&self, asked: LiveSettings) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        self.refresh();
        self.changed.notify_one();
    }

    /// Returns where the settings in effect are found.
    pub(super) fn live(&self) -> Arc<ArcSwap<LiveSettings>> {
        Arc::clone(&self.live)
    }

    /// Returns where those of the endpoint are found.
    pub(super) fn receive(&self) -> Arc<ArcSwap<ReceiveSettings>> {
        Arc::clone(&self.receive)
    }

    /// Stops the capture when its time has come, and lets it go on where that time was moved, until the stage stops.
    ///
    /// # Cancel safety
    /// Safe: it holds no state.
    pub(super) async fn keep_time(self, stage: Shutdown) {
        loop {
            let next = self.refresh().unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
            tokio::select! {
                () = stage.requested() => return,
                () = self.changed.notified() => {}
                () = sleep(next) => {}
            }
        }
    }

    /// Brings into effect what was asked for, as of now; returns in how long that has to be done again.
    fn refresh(&self) -> Option<Duration> {
        // Held until the end, so that of two callers the one with the older settings is not the last.
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let (live, before) = (asked.at(now), self.live.load_full());
        if live != *before {
            if live.state == State::Stopped && asked.state == State::Running && before.state == State::Running {
                info!("the capture's time is over: spans are refused from now on");
            }
            self.receive.store(Arc::new(live.receive()));
            self.live.store(Arc::new(live));
            // Limits of retention and recovery hold at once, not from the next sweep on.
            self.keeper.wake();
        }
        asked.next_change(now)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BEGIN, small_chunks};
    use super::super::wake::wake;
    use super::*;
    use crate::clock::ManualClock;
    use crate::settings::ReceiveState;

    fn ending_in(seconds: u64) -> LiveSettings {
        LiveSettings { stop_time: Some(BEGIN.saturating_add(Duration::from_secs(seconds))), ..small_chunks() }
    }

    fn is_stopped(controls: &Controls) -> bool {
        let (live, receive) = (controls.live.load().state, controls.receive.load().state);
        assert_eq!(live == State::Stopped, receive == ReceiveState::Stopped);
        live == State::Stopped
    }

    #[test]
    fn a_capture_stops_on_time_and_goes_on_where_the_time_is_moved() {
        let clock = Arc::new(ManualClock::new(BEGIN));
        let controls = Controls::new(ending_in(60), clock.clone(), wake().0);
        assert!(!is_stopped(&controls));
        clock.advance(Duration::from_secs(59));
        assert_eq!(controls.refresh(), Some(Duration::from_secs(1)));
        assert!(!is_stopped(&controls));
        clock.advance(Duration::from_secs(1));
        assert_eq!(controls.refresh(), None);
        assert!(is_stopped(&controls));
        controls.apply(ending_in(90));
        assert!(!is_stopped(&controls));
        controls.apply(LiveSettings { state: State::Stopped, ..ending_in(90) });
        assert!(is_stopped(&controls));
        controls.apply(ending_in(1));
        assert!(is_stopped(&controls), "it ended long ago");
        assert!(is_stopped(&Controls::new(ending_in(1), clock, wake().0)), "also at the start");
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_is_looked_at_until_the_stage_stops() {
        let (clock, stage) = (Arc::new(ManualClock::new(BEGIN)), Shutdown::new());
        let controls = Controls::new(ending_in(3600), clock.clone(), wake().0);
        stage.spawn("keep time", controls.clone().keep_time(stage.clone()));
        tokio::task::yield_now().await;
        // Wall time jumps; no timer of a whole hour would notice.
        clock.set_wall(BEGIN.saturating_add(Duration::from_hours(1)));
        tokio::time::sleep(LONGEST_SLEEP * 2).await;
        assert!(is_stopped(&controls));
        assert!(stage.stop("test", Duration::from_secs(1)).await);
    }
}
