//! The schema of the values is strict at every level, but where it says why not.

use serde_json::Value;

use crate::rendered;

/// What may be left out with `null`: nobody needs it, or Kubernetes or the definition chooses then.
const DISPENSABLE: [&str; 8] = [
    "/enabled",
    "/gateway/resources",
    "/metrics/dashboard/labels",
    "/operator/resources",
    "/podSecurityContext/fsGroup",
    "/podSecurityContext/runAsGroup",
    "/podSecurityContext/runAsUser",
    "/tests/storage/size",
];

#[test]
fn no_object_takes_keys_that_nobody_named() {
    let schema = &repository("values.schema.json");
    let (mut open, mut n_objects) = (Vec::new(), 0);
    visit(schema, "", &mut |path, schema| {
        let is_object =
            |kind: &Value| kind == "object" || kind.as_array().is_some_and(|kinds| kinds.contains(&"object".into()));
        if schema.get("type").is_some_and(is_object) {
            n_objects += 1;
            if schema.get("additionalProperties").is_none() && schema.get("$comment").is_none() {
                open.push(path.to_owned());
            }
        }
    });
    assert_eq!(open, Vec::<String>::new());
    assert!(n_objects > 40, "{n_objects}");
}

#[test]
fn null_takes_nothing_away_that_means_something() {
    let (schema, values) = (repository("values.schema.json"), repository("values.yaml"));
    let mut lost = Vec::new();
    find_dispensable(&schema, &schema, &values, "", &mut lost);
    lost.sort();
    assert_eq!(lost, DISPENSABLE);
}

/// Notes the paths of values that say something by default, and that the schema lets `null` take away.
fn find_dispensable(root: &Value, schema: &Value, values: &Value, path: &str, lost: &mut Vec<String>) {
    let schema = resolved(root, schema);
    let Some(properties) = schema["properties"].as_object() else { return };
    for (key, value) in values.as_object().unwrap() {
        // Maps of anybody's keys name only those that they refuse.
        let Some(part) = properties.get(key).map(|part| resolved(root, part)) else { continue };
        let path = format!("{path}/{key}");
        let is_required = schema["required"].as_array().is_some_and(|keys| keys.contains(&key.as_str().into()));
        let says_something = match value {
            Value::Bool(_) => true,
            Value::Number(number) => number.as_u64() != Some(0),
            Value::String(text) => !text.is_empty(),
            // Such maps, and lists, may be empty.
            Value::Object(map) => !map.is_empty() && part.get("properties").is_some(),
            Value::Null | Value::Array(_) => false,
        };
        if says_something && !is_required {
            lost.push(path.clone());
        }
        if value.is_object() {
            find_dispensable(root, part, value, &path, lost);
        }
    }
}

/// Returns what a part of the schema stands for.
fn resolved<'a>(root: &'a Value, part: &'a Value) -> &'a Value {
    match part.get("$ref").and_then(Value::as_str) {
        Some(reference) => root.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => part,
    }
}

/// Returns the one object in a file of the chart.
fn repository(file: &str) -> Value {
    let [object] = &rendered::of_repository(&format!("charts/tracecapture/{file}"))[..] else { panic!("{file}") };
    object.clone()
}

/// Shows every part of a schema with its path.
fn visit(schema: &Value, path: &str, show: &mut impl FnMut(&str, &Value)) {
    show(path, schema);
    match schema {
        Value::Object(map) => map.iter().for_each(|(key, value)| visit(value, &format!("{path}/{key}"), show)),
        Value::Array(list) => list.iter().for_each(|value| visit(value, path, show)),
        _ => {}
    }
}
