//! The record of links: which there are, who made them, which were revoked. It holds nothing that opens anything.
//!
//! It is one `ConfigMap` of the installation's namespace, with one entry for each link, so that all processes agree.
//! Every write replaces the version that was read; who comes second reads again. What has expired is dropped with the
//! next write. A link without an entry is revoked: whoever deletes the record ends all links.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, PostParams};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::sleep;

use super::answer::optional;
use super::link_places::{MAX_BYTES, MAX_LINKS, fit};
use crate::api::link::{Link, LinkId, LinkScope};
use crate::api::names::MANAGED_BY;
use crate::clock::{Clock, Timestamp};

/// The `ConfigMap` of the record.
pub const RECORD_NAME: &str = "tracecapture-links";

/// How often a write is tried that others were faster with.
const TRIES: u32 = 8;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What is known of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The capture, as `namespace/name`.
    pub capture: String,
    /// The UID of the capture.
    pub uid: String,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends; a whole second.
    pub expires: Timestamp,
    /// Which spans it opens.
    pub scope: LinkScope,
    /// Whether somebody ended it.
    #[serde(default)]
    pub revoked: bool,
    /// Whether it was made for the status of its capture, where everybody who reads the object finds it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub in_status: bool,
    /// What its first download began with, and every further one gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// When its first download began; of a link for a status, when it was last in use, half an hour more or less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Timestamp>,
}

/// What a link's downloads get, so that each goes on with the bytes that it began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// `None` where there is no snapshot that could be found again: then no download goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// The length of what is downloaded.
    pub bytes: u64,
}

/// All links.
pub type View = BTreeMap<LinkId, Record>;

/// Why the record could not be read or changed.
#[derive(Debug, Error)]
pub enum RecordError {
    /// There are too many links. A retry helps once some have ended.
    #[error("as many links live as can be recorded: {MAX_LINKS}, or {MAX_BYTES} bytes")]
    Full,
    /// One namespace has as many links as all others have places. A retry helps once some of its own have ended.
    #[error("the namespace `{namespace}` has {links} links, and places for {left} are left to all others")]
    Share {
        /// The namespace.
        namespace: String,
        /// How many it has.
        links: usize,
        /// How many more can be recorded.
        left: usize,
    },
    /// Others change it all the time. A retry may help.
    #[error("others change the record of links at the same time")]
    Busy,
    /// It cannot be read. A retry may help.
    #[error("cannot read the ConfigMap `{RECORD_NAME}`")]
    Read(#[source] kube::Error),
    /// It cannot be written. A retry may help.
    #[error("cannot write the ConfigMap `{RECORD_NAME}`")]
    Write(#[source] kube::Error),
}

/// The way to the record.
#[derive(Clone)]
pub struct LinkRecords {
    api: Api<ConfigMap>,
    clock: Arc<dyn Clock>,
}

impl Record {
    /// Makes the entry of a link that lives for `ttl`, counted from the second of `created`.
    pub fn new(capture: (&str, &str), created_by: &str, scope: LinkScope, created: Timestamp, ttl: Duration) -> Self {
        let (capture, uid) = capture;
        let created = created.truncated_to_millis();
        let second = Timestamp::from_unix_nanos(created.as_unix_nanos() / NANOS_PER_SECOND * NANOS_PER_SECOND);
        Self {
            capture: capture.to_owned(),
            uid: uid.to_owned(),
            created_by: created_by.to_owned(),
            created,
            expires: second.saturating_add(ttl),
            scope,
            revoked: false,
            in_status: false,
            pin: None,
            used: None,
        }
    }

    /// Returns what is signed for it.
    pub fn link(&self, id: LinkId) -> Link {
        let expires = self.expires.as_unix_nanos() / NANOS_PER_SECOND;
        Link { id, uid: self.uid.clone(), scope: self.scope.clone(), expires }
    }
}

impl LinkRecords {
    /// Makes the way to the record of an installation.
    pub fn new(client: Client, namespace: &str, clock: Arc<dyn Clock>) -> Self {
        Self { api: Api::namespaced(client, namespace), clock }
    }

    /// Reads all links.
    ///
    /// # Errors
    /// [`RecordError::Read`].
    pub async fn read(&self) -> Result<View, RecordError> {
        let read = optional(self.api.get(RECORD_NAME).await).map_err(RecordError::Read)?;
        Ok(read.as_ref().map(parse).unwrap_or_default())
    }

    /// Reads, changes and writes, until nobody was faster; what is the same after the change is not written.
    ///
    /// Where what is written would not fit, links go that hold no place: `link_places` says which.
    ///
    /// # Errors
    /// What `change` refuses, and [`RecordError`].
    ///
    /// # Cancel safety
    /// The change is made whole or not at all.
    pub async fn change<T, E>(&self, change: impl Fn(&mut View) -> Result<T, E>) -> Result<T, E>
    where
        E: From<RecordError>,
    {
        for attempt in 0..TRIES {
            sleep(Duration::from_millis(20) * attempt).await;
            let read = optional(self.api.get(RECORD_NAME).await).map_err(RecordError::Read)?;
            let mut view = read.as_ref().map(parse).unwrap_or_default();
            let before = view.clone();
            let now = self.clock.now();
            view.retain(|_, record| now < record.expires);
            let outcome = change(&mut view)?;
            if view == before {
                return Ok(outcome);
            }
            fit(&mut view, now);
            let data = write(&view)?;
            let written = match read {
                Some(object) => {
                    let object = ConfigMap { data: Some(data), ..object };
                    self.api.replace(RECORD_NAME, &PostParams::default(), &object).await
                }
                None => self.api.create(&PostParams::default(), &empty(data)).await,
            };
            match written {
                Ok(_) => return Ok(outcome),
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(RecordError::Write(error).into()),
            }
        }
        Err(RecordError::Busy.into())
    }
}

/// Reads the entries; what is none is passed over, and so opens nothing.
fn parse(object: &ConfigMap) -> View {
    let entries = object.data.iter().flatten();
    entries.filter_map(|(id, text)| Some((id.parse().ok()?, serde_json::from_str(text).ok()?))).collect()
}

fn write(view: &View) -> Result<BTreeMap<String, String>, RecordError> {
    let data: BTreeMap<String, String> =
        view.iter().map(|(id, record)| (id.to_string(), serde_json::to_string(record).unwrap_or_default())).collect();
    let bytes: usize = data.iter().map(|(id, text)| id.len() + text.len()).sum();
    if bytes > MAX_BYTES { Err(RecordError::Full) } else { Ok(data) }
}

fn empty(data: BTreeMap<String, String>) -> ConfigMap {
    let metadata = ObjectMeta {
        name: Some(RECORD_NAME.to_owned()),
        labels: Some(BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned())])),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, data: Some(data), ..ConfigMap::default() }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}
