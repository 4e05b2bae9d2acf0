//! Server-side apply and merge patches on JSON.

use serde_json::{Map, Value};

/// Applies what a manager asks for: takes away what it applied before and asks for no more, then merges.
pub(crate) fn apply(object: &mut Value, before: Option<&Value>, wanted: &Value) {
    if let Some(before) = before {
        withdraw(object, before, wanted);
    }
    merge(object, wanted, "");
}

/// Merges as `application/merge-patch+json` says.
pub(crate) fn merge_patch(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let members = object.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            merge_patch(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

fn withdraw(object: &mut Value, before: &Value, wanted: &Value) {
    let (Some(members), Some(before)) = (object.as_object_mut(), before.as_object()) else { return };
    for (name, old) in before {
        let new = wanted.get(name);
        match (members.get_mut(name), new) {
            (None, _) => {}
            (Some(Value::Array(items)), _) if is_set(name) => {
                let kept = new.and_then(Value::as_array);
                let is_withdrawn = |item: &Value| {
                    old.as_array().is_some_and(|old| old.contains(item))
                        && !kept.is_some_and(|kept| kept.contains(item))
                };
                items.retain(|item| !is_withdrawn(item));
                if items.is_empty() {
                    members.remove(name);
                }
            }
            (Some(inner), Some(new)) => withdraw(inner, old, new),
            (Some(inner), None) if old.is_object() => {
                withdraw(inner, old, &Value::Null);
                if inner.as_object().is_some_and(Map::is_empty) {
                    members.remove(name);
                }
            }
            (Some(_), None) => {
                members.remove(name);
            }
        }
    }
}

fn merge(object: &mut Value, wanted: &Value, name: &str) {
    match (object, wanted) {
        (Value::Object(members), Value::Object(wanted)) => {
            for (name, value) in wanted {
                match members.get_mut(name) {
                    Some(inner) => merge(inner, value, name),
                    None if is_set(name) && value.as_array().is_some_and(Vec::is_empty) => {}
                    None => {
                        members.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(items), Value::Array(wanted)) if is_set(name) => {
            for item in wanted {
                if !items.contains(item) {
                    items.push(item.clone());
                }
            }
        }
        (object, wanted) => *object = wanted.clone(),
    }
}

fn is_set(name: &str) -> bool {
    matches!(name, "finalizers" | "ownerReferences")
}
