//! What the record holds of links, and how much.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::api::link::{Link, LinkId, LinkScope};
use crate::clock::Timestamp;

/// The `ConfigMap` of the record.
pub const RECORD_NAME: &str = "tracecapture-links";

/// Links that live at a time, where no entry is longer than usual.
pub(super) const MAX_LINKS: usize = 1000;

/// Bytes of all entries: a `ConfigMap` may have 1 MiB.
pub(super) const MAX_BYTES: usize = 768 << 10;

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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}
