//! The schema of a whole capture, as the API server gets it: that of the types, with the rules attached.
//!
//! The types know no rules and the rules know the types, so that every rule can look at the whole of a spec.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::capture::{KIND, TraceCapture, TraceCaptureSpec};
use super::rules::{self, NAME_CEL, NAME_MESSAGE};
use super::status::TraceCaptureStatus;
use super::transitions::TRANSITIONS;

impl JsonSchema for TraceCapture {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        KIND.into()
    }

    /// Returns the schema without `apiVersion`, `kind` and `metadata`, which the API server knows itself.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = json_schema!({
            "type": "object",
            "description": "Captures every OTLP span sent to its endpoint durably in chunked tar files on a volume.",
            "properties": {
                "spec": generator.subschema_for::<TraceCaptureSpec>(),
                "status": generator.subschema_for::<Option<TraceCaptureStatus>>(),
            },
            "required": ["spec"],
        });
        attach(&mut schema, "", entry(NAME_CEL, NAME_MESSAGE, ""));
        for rule in rules::all() {
            if let Some(cel) = rule.cel {
                attach(&mut schema, rule.at, entry(cel, rule.message, rule.field));
            }
        }
        for rule in TRANSITIONS {
            attach(&mut schema, "spec.storage", entry(rule.cel, rule.message, rule.field));
        }
        schema
    }
}

/// Adds a rule to the schema of the object at `path`, such as `spec.storage`, behind those that are there.
fn attach(schema: &mut Schema, path: &str, entry: Value) {
    let names = path.split('.').filter(|name| !name.is_empty());
    let pointer: String = names.flat_map(|name| ["/properties/", name]).collect();
    // Every path is that of a type of ours; `tests/crd.rs` compares the definition with the one that is shipped.
    let Some(object) = schema.pointer_mut(&pointer).and_then(Value::as_object_mut) else { return };
    let rules = object.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
    if let Some(rules) = rules.as_array_mut() {
        rules.push(entry);
    }
}

fn entry(cel: &str, message: &str, field: &str) -> Value {
    let mut entry = json!({ "rule": cel, "message": message });
    if !field.is_empty() {
        entry.as_object_mut().map(|entry| entry.insert("fieldPath".to_owned(), field.into()));
    }
    entry
}
