//! The objects, their versions and their history.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::merge;

/// An object and what each manager applied to it last.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) value: Value,
    applied: BTreeMap<String, Value>,
}

/// A change of an object, for those who watch.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) version: u64,
    pub(crate) kind: &'static str,
    pub(crate) resource: String,
    pub(crate) object: Value,
}

/// Why a write was refused: code, reason and message.
pub(crate) type Refused = (u16, &'static str, String);

/// Everything there is.
#[derive(Debug, Default)]
pub(crate) struct Store {
    objects: BTreeMap<(String, String, String), Object>,
    history: Vec<Event>,
    version: u64,
    /// Watches from before this version are gone.
    oldest: u64,
    n_created: u64,
}

/// The fields of a set that may change.
///
/// Source: `ValidateStatefulSetUpdate` of Kubernetes.
const SET_FIELDS: [&str; 8] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
    "podManagementPolicyIsFixed",
];

impl Store {
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn compact(&mut self) {
        self.version += 1;
        self.oldest = self.version;
        self.history.clear();
    }

    pub(crate) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&key(resource, namespace, name)).map(|object| &object.value)
    }

    pub(crate) fn list<'a>(&'a self, resource: &'a str) -> impl Iterator<Item = &'a Value> {
        let objects = self.objects.range(key(resource, "", "")..);
        objects.take_while(move |(key, _)| key.0 == resource).map(|(_, object)| &object.value)
    }

    /// Returns what happened to a resource since a version; `None` where that is forgotten.
    pub(crate) fn since(&self, resource: &str, version: u64) -> Option<Vec<Event>> {
        if version < self.oldest {
            return None;
        }
        // The history is sorted by version.
        let start = self.history.partition_point(|event| event.version <= version);
        Some(self.history[start..].iter().filter(|event| event.resource == resource).cloned().collect())
    }

    /// Creates an object or replaces it as it is.
    pub(crate) fn put(&mut self, resource: &str, object: Value) -> Value {
        let (namespace, name) = place(&object);
        match self.objects.get(&key(resource, &namespace, &name)).cloned() {
            Some(old) => self.write(resource, old, object),
            None => self.insert(resource, object, BTreeMap::new()),
        }
    }

    pub(crate) fn create(&mut self, resource: &str, object: Value) -> Result<Value, Refused> {
        let (namespace, name) = place(&object);
        if self.get(resource, &namespace, &name).is_some() {
            return Err((409, "AlreadyExists", format!("{resource} \"{name}\" already exists")));
        }
        Ok(self.insert(resource, object, BTreeMap::new()))
    }

    pub(crate) fn replace(&mut self, resource: &str, object: Value) -> Result<Value, Refused> {
        let (namespace, name) = place(&object);
        let Some(old) = self.objects.get(&key(resource, &namespace, &name)).cloned() else {
            return Err(not_found(resource, &name));
        };
        check_version(&old, &object)?;
        Ok(self.write(resource, old, object))
    }

    pub(crate) fn merge(
        &mut self,
        resource: &str,
        (namespace, name): (&str, &str),
        patch: &Value,
    ) -> Result<Value, Refused> {
        let Some(old) = self.objects.get(&key(resource, namespace, name)).cloned() else {
            return Err(not_found(resource, name));
        };
        check_version(&old, patch)?;
        let mut new = old.value.clone();
        merge::merge_patch(&mut new, patch);
        Ok(self.write(resource, old, new))
    }

    /// Applies what a manager wants of an object, or of its status.
    pub(crate) fn apply(
        &mut self,
        resource: &str,
        (namespace, name): (&str, &str),
        (manager, subresource): (&str, &str),
        wanted: &Value,
    ) -> Result<Value, Refused> {
        let mut wanted = wanted.clone();
        let uid = wanted["metadata"].get("uid").cloned();
        let old = self.objects.get(&key(resource, namespace, name)).cloned();
        let is_other =
            |old: &Object| uid.as_ref().is_some_and(|uid| !uid.is_null() && old.value["metadata"]["uid"] != *uid);
        match &old {
            Some(old) if is_other(old) => return Err((409, "Conflict", "the UID is another one".to_owned())),
            None if uid.is_some_and(|uid| !uid.is_null()) => {
                return Err((409, "Conflict", "the UID is of an object that is gone".to_owned()));
            }
            None if !subresource.is_empty() => return Err(not_found(resource, name)),
            _ => {}
        }
        let members = wanted.as_object_mut().unwrap();
        if subresource == "status" {
            members.retain(|name, _| matches!(name.as_str(), "apiVersion" | "kind" | "status"));
        } else {
            members.remove("status");
        }
        let owner = format!("{manager}/{subresource}");
        let Some(mut old) = old else {
            return Ok(self.insert(resource, wanted.clone(), BTreeMap::from([(owner, wanted)])));
        };
        let mut new = old.value.clone();
        merge::apply(&mut new, old.applied.get(&owner), &wanted);
        check(resource, &old.value, &new)?;
        old.applied.insert(owner, wanted);
        Ok(self.write(resource, old, new))
    }

    /// Deletes an object, and what it owns or not as the policy says.
    pub(crate) fn delete(&mut self, resource: &str, namespace: &str, name: &str, policy: &str) {
        let Some(old) = self.objects.get(&key(resource, namespace, name)).cloned() else { return };
        let has_finalizers = old.value["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        if has_finalizers {
            let mut new = old.value.clone();
            new["metadata"]["deletionTimestamp"] = json!("2026-11-21T12:00:00Z");
            self.write(resource, old, new);
            return;
        }
        self.remove(resource, namespace, name, policy);
    }

    fn remove(&mut self, resource: &str, namespace: &str, name: &str, policy: &str) {
        let Some(mut old) = self.objects.remove(&key(resource, namespace, name)) else { return };
        self.version += 1;
        old.value["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let uid = old.value["metadata"]["uid"].clone();
        self.note("DELETED", resource, old.value);
        let owns = |object: &Object| {
            object.value["metadata"]["ownerReferences"]
                .as_array()
                .is_some_and(|list| list.iter().any(|o| o["uid"] == uid))
        };
        let owned: Vec<_> =
            self.objects.iter().filter(|(_, object)| owns(object)).map(|(key, _)| key.clone()).collect();
        for (resource, namespace, name) in owned {
            if policy == "Orphan" {
                let old = self.objects[&key(&resource, &namespace, &name)].clone();
                let mut new = old.value.clone();
                new["metadata"]["ownerReferences"].as_array_mut().unwrap().retain(|owner| owner["uid"] != uid);
                self.write(&resource, old, new);
            } else {
                self.delete(&resource, &namespace, &name, "Background");
            }
        }
    }

    fn insert(&mut self, resource: &str, mut object: Value, applied: BTreeMap<String, Value>) -> Value {
        self.version += 1;
        self.n_created += 1;
        let (namespace, name) = place(&object);
        let meta = &mut object["metadata"];
        meta["uid"] = json!(format!("uid-{}", self.n_created));
        meta["generation"] = json!(1);
        meta["resourceVersion"] = json!(self.version.to_string());
        let (minute, second) = (self.n_created / 60 % 60, self.n_created % 60);
        meta["creationTimestamp"] = json!(format!("2026-11-21T10:{minute:02}:{second:02}Z"));
        self.objects.insert(key(resource, &namespace, &name), Object { value: object.clone(), applied });
        self.note("ADDED", resource, object.clone());
        object
    }

    fn write(&mut self, resource: &str, old: Object, mut new: Value) -> Value {
        let (namespace, name) = place(&new);
        let place = key(resource, &namespace, &name);
        for field in ["uid", "creationTimestamp", "resourceVersion", "generation"] {
            new["metadata"][field] = old.value["metadata"][field].clone();
        }
        if new == old.value {
            // Nothing changes: no version, no event.
            self.objects.insert(place, old);
            return new;
        }
        self.version += 1;
        if content(&new) != content(&old.value) {
            new["metadata"]["generation"] = json!(old.value["metadata"]["generation"].as_u64().unwrap() + 1);
        }
        new["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(place, Object { value: new.clone(), applied: old.applied });
        let is_released = new["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
        if new["metadata"]["deletionTimestamp"].is_string() && is_released {
            self.remove(resource, &namespace, &name, "Background");
        } else {
            self.note("MODIFIED", resource, new.clone());
        }
        new
    }

    fn note(&mut self, kind: &'static str, resource: &str, object: Value) {
        self.history.push(Event { version: self.version, kind, resource: resource.to_owned(), object });
    }
}

/// Refuses a write that names another version than the object has.
fn check_version(old: &Object, written: &Value) -> Result<(), Refused> {
    let asked = written["metadata"]["resourceVersion"].as_str();
    if asked.is_some_and(|asked| old.value["metadata"]["resourceVersion"] != asked) {
        return Err((409, "Conflict", "the object has been modified".to_owned()));
    }
    Ok(())
}

/// Refuses what a real server would.
fn check(resource: &str, old: &Value, new: &Value) -> Result<(), Refused> {
    if resource == "statefulsets" {
        let fixed = |object: &Value| {
            let mut spec = object["spec"].as_object().cloned().unwrap_or_default();
            spec.retain(|name, _| !SET_FIELDS.contains(&name.as_str()));
            spec
        };
        if fixed(old) != fixed(new) {
            let message = "spec: Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden";
            return Err((422, "Invalid", message.to_owned()));
        }
    }
    Ok(())
}

/// Returns what the generation counts.
fn content(object: &Value) -> Value {
    let mut content = object.clone();
    let members = content.as_object_mut().unwrap();
    members.remove("metadata");
    members.remove("status");
    content
}

fn place(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

fn key(resource: &str, namespace: &str, name: &str) -> (String, String, String) {
    (resource.to_owned(), namespace.to_owned(), name.to_owned())
}

fn not_found(resource: &str, name: &str) -> Refused {
    (404, "NotFound", format!("{resource} \"{name}\" not found"))
}
