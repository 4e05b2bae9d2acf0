//! What probes ask: whether the parts are alive, and whether a span sent now would land on the disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::health::{Health, StorageHealth};

/// The end of a [`Pulse`] that its thread holds: dropped, also by a panic, the thread counts as dead.
pub(super) struct Beating(#[expect(dead_code, reason = "only that it lives counts")] Arc<()>);

/// Tells whether a thread is alive.
#[derive(Debug, Clone)]
pub(super) struct Pulse(Weak<()>);

/// How a collector is; clones speak of the same one.
#[derive(Debug, Clone)]
pub(super) struct Vitals {
    pub(super) health: Health,
    pub(super) appender: Pulse,
    pub(super) keeper: Pulse,
    pub(super) draining: Draining,
}

/// Whether a collector has begun to end.
#[derive(Debug, Clone, Default)]
pub(super) struct Draining(Arc<AtomicBool>);

/// Makes both ends.
pub(super) fn pulse() -> (Beating, Pulse) {
    let beating = Arc::new(());
    let pulse = Pulse(Arc::downgrade(&beating));
    (Beating(beating), pulse)
}

impl Pulse {
    fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl Draining {
    /// Notes that it has.
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Vitals {
    /// Fails where only a restart helps: a thread has ended that never should.
    pub(super) fn live(&self) -> Result<(), String> {
        match self.dead() {
            // Threads end while it drains, and it ends by itself.
            Some(thread) if !self.draining.has_begun() => Err(format!("the {thread} ended unexpectedly")),
            _ => Ok(()),
        }
    }

    /// Fails where a span sent now would not land on the disk.
    ///
    /// A capture that is stopped is ready: it does what it was asked to, and refuses spans in OTLP's own way.
    pub(super) fn ready(&self) -> Result<(), String> {
        if self.draining.has_begun() {
            return Err("the collector is ending".to_owned());
        }
        self.live()?;
        match self.health.storage() {
            StorageHealth::Ok => Ok(()),
            StorageHealth::Full { message } | StorageHealth::Failed { message } => Err(message),
        }
    }

    fn dead(&self) -> Option<&'static str> {
        [(&self.appender, "appender"), (&self.keeper, "keeper")]
            .into_iter()
            .find_map(|(pulse, name)| (!pulse.is_alive()).then_some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(vitals: &Vitals, live: Result<(), &str>, ready: Result<(), &str>) {
        let owned = |result: Result<(), &str>| result.map_err(str::to_owned);
        assert_eq!((vitals.live(), vitals.ready()), (owned(live), owned(ready)));
    }

    #[test]
    fn a_dead_thread_needs_a_restart_and_a_bad_volume_does_not() {
        let ((writes, appender), (keeps, keeper)) = (pulse(), pulse());
        let vitals = Vitals { health: Health::new(), appender, keeper, draining: Draining::default() };
        check(&vitals, Ok(()), Ok(()));
        vitals.health.set(StorageHealth::Full { message: "no space".to_owned() });
        check(&vitals, Ok(()), Err("no space"));
        drop(keeps);
        check(&vitals, Err("the keeper ended unexpectedly"), Err("the keeper ended unexpectedly"));
        let panicked = std::thread::spawn(move || {
            let panics = |_: &Beating| panic!("as a fault of ours would");
            panics(&writes);
        });
        assert!(panicked.join().is_err());
        check(&vitals, Err("the appender ended unexpectedly"), Err("the appender ended unexpectedly"));
        vitals.draining.begin();
        check(&vitals, Ok(()), Err("the collector is ending"));
    }
}
