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
use tokio::time::sleep;

use super::answer::optional;
use super::link_places::fit;
use super::link_record::{MAX_BYTES, RECORD_NAME, RecordError, View};
use crate::api::names::MANAGED_BY;
use crate::clock::Clock;

/// How often a write is tried that others were faster with.
const TRIES: u32 = 8;

/// The way to the record.
#[derive(Clone)]
pub struct LinkRecords {
    api: Api<ConfigMap>,
    clock: Arc<dyn Clock>,
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
