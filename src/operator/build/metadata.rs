//! What every object carries: its name, its labels and its owner.
//!
//! Labels of the selector are for ever: the API server lets nobody change the selector of a
//! `StatefulSet`. The others name no version, since a new operator would then restart every pod.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::Resource as _;

use super::plan::Plan;
use crate::api::TraceCapture;
use crate::api::names::{CAPTURE_LABEL, MANAGED_BY};
use crate::ids::CaptureId;

/// What `app.kubernetes.io/name` says on everything of this project.
pub(super) const APP: &str = "tracecapture";

/// The label that tells the parts of an application apart.
pub(super) const COMPONENT_LABEL: &str = "app.kubernetes.io/component";

/// The label with the name of an application.
pub(super) const NAME_LABEL: &str = "app.kubernetes.io/name";

/// What the component label says on everything made of a capture.
const COMPONENT: &str = "collector";

/// Returns the labels that select the pods of a capture, in the form that the scale subresource asks for.
pub fn selector(id: &CaptureId) -> String {
    let labels = selector_labels(id);
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// Returns the labels that select the pods of a capture within its namespace.
///
/// The name of a capture is a DNS label of at most 63 characters and so a label value as it is.
pub(super) fn selector_labels(id: &CaptureId) -> BTreeMap<String, String> {
    texts([(NAME_LABEL, APP), (COMPONENT_LABEL, COMPONENT), (CAPTURE_LABEL, id.name())])
}

/// Returns the labels of every object of a capture.
pub(super) fn labels(id: &CaptureId) -> BTreeMap<String, String> {
    let mut labels = selector_labels(id);
    labels.extend(texts([
        ("app.kubernetes.io/instance", id.name()),
        ("app.kubernetes.io/managed-by", MANAGED_BY),
        ("app.kubernetes.io/part-of", APP),
    ]));
    labels
}

/// Makes a map of texts.
pub(super) fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl Plan<'_> {
    /// Returns the metadata of an object that goes when the capture goes.
    pub(super) fn owned(&self, name: String) -> ObjectMeta {
        ObjectMeta { owner_references: self.owner().map(|owner| vec![owner]), ..self.free(name) }
    }

    /// Returns the metadata of an object that outlives the capture.
    pub(super) fn free(&self, name: String) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.capture.id().namespace().to_owned()),
            labels: Some(labels(self.capture.id())),
            ..ObjectMeta::default()
        }
    }

    /// Returns what selects the pods of the capture.
    pub(super) fn selector(&self) -> LabelSelector {
        LabelSelector { match_labels: Some(selector_labels(self.capture.id())), ..LabelSelector::default() }
    }

    /// Returns the owner; `None` for a capture that no API server created.
    fn owner(&self) -> Option<OwnerReference> {
        Some(OwnerReference {
            api_version: TraceCapture::api_version(&()).into_owned(),
            kind: TraceCapture::kind(&()).into_owned(),
            name: self.capture.id().name().to_owned(),
            uid: self.capture.origin().uid.clone()?,
            controller: Some(true),
            block_owner_deletion: Some(true),
        })
    }
}
