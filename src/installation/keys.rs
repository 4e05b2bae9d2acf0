//! The installation's key: made at the first start, the same for every replica.
//!
//! It lies in a Secret of the installation's namespace. Whoever comes first creates it; the
//! others read what is there, so replicas agree without talking to one another.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, PostParams};
use thiserror::Error;
use tracing::info;

use super::answer::optional;
use crate::api::grant::{GrantKey, InvalidKey};
use crate::api::names::MANAGED_BY;

/// The Secret of the installation.
pub const SECRET_NAME: &str = "tracecapture-keys";

/// The entry that holds the private key of grants, in PKCS #8 form.
const GRANT_ENTRY: &str = "grant.pkcs8";

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The Secret cannot be read. A retry may help.
    #[error("cannot read the Secret `{SECRET_NAME}`")]
    Read(#[source] kube::Error),
    /// The Secret cannot be made. A retry may help.
    #[error("cannot create the Secret `{SECRET_NAME}`")]
    Create(#[source] kube::Error),
    /// The system gives no random numbers.
    #[error("cannot draw a key for grants")]
    Draw(#[source] InvalidKey),
    /// The Secret holds no key. Somebody has to correct it.
    #[error(
        "the entry `{GRANT_ENTRY}` of the Secret `{SECRET_NAME}` is missing or no key: delete the Secret to have a new one made"
    )]
    Invalid,
}

/// Returns the key of grants, and makes it where there is none.
///
/// # Errors
/// [`KeyError`] says what was attempted and whether a retry helps.
///
/// # Cancel safety
/// Safe: the Secret is there whole or not at all.
pub async fn obtain(client: &Client, namespace: &str) -> Result<GrantKey, KeyError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    if let Some(secret) = optional(api.get(SECRET_NAME).await).map_err(KeyError::Read)? {
        return read(&secret);
    }
    let (key, document) = GrantKey::draw().map_err(KeyError::Draw)?;
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(SECRET_NAME.to_owned()),
            labels: Some(BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), MANAGED_BY.to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(GRANT_ENTRY.to_owned(), ByteString(document))])),
        // Nobody changes a key by hand: another one is another Secret.
        immutable: Some(true),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    match api.create(&PostParams::default(), &secret).await {
        Ok(_) => {
            info!(secret = SECRET_NAME, namespace, "made the key of this installation");
            Ok(key)
        }
        Err(kube::Error::Api(status)) if status.code == 409 => {
            read(&api.get(SECRET_NAME).await.map_err(KeyError::Read)?)
        }
        Err(error) => Err(KeyError::Create(error)),
    }
}

fn read(secret: &Secret) -> Result<GrantKey, KeyError> {
    let document = secret.data.as_ref().and_then(|data| data.get(GRANT_ENTRY)).ok_or(KeyError::Invalid)?;
    GrantKey::from_pkcs8(&document.0).map_err(|_| KeyError::Invalid)
}
