//! Whose an object is that has the name of ours.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::names::CAPTURE_LABEL;
use crate::ids::CaptureId;

/// Under which name the API server notes which fields are ours.
pub(super) const FIELD_MANAGER: &str = "tracecapture";

/// Tells whether an object carries the label of a capture, which everything made of it does.
pub(super) fn is_labelled(meta: &ObjectMeta, id: &CaptureId) -> bool {
    let label = meta.labels.as_ref().and_then(|labels| labels.get(CAPTURE_LABEL));
    label.is_some_and(|capture| capture == id.name())
}

/// Tells whether an object is of the very capture with this UID.
///
/// One without an owner is, too: `kubectl delete --cascade=orphan` leaves such, and the next capture of that name takes
/// them over. One of an earlier capture of the name is not: the garbage collector is about to delete it.
pub(super) fn is_of(meta: &ObjectMeta, (id, uid): (&CaptureId, &str)) -> bool {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    is_labelled(meta, id) && (owners.is_empty() || owners.iter().any(|owner| owner.uid == uid))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(meta: Value, is_ours: bool) {
        let meta: ObjectMeta = serde_json::from_value(meta).unwrap();
        let id = CaptureId::new("shop", "checkout").unwrap();
        assert_eq!(is_of(&meta, (&id, "u-1")), is_ours, "{meta:?}");
    }

    #[test]
    fn label_and_owner_tell_whose_an_object_is() {
        let owner = |uid: &str| json!([{ "apiVersion": "v1", "kind": "k", "name": "checkout", "uid": uid }]);
        let labels = json!({ CAPTURE_LABEL: "checkout" });
        check(json!({ "labels": labels, "ownerReferences": owner("u-1") }), true);
        check(json!({ "labels": labels }), true);
        check(json!({ "labels": labels, "ownerReferences": owner("u-2") }), false);
        check(json!({ "labels": { CAPTURE_LABEL: "other" }, "ownerReferences": owner("u-1") }), false);
        check(json!({}), false);
    }
}
