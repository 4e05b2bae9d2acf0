//! The objects of a capture: as the watches show them, as they were applied, and whether they have to be applied again.
//!
//! A second visit writes nothing. The metadata watches tell when an object changed. What an apply answered is remembered
//! with the digest of what was applied; as long as neither differs, there is nothing to write.
//! After a restart nothing is remembered, and one round of applies, which change nothing, learns it anew.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::kinds::Kind;
use crate::api::names::INSTALLATION_ANNOTATION;

/// Names an object of one capture; its namespace is the capture's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ChildName {
    /// What it is.
    pub(super) kind: Kind,
    /// Its name.
    pub(super) name: String,
}

/// An object as the watch last showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Tells it from others of its name.
    pub(super) uid: String,
    /// The UIDs of its owners.
    pub(super) owners: Vec<String>,
    /// Its state.
    pub(super) mark: Mark,
    /// Whether it is there; what was deleted is remembered, because its deletion may be news still.
    pub(super) is_present: bool,
    /// The installation that wrote it last, where it says so.
    pub(super) installation: Option<String>,
}

/// What would differ of an object that is seen, if somebody changed what we apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct State {
    fingerprint: u64,
    is_present: bool,
}

/// The state of an object at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Its version; `None` where the server does not count them in numbers.
    version: Option<u64>,
    /// What would differ if someone changed what we applied.
    fingerprint: u64,
}

/// What we applied, and what the object was afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Applied {
    digest: u64,
    mark: Mark,
}

impl Mark {
    /// Reads the state of an object.
    ///
    /// Of kinds whose changes the server counts, the status is left out: it changes all the time.
    pub(super) fn of(kind: Kind, meta: &ObjectMeta) -> Self {
        let mut hasher = DefaultHasher::new();
        if kind.has_generation() && meta.generation.is_some() {
            (meta.generation, &meta.labels, &meta.annotations, &meta.finalizers).hash(&mut hasher);
            for owner in meta.owner_references.iter().flatten() {
                (&owner.uid, owner.controller).hash(&mut hasher);
            }
        } else {
            meta.resource_version.hash(&mut hasher);
        }
        (&meta.uid, meta.deletion_timestamp.is_some()).hash(&mut hasher);
        let version = meta.resource_version.as_deref().and_then(|version| version.parse().ok());
        Self { version, fingerprint: hasher.finish() }
    }

    /// Tells whether this is older than `other` or the same.
    fn is_not_after(self, other: Self) -> bool {
        matches!((self.version, other.version), (Some(this), Some(other)) if this <= other)
    }
}

impl Seen {
    /// Reads an object that the watch shows.
    pub(super) fn present(kind: Kind, meta: &ObjectMeta) -> Self {
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            owners: meta.owner_references.iter().flatten().map(|owner| owner.uid.clone()).collect(),
            mark: Mark::of(kind, meta),
            is_present: true,
            installation: meta.annotations.as_ref().and_then(|notes| notes.get(INSTALLATION_ANNOTATION)).cloned(),
        }
    }

    /// Returns what counts as a change of it.
    pub(super) fn state(&self) -> State {
        State { fingerprint: self.mark.fingerprint, is_present: self.is_present }
    }

    /// Marks it as deleted, by an event or because a new list does not have it.
    pub(super) fn deleted(&mut self, meta: Option<(Kind, &ObjectMeta)>) {
        self.is_present = false;
        match meta {
            Some((kind, meta)) => self.mark = Mark::of(kind, meta),
            // The list does not say when; it was after what was seen last.
            None => self.mark.version = self.mark.version.map(|version| version.saturating_add(1)),
        }
    }
}

impl Applied {
    /// Remembers what was applied, by the answer of the API server.
    pub(super) fn new(kind: Kind, object: &Value, answer: &ObjectMeta) -> Self {
        Self { digest: digest(object), mark: Mark::of(kind, answer) }
    }
}

/// Tells whether `object` has to be applied, after what is remembered and seen of it.
pub(super) fn is_due(object: &Value, applied: Option<&Applied>, seen: Option<&Seen>) -> bool {
    let Some(applied) = applied else { return true };
    if applied.digest != digest(object) {
        return true;
    }
    match seen {
        // The watch has not caught up with our own write yet.
        None => false,
        Some(seen) if seen.mark.is_not_after(applied.mark) => false,
        Some(seen) => !seen.is_present || seen.mark.fingerprint != applied.mark.fingerprint,
    }
}

/// Returns the installation that wrote an object after we applied it, where it says so.
pub(super) fn overwritten_by<'s>(applied: &Applied, seen: &'s Seen) -> Option<&'s str> {
    let is_news = seen.is_present && !seen.mark.is_not_after(applied.mark);
    seen.installation.as_deref().filter(|_| is_news)
}

/// Returns a digest of an object, whose maps are sorted.
pub(super) fn digest(object: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    object.to_string().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn meta(version: &str, generation: i64) -> ObjectMeta {
        ObjectMeta {
            uid: Some("u-1".to_owned()),
            resource_version: Some(version.to_owned()),
            generation: Some(generation),
            ..ObjectMeta::default()
        }
    }

    fn check(kind: Kind, seen: Option<&Seen>, expected: bool) {
        let object = json!({ "spec": 1 });
        let applied = Applied::new(kind, &object, &meta("10", 3));
        assert_eq!(is_due(&object, Some(&applied), seen), expected, "{seen:?}");
    }

    #[test]
    fn what_was_never_applied_or_is_wanted_otherwise_is_due() {
        let applied = Applied::new(Kind::Service, &json!({ "spec": 1 }), &meta("10", 3));
        assert!(is_due(&json!({ "spec": 1 }), None, None));
        assert!(is_due(&json!({ "spec": 2 }), Some(&applied), None));
    }

    #[test]
    fn what_nobody_changed_is_not() {
        check(Kind::StatefulSet, None, false);
        check(Kind::StatefulSet, Some(&Seen::present(Kind::StatefulSet, &meta("10", 3))), false);
        // Status alone.
        check(Kind::StatefulSet, Some(&Seen::present(Kind::StatefulSet, &meta("12", 3))), false);
        // An older event that comes after our write.
        check(Kind::ConfigMap, Some(&Seen::present(Kind::ConfigMap, &meta("9", 2))), false);
    }

    #[test]
    fn what_somebody_changed_or_deleted_is_due() {
        check(Kind::StatefulSet, Some(&Seen::present(Kind::StatefulSet, &meta("12", 4))), true);
        check(Kind::ConfigMap, Some(&Seen::present(Kind::ConfigMap, &meta("11", 3))), true);
        let mut gone = Seen::present(Kind::ConfigMap, &meta("10", 3));
        gone.deleted(Some((Kind::ConfigMap, &meta("11", 3))));
        check(Kind::ConfigMap, Some(&gone), true);
        let mut not_listed = Seen::present(Kind::ConfigMap, &meta("10", 3));
        not_listed.deleted(None);
        check(Kind::ConfigMap, Some(&not_listed), true);
    }
}
