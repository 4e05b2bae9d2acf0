//! The record of links: which there are, who made them, which were revoked. It holds nothing that opens anything.
//!
//! It is one `ConfigMap` of the installation's namespace, with one entry for each link, so that all replicas agree.
//! Every write replaces the version that was read; who comes second reads again. What has expired is dropped with the
//! next write. A link without an entry is revoked: whoever deletes the record ends all links.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, PostParams};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tracing::warn;

use super::memo::{Answer, Memo};
use super::problem::Problem;
use crate::api::link::{LinkId, LinkScope};
use crate::api::names::MANAGED_BY;
use crate::clock::{Clock, Timestamp};
use crate::installation::answer::optional;
use crate::telemetry::chain;

/// The `ConfigMap` of the record.
pub(super) const RECORD_NAME: &str = "tracecapture-links";

/// Links that live at a time.
const MAX_LINKS: usize = 1000;

/// Bytes of all entries: a `ConfigMap` may have 1 MiB.
const MAX_BYTES: usize = 768 << 10;

/// How often a write is tried that others were faster with.
const TRIES: u32 = 8;

/// What is known of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// The capture, as `namespace/name`.
    pub(super) capture: String,
    pub(super) uid: String,
    /// Who made it.
    pub(super) created_by: String,
    pub(super) created: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) scope: LinkScope,
    #[serde(default)]
    pub(super) revoked: bool,
    /// What its first download began with, and every further one gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pin: Option<Pin>,
}

/// What a link's downloads get, so that each goes on with the bytes that it began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pin {
    /// `None` where there is no snapshot that could be found again: then no download goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) snapshot: Option<String>,
    pub(super) bytes: u64,
}

/// All links.
pub(super) type View = BTreeMap<LinkId, Record>;

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
    api: Api<ConfigMap>,
    clock: Arc<dyn Clock>,
    view: Memo<(), Arc<View>, Unavailable>,
}

impl Records {
    pub(super) fn new(client: Client, namespace: &str, clock: Arc<dyn Clock>) -> Self {
        Self { api: Api::namespaced(client, namespace), view: Memo::new(Arc::clone(&clock), 1), clock }
    }

    /// Returns all links, as they were a second or two ago.
    ///
    /// # Errors
    /// A [`Problem`] where the API server does not answer: then no link opens anything.
    pub(super) async fn view(&self) -> Result<Arc<View>, Problem> {
        let api = self.api.clone();
        let ask = move || {
            async move {
                let read = optional(api.get(RECORD_NAME).await).map_err(|error| {
                    warn!(error = chain(&error), "cannot read the record of links");
                    Unavailable
                })?;
                Ok(Arc::new(read.as_ref().map(parse).unwrap_or_default()))
            }
            .boxed()
        };
        self.view.get(&(), ask).await.map_err(|Unavailable| unavailable())
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
        self.change(|view| {
            if view.len() >= MAX_LINKS {
                return Err(full());
            }
            view.insert(id, record.clone());
            Ok(())
        })
        .await
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

    /// Reads, changes and writes, until nobody was faster.
    async fn change<T>(&self, change: impl Fn(&mut View) -> Result<T, Problem>) -> Result<T, Problem> {
        for attempt in 0..TRIES {
            sleep(Duration::from_millis(20) * attempt).await;
            let read = optional(self.api.get(RECORD_NAME).await).map_err(|error| failed(&error))?;
            let mut view = read.as_ref().map(parse).unwrap_or_default();
            let before = view.clone();
            let now = self.clock.now();
            view.retain(|_, record| now < record.expires);
            let outcome = change(&mut view)?;
            if view == before {
                return Ok(outcome);
            }
            let data = write(&view)?;
            let written = match read {
                Some(object) => {
                    let object = ConfigMap { data: Some(data), ..object };
                    self.api.replace(RECORD_NAME, &PostParams::default(), &object).await
                }
                None => self.api.create(&PostParams::default(), &empty(data)).await,
            };
            match written {
                Ok(_) => {
                    self.view.forget(&());
                    return Ok(outcome);
                }
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Err(Problem::unavailable("LinksBusy", "others change links at the same time: try again in a few seconds"))
    }
}

/// The answer to a link that was revoked.
pub(super) fn revoked() -> Problem {
    Problem::new(http::StatusCode::GONE, "LinkRevoked", "this link was revoked: ask for another one")
}

fn full() -> Problem {
    let detail = "as many links live as can be recorded: revoke some, or wait until some expire";
    Problem::new(http::StatusCode::CONFLICT, "TooManyLinks", detail)
}

fn unavailable() -> Problem {
    Problem::unavailable(
        "LinksUnavailable",
        "the record of links cannot be read at present: try again in a few seconds",
    )
}

fn failed(error: &kube::Error) -> Problem {
    warn!(error = chain(error), "cannot change the record of links");
    Problem::unavailable(
        "LinksUnavailable",
        "the record of links cannot be changed at present: try again in a few seconds",
    )
}

/// Reads the entries; what is none is passed over, and so opens nothing.
fn parse(object: &ConfigMap) -> View {
    let entries = object.data.iter().flatten();
    entries.filter_map(|(id, text)| Some((id.parse().ok()?, serde_json::from_str(text).ok()?))).collect()
}

fn write(view: &View) -> Result<BTreeMap<String, String>, Problem> {
    let data: BTreeMap<String, String> =
        view.iter().map(|(id, record)| (id.to_string(), serde_json::to_string(record).unwrap_or_default())).collect();
    let bytes: usize = data.iter().map(|(id, text)| id.len() + text.len()).sum();
    if bytes > MAX_BYTES { Err(full()) } else { Ok(data) }
}

fn empty(data: BTreeMap<String, String>) -> ConfigMap {
    let metadata = ObjectMeta {
        name: Some(RECORD_NAME.to_owned()),
        labels: Some(BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned())])),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, data: Some(data), ..ConfigMap::default() }
}
