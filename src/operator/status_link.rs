//! `download.statusLink: Signed`: the signed link in the status, kept fresh.
//!
//! The record of links is the truth: which link of a capture is for its status, and until when. Its text is made of
//! that entry and of the key, the same at every visit; so nothing is remembered here, nothing is lost with a status
//! that could not be written, and an exchange of keys shows at the next visit.
//!
//! # Invariants
//! - The text of a link goes into the status and nowhere else: no log, no event, no message.
//! - A capture that nobody downloads has a write for each renewal and no other.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use thiserror::Error;
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::status::LinkNews;
use crate::api::link::{LinkId, LinkKeys, LinkScope};
use crate::api::{LinkStatus, StatusLink, ValidCapture};
use crate::clock::{Clock, Timestamp};
use crate::installation::answer::told;
use crate::installation::link_keys::{KeptKeys, LinkKeyError};
use crate::installation::link_places::add;
use crate::installation::link_record::{Record, RecordError, View};
use crate::installation::link_records::LinkRecords;
use crate::telemetry::chain;

/// How long a link lives, unless links may not live that long. It is renewed at half of that.
const LIFE: Duration = Duration::from_hours(24);

/// A link that was downloaded from hands out what there was then, so that it can be gone on with. After this part of
/// its life another one is shown in its stead, which hands out what there is by then: an hour of a day. It stays open
/// itself until its place in the record is needed and nobody uses it any more.
const USED_PART: u32 = 24;

/// How long what was read counts: as long as the gateways take to notice an exchange of keys.
const READ_AGAIN: Duration = Duration::from_secs(10);

/// Who made these links, as lists show it.
const MAKER: &str = "tracecapture-operator";

/// What links are made of, and where they are noted.
pub(super) struct StatusLinks {
    client: Client,
    namespace: String,
    records: LinkRecords,
    clock: Arc<dyn Clock>,
    /// What a link may live at most.
    life: Duration,
    read: Mutex<Option<Read>>,
}

/// What was read, and when.
#[derive(Clone)]
struct Read {
    at: Duration,
    keys: Arc<LinkKeys>,
    links: Arc<View>,
}

/// Why there is no link, or why it did not end.
#[derive(Debug, Error)]
enum LinkError {
    /// The keys cannot be had.
    #[error("cannot have the keys of links")]
    Keys(#[from] LinkKeyError),
    /// The record cannot be read or changed.
    #[error("cannot note the link")]
    Record(#[from] RecordError),
    /// The system gives no random numbers.
    #[error("cannot draw the id of a link")]
    Draw,
}

/// The capture whose status is looked at.
pub(super) struct Of<'a> {
    pub(super) capture: &'a ValidCapture,
    pub(super) uid: &'a str,
    /// Where the gateway is reached; without it there is no link.
    pub(super) public_url: Option<&'a str>,
    /// Whether the status shows a link.
    pub(super) shows_one: bool,
}

impl StatusLinks {
    /// Makes links of at most `max_life`.
    pub(super) fn new(client: &Client, namespace: &str, clock: &Arc<dyn Clock>, max_life: Duration) -> Self {
        Self {
            client: client.clone(),
            namespace: namespace.to_owned(),
            records: LinkRecords::new(client.clone(), namespace, Arc::clone(clock)),
            clock: Arc::clone(clock),
            life: LIFE.min(max_life),
            read: Mutex::new(None),
        }
    }

    /// Makes, renews or ends the link of a capture, as it asks for; else does nothing.
    ///
    /// # Cancel safety
    /// A link that was noted is found again at the next visit.
    pub(super) async fn keep(&self, of: &Of<'_>) -> LinkNews {
        let download = &of.capture.spec().download;
        let is_wanted = download.enabled && download.status_link == StatusLink::Signed;
        let kept = match of.public_url.filter(|_| is_wanted) {
            Some(base) => self.current(of, base).await.map(LinkNews::On),
            None if of.shows_one => self.end(of).await.map(|()| LinkNews::Off),
            None => Ok(LinkNews::Off),
        };
        kept.unwrap_or_else(|error| {
            let why = told(&error);
            warn!(error = chain(&error), "the signed link in the status stays as it is");
            LinkNews::Failed(why)
        })
    }

    /// Returns the link that is good for now; made anew where none is.
    async fn current(&self, of: &Of<'_>, base: &str) -> Result<LinkStatus, LinkError> {
        let now = self.clock.now();
        let Read { keys, links, .. } = self.read().await?;
        let (id, record) = match fresh(&links, of.uid, now, self.life) {
            Some((id, record)) => (id, record.clone()),
            None => self.make(of, now).await?,
        };
        let url = format!("{base}{}", keys.sign(&record.link(id)).expose_path());
        Ok(LinkStatus { id: id.prefix(), url, expiration_time: record.expires.to_string() })
    }

    async fn make(&self, of: &Of<'_>, now: Timestamp) -> Result<(LinkId, Record), LinkError> {
        let (drawn, capture) = (LinkId::draw().map_err(|_| LinkError::Draw)?, of.capture.id().to_string());
        let record = Record::new((&capture, of.uid), MAKER, LinkScope::default(), now, self.life);
        let record = Record { in_status: true, ..record };
        let change = |links: &mut View| -> Result<(LinkId, Record), LinkError> {
            // What was read may be some seconds old.
            if let Some((id, found)) = fresh(links, of.uid, now, self.life) {
                return Ok((id, found.clone()));
            }
            add(links, drawn, record.clone())?;
            Ok((drawn, record.clone()))
        };
        let (id, record) = self.records.change(change).await?;
        *self.read.lock().await = None;
        if id == drawn {
            info!(link = id.prefix(), capture, expires = %record.expires, "made a link for the status");
        }
        Ok((id, record))
    }

    /// Revokes every link that was made for the status of a capture.
    async fn end(&self, of: &Of<'_>) -> Result<(), LinkError> {
        let change = |links: &mut View| -> Result<(), LinkError> {
            for record in links.values_mut().filter(|record| record.in_status && record.uid == of.uid) {
                record.revoked = true;
            }
            Ok(())
        };
        self.records.change(change).await?;
        *self.read.lock().await = None;
        info!(capture = %of.capture.id(), "revoked the links that were made for the status");
        Ok(())
    }

    /// Reads keys and links, or returns what was read a moment ago.
    async fn read(&self) -> Result<Read, LinkError> {
        let now = self.clock.monotonic();
        let mut known = self.read.lock().await;
        if let Some(read) = known.as_ref().filter(|read| now.saturating_sub(read.at) < READ_AGAIN) {
            return Ok(read.clone());
        }
        let keys = KeptKeys::obtain(&self.client, &self.namespace).await?.load();
        let read = Read { at: now, keys, links: Arc::new(self.records.read().await?) };
        *known = Some(read.clone());
        Ok(read)
    }
}

/// Returns the newest link for the status of a capture, unless it is time for another one.
fn fresh<'a>(links: &'a View, uid: &str, now: Timestamp, life: Duration) -> Option<(LinkId, &'a Record)> {
    let is_of_status = |record: &Record| record.in_status && record.uid == uid && !record.revoked;
    let of_status = links.iter().filter(|(_, record)| is_of_status(record) && now < record.expires);
    let (id, newest) = of_status.max_by_key(|(_, record)| record.created)?;
    let (age, left) = (now.saturating_since(newest.created), newest.expires.saturating_since(now));
    let is_used_up = newest.pin.is_some() && age >= life / USED_PART;
    // More than a life is left where links were allowed to live longer before.
    (!is_used_up && left > life / 2 && left <= life).then_some((*id, newest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::installation::link_record::Pin;

    const DAY: Duration = LIFE;

    fn hours(n: u64) -> Duration {
        Duration::from_hours(n)
    }

    fn start() -> Timestamp {
        "2026-11-21T10:30:45.5Z".parse().unwrap()
    }

    fn record() -> Record {
        let record = Record::new(("shop/checkout", "u-1"), MAKER, LinkScope::default(), start(), DAY);
        Record { in_status: true, ..record }
    }

    /// Checks whether a link is still the one to show after some hours.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Record), hours_later: u64, expected: bool) {
        let mut record = record();
        change(&mut record);
        let links = View::from([("000102030405060708090a0b0c0d0e0f".parse().unwrap(), record)]);
        let now = start().saturating_add(hours(hours_later));
        assert_eq!(fresh(&links, "u-1", now, DAY).is_some(), expected);
    }

    #[test]
    fn a_link_is_renewed_at_half_of_its_life() {
        check(|_| {}, 0, true);
        check(|_| {}, 11, true);
        check(|_| {}, 12, false);
        check(|_| {}, 30, false);
    }

    #[test]
    fn a_link_that_was_used_is_renewed_after_an_hour() {
        let used = |record: &mut Record| record.pin = Some(Pin { snapshot: None, bytes: 1 });
        check(used, 0, true);
        check(used, 1, false);
    }

    #[test]
    fn links_of_others_and_ended_ones_do_not_count() {
        check(|record| record.revoked = true, 0, false);
        check(|record| record.in_status = false, 0, false);
        check(|record| record.uid = "u-2".to_owned(), 0, false);
        check(|record| record.expires = record.expires.saturating_add(hours(48)), 0, false);
    }
}
