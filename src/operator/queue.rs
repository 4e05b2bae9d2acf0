//! Which capture is visited when: a plain structure that takes the time as an argument.
//!
//! # Invariants
//! - A capture is visited by one visit at a time.
//! - A reason to visit that comes during a visit leads to another one; none is lost.
//! - Reasons that come close together lead to one visit.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use crate::ids::CaptureId;

/// Captures that wait for a visit, and those that are being visited.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// When each capture is due, earliest first; times are those of one monotonic clock.
    order: BTreeSet<(Duration, CaptureId)>,
    due: HashMap<CaptureId, Duration>,
    active: HashSet<CaptureId>,
}

impl Queue {
    /// Wants a visit at `at`, or earlier where one is wanted earlier already.
    pub(super) fn push(&mut self, id: &CaptureId, at: Duration) {
        if self.due.get(id).is_none_or(|&due| at < due) {
            self.set(id, at);
        }
    }

    /// Takes the capture that is due first, where one is due and not being visited.
    pub(super) fn pop(&mut self, now: Duration) -> Option<CaptureId> {
        let due = self.order.iter().take_while(|(at, _)| *at <= now);
        let id = due.map(|(_, id)| id).find(|id| !self.active.contains(*id))?.clone();
        self.unset(&id);
        self.active.insert(id.clone());
        Some(id)
    }

    /// Returns when the next capture that is not being visited is due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.order.iter().find(|(_, id)| !self.active.contains(id)).map(|(at, _)| *at)
    }

    /// Ends a visit; the next is at `again`, or earlier where a reason came during the visit.
    pub(super) fn done(&mut self, id: &CaptureId, again: Option<Duration>) {
        self.active.remove(id);
        if let Some(at) = again {
            self.push(id, at);
        }
    }

    /// Ends a visit that failed: it is repeated at `again` and not earlier, whatever came meanwhile.
    ///
    /// The reasons that a failing visit makes itself would else undo its wait.
    pub(super) fn failed(&mut self, id: &CaptureId, again: Duration) {
        self.active.remove(id);
        self.unset(id);
        self.set(id, again);
    }

    /// Wants no visit of a capture that is gone.
    pub(super) fn forget(&mut self, id: &CaptureId) {
        self.unset(id);
    }

    /// Returns how many captures are due by `now`.
    pub(super) fn depth(&self, now: Duration) -> usize {
        self.order.iter().take_while(|(at, _)| *at <= now).count()
    }

    /// Returns how many captures are being visited.
    pub(super) fn active(&self) -> usize {
        self.active.len()
    }

    fn set(&mut self, id: &CaptureId, at: Duration) {
        self.unset(id);
        self.due.insert(id.clone(), at);
        self.order.insert((at, id.clone()));
    }

    fn unset(&mut self, id: &CaptureId) {
        if let Some(at) = self.due.remove(id) {
            self.order.remove(&(at, id.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> CaptureId {
        CaptureId::new("shop", name).unwrap()
    }

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_earliest_comes_first_and_reasons_merge() {
        let mut queue = Queue::default();
        queue.push(&id("a"), second(5));
        queue.push(&id("b"), second(3));
        queue.push(&id("b"), second(9));
        assert_eq!((queue.next_due(), queue.pop(second(2))), (Some(second(3)), None));
        assert_eq!(queue.pop(second(5)), Some(id("b")));
        assert_eq!(queue.pop(second(5)), Some(id("a")));
        assert_eq!(queue.pop(second(99)), None);
    }

    #[test]
    fn a_reason_during_a_visit_leads_to_another_one() {
        let mut queue = Queue::default();
        queue.push(&id("a"), second(0));
        assert_eq!(queue.pop(second(0)), Some(id("a")));
        queue.push(&id("a"), second(1));
        assert_eq!((queue.pop(second(2)), queue.next_due()), (None, None));
        queue.done(&id("a"), Some(second(30)));
        assert_eq!(queue.pop(second(2)), Some(id("a")));
    }

    #[test]
    fn a_failed_visit_waits() {
        let mut queue = Queue::default();
        queue.push(&id("a"), second(0));
        queue.pop(second(0));
        queue.push(&id("a"), second(1));
        queue.failed(&id("a"), second(8));
        assert_eq!((queue.pop(second(7)), queue.pop(second(8))), (None, Some(id("a"))));
    }

    #[test]
    fn what_is_gone_is_not_visited() {
        let mut queue = Queue::default();
        queue.push(&id("a"), second(0));
        queue.forget(&id("a"));
        assert_eq!((queue.pop(second(9)), queue.depth(second(9)), queue.active()), (None, 0, 0));
    }
}
