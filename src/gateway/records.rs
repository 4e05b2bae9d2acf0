//! The record of links as requests see it: read at most once a second, its faults as answers, and what requests note in it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use kube::Client;
use tokio::time::sleep;
use tracing::warn;

use super::memo::{Answer, Memo};
use super::problem::Problem;
use super::streams::Streams;
use crate::api::link::LinkId;
use crate::clock::Clock;
use crate::installation::link_places;
use crate::installation::link_record::{Pin, Record, RecordError, View};
use crate::installation::link_records::LinkRecords;
use crate::telemetry::chain;

/// How old the note of a link's use becomes before it is written anew.
const NOTE_AGAIN: Duration = Duration::from_mins(30);

/// How often it is looked which links are in use.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The API server does not answer. Another try may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unavailable;

impl Answer for Arc<View> {
    fn is_good(&self) -> bool {
        true
    }

    /// A link that is revoked at another replica opens nothing two seconds later.
    fn keep(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// The way to the record.
pub(super) struct Records {
    links: LinkRecords,
    clock: Arc<dyn Clock>,
    view: Memo<(), Arc<View>, Unavailable>,
}

impl Records {
    pub(super) fn new(client: Client, namespace: &str, clock: Arc<dyn Clock>) -> Self {
        let links = LinkRecords::new(client, namespace, Arc::clone(&clock));
        Self { view: Memo::new(Arc::clone(&clock), 1), clock, links }
    }

    /// Returns all links, as they were a second or two ago.
    ///
    /// # Errors
    /// A [`Problem`] where the API server does not answer: then no link opens anything.
    pub(super) async fn view(&self) -> Result<Arc<View>, Problem> {
        let records = self.links.clone();
        let ask = move || async move { Ok(Arc::new(read(&records).await?)) }.boxed();
        self.view.get(&(), ask).await.map_err(|Unavailable| unavailable("read"))
    }

    /// Returns all links as they are now, whichever replica changed them.
    ///
    /// # Errors
    /// As [`Records::view`].
    pub(super) async fn view_anew(&self) -> Result<View, Problem> {
        read(&self.links).await.map_err(|Unavailable| unavailable("read"))
    }

    /// Returns a link; one that is not among those known is looked for anew, since it may be a second old.
    ///
    /// # Errors
    /// As [`Records::view`].
    pub(super) async fn find(&self, id: LinkId) -> Result<Option<Record>, Problem> {
        if let Some(record) = self.view().await?.get(&id) {
            return Ok(Some(record.clone()));
        }
        self.view.forget(&());
        Ok(self.view().await?.get(&id).cloned())
    }

    /// Notes a new link.
    ///
    /// # Errors
    /// A [`Problem`] where there are too many, or where it cannot be written.
    pub(super) async fn add(&self, id: LinkId, record: &Record) -> Result<(), Problem> {
        self.change(|view| Ok(link_places::add(view, id, record.clone())?)).await
    }

    /// Revokes a link; tells whether there is one.
    ///
    /// # Errors
    /// A [`Problem`] where it cannot be written.
    pub(super) async fn revoke(&self, id: LinkId) -> Result<bool, Problem> {
        self.change(|view| {
            let found = view.get_mut(&id);
            Ok(found.map(|record| record.revoked = true).is_some())
        })
        .await
    }

    /// Pins a link to a snapshot, unless it is pinned; returns what it is pinned to.
    ///
    /// # Errors
    /// A [`Problem`] where it cannot be written.
    pub(super) async fn pin(&self, id: LinkId, pin: &Pin) -> Result<Pin, Problem> {
        let now = self.clock.now();
        self.change(|view| link_places::pin(view, id, pin, now)?.ok_or_else(revoked)).await
    }

    /// Notes that links are in use, of those that lose their places where they are not; a failure hinders nobody.
    pub(super) async fn note_use(&self, links: &[LinkId]) {
        let now = self.clock.now().truncated_to_millis();
        let is_due = |record: &Record| {
            let age = record.used.map(|used| now.saturating_since(used));
            record.in_status && age.is_none_or(|age| age >= NOTE_AGAIN)
        };
        let Ok(view) = self.view().await else { return };
        let due: Vec<&LinkId> = links.iter().filter(|id| view.get(id).is_some_and(is_due)).collect();
        if due.is_empty() {
            return;
        }
        let note = |view: &mut View| {
            for id in &due {
                if let Some(record) = view.get_mut(id) {
                    record.used = Some(now);
                }
            }
            Ok(())
        };
        if let Err(problem) = self.change(note).await {
            warn!(reason = problem.reason, "cannot note that links are in use");
        }
    }

    /// Notes which links' downloads run, for as long as it is polled.
    ///
    /// # Cancel safety
    /// Safe: a note is made whole or not at all.
    pub(super) async fn follow(&self, streams: &Streams) {
        loop {
            sleep(LOOK_AGAIN).await;
            let running = streams.links();
            if !running.is_empty() {
                self.note_use(&running).await;
            }
        }
    }

    async fn change<T>(&self, change: impl Fn(&mut View) -> Result<T, Problem>) -> Result<T, Problem> {
        let outcome = self.links.change(change).await?;
        self.view.forget(&());
        Ok(outcome)
    }
}

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Full => {
                let detail = "as many links live as can be recorded: revoke some (`kubectl tracecapture link revoke ID`), \
                              or wait until some expire";
                Self::new(http::StatusCode::CONFLICT, "TooManyLinks", detail)
            }
            RecordError::Share { namespace, links, left } => {
                let detail = format!(
                    "the namespace `{namespace}` has {links} links, and places for {left} are left to all others: revoke some \
                     of its own (`kubectl tracecapture link list NAME -n {namespace}` shows them, `kubectl tracecapture link \
                     revoke ID` ends one), or wait until some expire"
                );
                Self::new(http::StatusCode::CONFLICT, "TooManyLinks", detail)
            }
            RecordError::Busy => {
                Self::unavailable("LinksBusy", "others change links at the same time: try again in a few seconds")
            }
            RecordError::Read(_) | RecordError::Write(_) => {
                warn!(error = chain(&error), "cannot change the record of links");
                unavailable("changed")
            }
        }
    }
}

async fn read(records: &LinkRecords) -> Result<View, Unavailable> {
    records.read().await.map_err(|error| {
        warn!(error = chain(&error), "cannot read the record of links");
        Unavailable
    })
}

/// The answer to a link that was revoked.
pub(super) fn revoked() -> Problem {
    Problem::new(http::StatusCode::GONE, "LinkRevoked", "this link was revoked: ask for another one")
}

fn unavailable(what: &str) -> Problem {
    let detail = format!("the record of links cannot be {what} at present: try again in a few seconds");
    Problem::unavailable("LinksUnavailable", detail)
}
