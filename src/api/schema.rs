//! The custom resource definition, and checking an object against its schema.
//!
//! The walk knows exactly the keywords that our schema uses; `tests/crd.rs` fails on a
//! keyword that it would pass over. It treats nulls and unknown fields as the API
//! server does under strict field validation.

use std::fmt::Write as _;
use std::sync::LazyLock;

use kube::CustomResourceExt as _;
use serde_json::{Map, Value, json};

use super::capture::TraceCapture;
use super::fault::Fault;
use crate::clock::Timestamp;

/// The schema of a whole object: the published one, and in place of its open `metadata`
/// and the implied type fields what Kubernetes itself enforces there.
pub(super) static OBJECT: LazyLock<Value> = LazyLock::new(|| {
    let open = json!({ "x-kubernetes-preserve-unknown-fields": true });
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    // Those beside name, namespace, labels and annotations stand in objects read back from a cluster.
    let metadata = json!({
        "type": "object",
        "properties": {
            "name": text, "namespace": text, "labels": texts, "annotations": texts,
            "generateName": text, "uid": text, "resourceVersion": text, "selfLink": text,
            "generation": open, "creationTimestamp": open, "deletionTimestamp": open,
            "deletionGracePeriodSeconds": open, "finalizers": open, "ownerReferences": open, "managedFields": open,
        },
        "required": ["name"],
    });
    json!({
        "type": "object",
        "properties": { "apiVersion": text, "kind": text, "metadata": metadata, "spec": spec_schema(), "status": open },
        "required": ["metadata", "spec"],
    })
});

/// What was found wrong with the form of an object.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The faults.
    pub(super) faults: Vec<Fault>,
    /// The paths whose values are not known, beside those of the faults: a misspelt field hides the one that was meant.
    pub(super) unreadable: Vec<String>,
}

impl Findings {
    fn push(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Fault::new(path, message));
    }
}

/// Returns the custom resource definition as YAML, the same text at every call.
pub fn crd_yaml() -> String {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    // Through `Value`, whose maps are sorted: the order must not hang on that of a hash.
    let definition = with_whole_numbers(serde_json::to_value(TraceCapture::crd()).unwrap_or_default());
    serde_saphyr::to_string_with_options(&definition, options).unwrap_or_default()
}

/// Checks `value` against `schema`, adds what is wrong to `findings`, and returns what is left without the faulty parts.
///
/// Fields that are null are dropped: none of ours is nullable.
pub(super) fn check(schema: &Value, value: Value, path: &str, findings: &mut Findings) -> Option<Value> {
    let n_faults = findings.faults.len();
    let form = if schema["x-kubernetes-int-or-string"] == true { Some("size") } else { schema["type"].as_str() };
    let kept = match (form, value) {
        (Some("object"), Value::Object(members)) => Some(check_members(schema, members, path, findings)),
        (Some("array"), Value::Array(items)) => check_items(schema, items, path, findings),
        (Some("string" | "size"), Value::String(text)) => {
            check_text(schema, &text, path, findings);
            Some(Value::String(text))
        }
        (Some("integer" | "size"), Value::Number(number)) => check_integer(schema, &number, path, findings),
        (Some("boolean"), Value::Bool(flag)) => Some(Value::Bool(flag)),
        (None, value) if schema["x-kubernetes-preserve-unknown-fields"] == true => Some(value),
        (_, value) => {
            findings.push(path, format!("expected {}, found {}", expected(schema), found(&value)));
            None
        }
    };
    // An object stays without its faulty members; anything else is dropped as a whole.
    kept.filter(|kept| kept.is_object() || findings.faults.len() == n_faults)
}

fn check_members(schema: &Value, members: Map<String, Value>, path: &str, findings: &mut Findings) -> Value {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if members.get(name).is_none_or(Value::is_null) {
            findings.push(join(name), "is required and missing");
        }
    }
    let n_members = u64::try_from(members.len()).unwrap_or(u64::MAX);
    if let Some(max) = schema["maxProperties"].as_u64().filter(|&max| n_members > max) {
        findings.push(path, format!("has {n_members} entries: write at most {max}"));
    }
    let is_open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    let mut kept = Map::new();
    for (name, value) in members {
        let known = schema["properties"].get(&name).or_else(|| schema.get("additionalProperties"));
        let Some(member) = known else {
            if is_open {
                kept.insert(name, value);
                continue;
            }
            let names = names_in(schema);
            let meant = nearest(&name, &names);
            findings.push(join(&name), unknown(meant, &names));
            findings.unreadable.extend(meant.map(join));
            continue;
        };
        // The API server drops them too, before defaults and rules; a required one was named above.
        if value.is_null() {
            continue;
        }
        if let Some(value) = check(member, value, &join(&name), findings) {
            kept.insert(name, value);
        }
    }
    Value::Object(kept)
}

fn check_items(schema: &Value, items: Vec<Value>, path: &str, findings: &mut Findings) -> Option<Value> {
    let n_items = u64::try_from(items.len()).unwrap_or(u64::MAX);
    if let Some(min) = schema["minItems"].as_u64().filter(|&min| n_items < min) {
        findings.push(path, format!("has {n_items} entries: write at least {min}"));
    }
    if let Some(max) = schema["maxItems"].as_u64().filter(|&max| n_items > max) {
        findings.push(path, format!("has {n_items} entries: write at most {max}"));
        return None;
    }
    let mut kept: Vec<Value> = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let item_path = format!("{path}[{index}]");
        if is_repetition(schema, &item, &kept) {
            findings.push(item_path, "is a repetition: remove it");
        } else if let Some(item) = check(&schema["items"], item, &item_path, findings) {
            kept.push(item);
        }
    }
    Some(Value::Array(kept))
}

/// Tells whether a list that has each entry once, by its value or by its keys, has `item` already.
fn is_repetition(schema: &Value, item: &Value, kept: &[Value]) -> bool {
    let keys: Vec<&str> =
        schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => kept.contains(item),
        Some("map") => kept.iter().any(|other| keys.iter().all(|&key| other.get(key) == item.get(key))),
        _ => false,
    }
}

fn check_text(schema: &Value, text: &str, path: &str, findings: &mut Findings) {
    let n_chars = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
    if let Some(min) = schema["minLength"].as_u64().filter(|&min| n_chars < min) {
        findings.push(path, format!("has {n_chars} characters: write at least {min}, or remove the field"));
    }
    if let Some(max) = schema["maxLength"].as_u64().filter(|&max| n_chars > max) {
        findings.push(path, format!("has {n_chars} characters: write at most {max}"));
    }
    if schema["format"] == "date-time" && (!text.contains('T') || text.parse::<Timestamp>().is_err()) {
        findings.push(path, format!("`{text}` is not a time: write RFC 3339 such as `2026-11-21T10:30:00Z`"));
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.iter().any(|a| a == text)) {
        let names: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        let wanted = nearest(text, &names).map_or_else(|| one_of(&names), |name| format!("`{name}`"));
        findings.push(path, format!("`{}` is not known here: write {wanted}", shortened(text)));
    }
}

fn check_integer(schema: &Value, number: &serde_json::Number, path: &str, findings: &mut Findings) -> Option<Value> {
    let Some(integer) = number.as_i64() else {
        let wanted =
            if schema["type"] == "integer" { "a whole number below 2^63" } else { "a whole number, or a text" };
        findings.push(path, format!("expected {wanted}, found {number}"));
        return None;
    };
    let bound = |name: &str| whole(&schema[name]);
    let (min, max) = (bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(i64::MAX));
    if !(min..=max).contains(&integer) {
        findings.push(path, format!("{integer} is out of range: write a whole number from {min} to {max}"));
    }
    Some(integer.into())
}

/// Writes `1.0` as `1`: the type of bounds is a double, that of our fields is not.
fn with_whole_numbers(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, with_whole_numbers(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.into_iter().map(with_whole_numbers).collect(),
        Value::Number(number) => whole(&Value::Number(number.clone())).map_or(Value::Number(number), Value::from),
        other => other,
    }
}

/// Returns a whole number that may be written as a double.
fn whole(number: &Value) -> Option<i64> {
    number.as_i64().or_else(|| number.as_f64().and_then(|double| double.to_string().parse().ok()))
}

fn spec_schema() -> Value {
    let definition = serde_json::to_value(TraceCapture::crd()).unwrap_or_default();
    definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec").cloned().unwrap_or_default()
}

fn expected(schema: &Value) -> &'static str {
    match schema["type"].as_str() {
        Some("object") => "a map of fields",
        Some("array") => "a list",
        Some("string") => "a text",
        Some("boolean") => "`true` or `false`",
        Some("integer") => "a whole number",
        _ => "a size such as `50M`",
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => format!("`{flag}`"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text `{}`", shortened(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map of fields".to_owned(),
    }
}

fn names_in(schema: &Value) -> Vec<&str> {
    schema["properties"].as_object().into_iter().flatten().map(|(name, _)| &**name).collect()
}

fn unknown(meant: Option<&str>, names: &[&str]) -> String {
    match meant {
        Some(name) => format!("is not a field: did you mean `{name}`?"),
        None => format!("is not a field: write {}", one_of(names)),
    }
}

/// Returns the name that differs from `text` in case or in at most two edits.
fn nearest<'a>(text: &str, names: &[&'a str]) -> Option<&'a str> {
    let text = text.to_lowercase();
    let by_distance = names.iter().map(|name| (distance(&text, &name.to_lowercase()), *name));
    // Two edits turn any short word into any other.
    by_distance.filter(|&(edits, name)| edits <= 2 && edits * 2 < name.len()).min().map(|(_, name)| name)
}

/// Returns how many characters to insert, remove or replace to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX; // Far enough, and it bounds the work on hostile names.
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((to, pair), left) in b.chars().zip(row.windows(2)).zip(0..) {
            let &[diagonal, above] = pair else { continue };
            let before: usize = next.get(left).copied().unwrap_or(usize::MAX);
            next.push((diagonal + usize::from(from != to)).min(above + 1).min(before.saturating_add(1)));
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

fn one_of(names: &[&str]) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        let separator = if index == 0 {
            ""
        } else if index + 1 == names.len() {
            " or "
        } else {
            ", "
        };
        let _ = write!(text, "{separator}`{name}`");
    }
    text
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 64 { text.to_owned() } else { text.chars().take(64).chain(['…']).collect() }
}
