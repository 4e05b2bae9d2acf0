//! The keys that sign links: in one Secret of the installation's namespace, made at the first start.
//!
//! The Secret `tracecapture-link-keys` has the entries `link.current`, which signs, and `link.previous`, whose links
//! are good for as long as it stands there; each has 32 random bytes. It is read anew every few seconds, so keys are
//! exchanged without restart: write `link.current` to `link.previous`, and 32 new bytes to `link.current`. Once the
//! longest life of a link has passed, `link.previous` may go. A Secret that is lost is made anew, and ends all links.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, PostParams};
use thiserror::Error;
use tokio::time::sleep;
use tracing::{info, warn};

use super::answer::optional;
use crate::api::link::{InvalidKey, LinkKey, LinkKeys};
use crate::api::names::MANAGED_BY;
use crate::telemetry::chain;

/// The Secret of the keys.
pub const SECRET_NAME: &str = "tracecapture-link-keys";

/// The entry of the key that signs.
const CURRENT: &str = "link.current";

/// The entry of the key that signed before.
const PREVIOUS: &str = "link.previous";

/// How often the Secret is read anew.
const READ_AGAIN: Duration = Duration::from_secs(10);

/// Why there are no keys.
#[derive(Debug, Error)]
pub enum LinkKeyError {
    /// The Secret cannot be read. A retry may help.
    #[error("cannot read the Secret `{SECRET_NAME}`")]
    Read(#[source] kube::Error),
    /// The Secret cannot be made. A retry may help.
    #[error("cannot create the Secret `{SECRET_NAME}`")]
    Create(#[source] kube::Error),
    /// The system gives no random numbers.
    #[error("cannot draw a key for links")]
    Draw,
    /// An entry is missing or no key. Somebody has to correct it.
    #[error(
        "the entry `{entry}` of the Secret `{SECRET_NAME}` is missing or no key: delete the Secret to have a new one made"
    )]
    Invalid {
        /// The name of the entry.
        entry: &'static str,
        /// What a key is.
        #[source]
        source: InvalidKey,
    },
}

/// The bytes of an entry, which are neither shown nor logged.
type Entries = BTreeMap<String, ByteString>;

/// The keys as they were read last.
pub struct KeptKeys {
    api: Api<Secret>,
    keys: ArcSwap<LinkKeys>,
    read: Entries,
}

impl KeptKeys {
    /// Reads the keys, and makes them where there are none.
    ///
    /// # Errors
    /// [`LinkKeyError`] says what was attempted and whether a retry helps.
    pub async fn obtain(client: &Client, namespace: &str) -> Result<Self, LinkKeyError> {
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let read = entries(&api).await?;
        let keys = ArcSwap::from_pointee(keys(&read)?);
        Ok(Self { api, keys, read })
    }

    /// Returns the keys that live now.
    pub fn load(&self) -> Arc<LinkKeys> {
        self.keys.load_full()
    }

    /// Reads the keys anew for as long as it is polled; what is no key leaves the old ones.
    ///
    /// # Cancel safety
    /// Safe: keys are exchanged whole.
    pub async fn follow(&self) {
        let mut known = self.read.clone();
        loop {
            sleep(READ_AGAIN).await;
            let read = match entries(&self.api).await {
                Ok(read) if read == known => continue,
                Ok(read) => read,
                Err(error) => {
                    warn!(error = chain(&error), "the old keys of links stay");
                    continue;
                }
            };
            match keys(&read) {
                Ok(keys) => {
                    self.keys.store(Arc::new(keys));
                    info!("the keys of links were exchanged");
                }
                Err(error) => warn!(error = chain(&error), "the old keys of links stay"),
            }
            known = read;
        }
    }
}

/// Reads the entries of the Secret, which is made where it is missing.
async fn entries(api: &Api<Secret>) -> Result<Entries, LinkKeyError> {
    if let Some(secret) = optional(api.get(SECRET_NAME).await).map_err(LinkKeyError::Read)? {
        return Ok(secret.data.unwrap_or_default());
    }
    let bytes = LinkKey::draw().map_err(|_| LinkKeyError::Draw)?;
    let data = Entries::from([(CURRENT.to_owned(), ByteString(bytes.to_vec()))]);
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(SECRET_NAME.to_owned()),
            labels: Some(BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(data.clone()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    match api.create(&PostParams::default(), &secret).await {
        Ok(_) => {
            info!(secret = SECRET_NAME, "made the key of links");
            Ok(data)
        }
        Err(kube::Error::Api(status)) if status.code == 409 => {
            Ok(api.get(SECRET_NAME).await.map_err(LinkKeyError::Read)?.data.unwrap_or_default())
        }
        Err(error) => Err(LinkKeyError::Create(error)),
    }
}

fn keys(entries: &Entries) -> Result<LinkKeys, LinkKeyError> {
    let read = |entry: &'static str| {
        let bytes = entries.get(entry).map(|bytes| bytes.0.as_slice());
        (bytes, move |source| LinkKeyError::Invalid { entry, source })
    };
    let (current, invalid) = read(CURRENT);
    let current = LinkKey::new(current.unwrap_or_default()).map_err(invalid)?;
    let (previous, invalid) = read(PREVIOUS);
    let previous = previous.map(LinkKey::new).transpose().map_err(invalid)?;
    Ok(LinkKeys::new(current, previous))
}
