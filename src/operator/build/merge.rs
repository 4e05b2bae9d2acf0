//! Merging an overlay into a pod template, as `kubectl patch --type strategic` would.
//!
//! Maps are merged member by member, `null` removes a member, a list whose elements have a
//! key is merged by that key, every other list and value is replaced.
//!
//! Source: Kubernetes API reference, "patch strategy" and "patch merge key" of each field of
//! `PodTemplateSpec`.

use serde_json::{Map, Value};

use crate::api::Fault;

/// The lists whose elements have a key, and the key: (list, key).
const KEYS: [(&str, &str); 11] = [
    ("claims", "name"),
    ("containers", "name"),
    ("env", "name"),
    ("hostAliases", "ip"),
    ("imagePullSecrets", "name"),
    ("initContainers", "name"),
    ("ports", "containerPort"),
    ("topologySpreadConstraints", "topologyKey"),
    ("volumeDevices", "devicePath"),
    ("volumeMounts", "mountPath"),
    ("volumes", "name"),
];

/// Merges `overlay`, which stands at `path`, into `base`.
pub(super) fn merge(base: &mut Value, overlay: &Value, path: &str, faults: &mut Vec<Fault>) {
    let Value::Object(changes) = overlay else {
        *base = overlay.clone();
        return;
    };
    if !base.is_object() {
        *base = Value::Object(Map::new());
    }
    let Some(members) = base.as_object_mut() else { return };
    for (name, change) in changes {
        let path = format!("{path}.{name}");
        let key = KEYS.iter().find(|(list, _)| list == name).map(|(_, key)| *key);
        match (change, key) {
            (Value::Null, _) => {
                members.remove(name);
            }
            (Value::Array(items), Some(key)) => {
                let list = members.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    merge_list(list, items, key, (&path, faults));
                }
            }
            _ => merge(members.entry(name).or_insert(Value::Null), change, &path, faults),
        }
    }
}

/// Merges each of `items` into the element of `list` with the same key, or adds it at the end.
fn merge_list(list: &mut Vec<Value>, items: &[Value], key: &str, (path, faults): (&str, &mut Vec<Fault>)) {
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(name) = item.get(key) else {
            faults.push(Fault::new(path, format!("has no `{key}`: elements of this list are merged by it")));
            continue;
        };
        if let Some(element) = list.iter_mut().find(|element| element.get(key) == Some(name)) {
            merge(element, item, &path, faults);
        } else {
            let mut added = Value::Null;
            merge(&mut added, item, &path, faults);
            list.push(added);
        }
    }
}
