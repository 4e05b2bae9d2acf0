//! Places in the record of links: who gets one, and which links give theirs up. Pure.
//!
//! The record is one object, so it holds so many links and no more. A namespace gets a place while it has fewer than
//! are left to all others: the first one may have half of them, and nobody takes the last.
//!
//! Two kinds of links hold no place against anybody, and go where the room is needed. Those that were revoked: a link
//! without an entry is revoked, too. And those of a status that were downloaded from, gave way to newer ones, and have been
//! in use by nobody for a while: whoever reads the status finds the newer one. What was replaced before its first
//! download stays, because somebody may have taken its address along.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::link_record::{MAX_BYTES, MAX_LINKS, Pin, Record, RecordError, View};
use crate::api::link::LinkId;
use crate::clock::Timestamp;

/// What an entry counts at least, in bytes: twice what most have.
const PLACE: usize = MAX_BYTES / MAX_LINKS;

/// How long a link of a status that was replaced has been in use by nobody when it may go. A download that was cut
/// is gone on with within minutes, and use is noted every half hour.
const IDLE: Duration = Duration::from_hours(3);

/// Adds a link to the others.
///
/// # Errors
/// [`RecordError::Full`] and [`RecordError::Share`]: a retry helps once links have ended.
pub fn add(view: &mut View, id: LinkId, record: Record) -> Result<(), RecordError> {
    admit(view, &record, weight(&record), record.created)?;
    view.insert(id, record);
    Ok(())
}

/// Pins a link, unless it is pinned; returns what it is pinned to, `None` where there is no such link.
///
/// # Errors
/// As [`add`], where what is pinned takes more room than an entry has.
pub fn pin(view: &mut View, id: LinkId, pin: &Pin, now: Timestamp) -> Result<Option<Pin>, RecordError> {
    let Some(record) = view.get(&id) else { return Ok(None) };
    if let Some(pin) = &record.pin {
        return Ok(Some(pin.clone()));
    }
    let pinned = Record { pin: Some(pin.clone()), used: Some(now.truncated_to_millis()), ..record.clone() };
    let more = weight(&pinned).saturating_sub(weight(record));
    if more > 0 {
        admit(view, &pinned, more, now)?;
    }
    view.insert(id, pinned);
    Ok(Some(pin.clone()))
}

/// Drops links that hold no place, one after the other, until all entries fit.
pub(super) fn fit(view: &mut View, now: Timestamp) {
    let mut taken: usize = view.values().map(weight).sum();
    if taken <= MAX_BYTES {
        return;
    }
    for id in spare(view, now) {
        if taken <= MAX_BYTES {
            break;
        }
        taken -= view.remove(&id).as_ref().map_or(0, weight);
    }
}

/// Checks that the namespace of a link may have `needed` more bytes.
fn admit(view: &View, record: &Record, needed: usize, now: Timestamp) -> Result<(), RecordError> {
    let spare: HashSet<LinkId> = spare(view, now).into_iter().collect();
    let namespace = namespace_of(record);
    let (mut taken, mut own, mut links) = (0, 0, 0);
    for (_, record) in view.iter().filter(|(id, _)| !spare.contains(id)) {
        let weight = weight(record);
        taken += weight;
        if namespace_of(record) == namespace {
            (own, links) = (own + weight, links + 1);
        }
    }
    let left = MAX_BYTES.saturating_sub(taken);
    if needed > left {
        return Err(RecordError::Full);
    }
    if own + needed > left {
        return Err(RecordError::Share { namespace: namespace.to_owned(), links, left: left / PLACE });
    }
    Ok(())
}

/// Returns the links that hold no place, in the order in which they go: revoked ones, then those that are unused for the longest time.
fn spare(view: &View, now: Timestamp) -> Vec<LinkId> {
    let mut newest: HashMap<&str, Timestamp> = HashMap::new();
    for record in view.values().filter(|record| record.in_status && !record.revoked) {
        let newest = newest.entry(&record.uid).or_insert(record.created);
        *newest = record.created.max(*newest);
    }
    let last_used = |record: &Record| record.used.unwrap_or(record.created);
    let is_replaced =
        |record: &Record| record.in_status && newest.get(&*record.uid).is_some_and(|newest| record.created < *newest);
    let is_idle = |record: &Record| record.pin.is_some() && now.saturating_since(last_used(record)) >= IDLE;
    let is_spare = |record: &Record| record.revoked || (is_replaced(record) && is_idle(record));
    let mut spare: Vec<(&LinkId, &Record)> = view.iter().filter(|(_, record)| is_spare(record)).collect();
    spare.sort_by_key(|(_, record)| (!record.revoked, last_used(record)));
    spare.into_iter().map(|(id, _)| *id).collect()
}

/// Returns what an entry counts, in bytes.
fn weight(record: &Record) -> usize {
    // Texts, numbers and instants always have a JSON form; an id has 32 digits.
    serde_json::to_string(record).map_or(PLACE, |text| PLACE.max(32 + text.len()))
}

fn namespace_of(record: &Record) -> &str {
    record.capture.split_once('/').map_or(&*record.capture, |(namespace, _)| namespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::link::LinkScope;

    fn now() -> Timestamp {
        "2026-11-21T10:30:45Z".parse().unwrap()
    }

    /// An open link that was made some hours ago.
    fn open(capture: &str, hours: u64) -> Record {
        let created = now().saturating_sub(Duration::from_hours(hours));
        Record::new((capture, capture), "ada", LinkScope::default(), created, Duration::from_hours(168))
    }

    /// A link of a status that was downloaded from, made some hours ago.
    fn used(capture: &str, hours: u64) -> Record {
        let pin = Some(Pin { snapshot: Some("s".to_owned()), bytes: 1 });
        Record { in_status: true, pin, ..open(capture, hours) }
    }

    fn fill(view: &mut View, records: impl IntoIterator<Item = Record>) {
        view.extend(records.into_iter().map(|record| (LinkId::draw().unwrap(), record)));
    }

    /// Adds links to others until it is refused; returns how many it was.
    fn added(view: &mut View, record: &Record) -> usize {
        (0..=MAX_LINKS).take_while(|_| add(view, LinkId::draw().unwrap(), record.clone()).is_ok()).count()
    }

    #[test]
    fn every_namespace_leaves_as_much_as_it_takes() {
        let mut view = View::new();
        let n = ["a", "b", "c", "d"].map(|namespace| added(&mut view, &open(&format!("{namespace}/x"), 0)));
        assert_eq!(n, [500, 250, 125, 63]);
        let refused = add(&mut view, LinkId::draw().unwrap(), open("a/y", 0));
        assert!(matches!(refused, Err(RecordError::Share { links: 500, left: 62, .. })), "{refused:?}");
        fill(&mut view, (0..62).map(|_| open("e/x", 0)));
        assert!(matches!(add(&mut view, LinkId::draw().unwrap(), open("f/x", 0)), Err(RecordError::Full)));
    }

    /// Fills every place but one with links that stay and, first, with `records`; checks which of these give way to three more links.
    #[track_caller]
    fn check(records: Vec<Record>, stay: &[bool]) {
        let mut view = View::new();
        let ids: Vec<LinkId> = records.iter().map(|_| LinkId::draw().unwrap()).collect();
        view.extend(ids.iter().copied().zip(records));
        let n = view.len();
        fill(&mut view, (n..MAX_LINKS).map(|n| open(&format!("n-{n}/x"), 1)));
        for n in 0..3 {
            let _ = add(&mut view, LinkId::draw().unwrap(), open(&format!("new-{n}/x"), 0));
            fit(&mut view, now());
        }
        assert_eq!(ids.iter().map(|id| view.contains_key(id)).collect::<Vec<_>>(), stay);
        assert_eq!(view.len(), MAX_LINKS);
    }

    #[test]
    fn revoked_links_go_first_and_the_longest_unused_before_others() {
        let revoked = |hours| Record { revoked: true, ..open("shop/x", hours) };
        check(
            vec![used("shop/x", 9), used("shop/x", 8), used("shop/x", 7), used("shop/x", 0)],
            &[false, false, false, true],
        );
        check(
            vec![used("shop/x", 9), used("shop/x", 8), used("shop/x", 0), revoked(0), revoked(9)],
            &[false, true, true, false, false],
        );
    }

    #[test]
    fn what_may_be_in_use_or_stands_in_a_status_stays() {
        check(vec![used("shop/x", 9)], &[true]);
        check(vec![used("shop/x", 9), used("shop/y", 0)], &[true, true]);
        check(vec![used("shop/x", 2), used("shop/x", 0)], &[true, true]);
        check(vec![Record { pin: None, ..used("shop/x", 9) }, used("shop/x", 0)], &[true, true]);
        check(vec![Record { in_status: false, ..used("shop/x", 9) }, used("shop/x", 0)], &[true, true]);
        let running = Record { used: Some(now().saturating_sub(Duration::from_hours(1))), ..used("shop/x", 9) };
        check(vec![running, used("shop/x", 0)], &[true, true]);
        // The newer one was revoked, so the status is about to show another one.
        check(vec![used("shop/x", 9), Record { revoked: true, ..used("shop/x", 0) }], &[true, false]);
    }

    #[test]
    fn long_entries_count_for_what_they_are() {
        let long = Pin { snapshot: Some("s".repeat(4096)), bytes: 1 };
        let mut view = View::new();
        fill(&mut view, (0..400).map(|_| open("shop/x", 0)));
        let ids: Vec<LinkId> = view.keys().copied().collect();
        let n = ids.iter().take_while(|id| pin(&mut view, **id, &long, now()).is_ok()).count();
        assert!((10..100).contains(&n), "{n}");
        let of_other = added(&mut view, &open("other/x", 0));
        assert!((245..=255).contains(&of_other), "half of the other half: {of_other}");
        assert!(matches!(pin(&mut view, LinkId::draw().unwrap(), &long, now()), Ok(None)));
    }
}
