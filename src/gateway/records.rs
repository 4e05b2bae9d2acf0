//! The record of links as requests see it: read at most once a second, and its faults as answers.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use kube::Client;
use tracing::warn;

use super::memo::{Answer, Memo};
use super::problem::Problem;
use crate::api::link::LinkId;
use crate::clock::Clock;
use crate::installation::link_records::{LinkRecords, Pin, Record, RecordError, View, add};
use crate::telemetry::chain;

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
    records: LinkRecords,
    view: Memo<(), Arc<View>, Unavailable>,
}

impl Records {
    pub(super) fn new(client: Client, namespace: &str, clock: Arc<dyn Clock>) -> Self {
        Self { view: Memo::new(Arc::clone(&clock), 1), records: LinkRecords::new(client, namespace, clock) }
    }

    /// Returns all links, as they were a second or two ago.
    ///
    /// # Errors
    /// A [`Problem`] where the API server does not answer: then no link opens anything.
    pub(super) async fn view(&self) -> Result<Arc<View>, Problem> {
        let records = self.records.clone();
        let ask = move || {
            async move {
                let read = records.read().await.map_err(|error| {
                    warn!(error = chain(&error), "cannot read the record of links");
                    Unavailable
                })?;
                Ok(Arc::new(read))
            }
            .boxed()
        };
        self.view.get(&(), ask).await.map_err(|Unavailable| unavailable("read"))
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
        self.change(|view| Ok(add(view, id, record.clone())?)).await
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
        self.change(|view| {
            let record = view.get_mut(&id).ok_or_else(revoked)?;
            Ok(record.pin.get_or_insert_with(|| pin.clone()).clone())
        })
        .await
    }

    async fn change<T>(&self, change: impl Fn(&mut View) -> Result<T, Problem>) -> Result<T, Problem> {
        let outcome = self.records.change(change).await?;
        self.view.forget(&());
        Ok(outcome)
    }
}

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Full => {
                let detail = "as many links live as can be recorded: revoke some, or wait until some expire";
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

/// The answer to a link that was revoked.
pub(super) fn revoked() -> Problem {
    Problem::new(http::StatusCode::GONE, "LinkRevoked", "this link was revoked: ask for another one")
}

fn unavailable(what: &str) -> Problem {
    let detail = format!("the record of links cannot be {what} at present: try again in a few seconds");
    Problem::unavailable("LinksUnavailable", detail)
}
