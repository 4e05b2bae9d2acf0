//! The schema of the values is strict at every level, but where it says why not.

use serde_json::Value;

use crate::rendered;

#[test]
fn no_object_takes_keys_that_nobody_named() {
    let [schema] = &rendered::of_repository("charts/tracecapture/values.schema.json")[..] else { panic!("one schema") };
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

/// Shows every part of a schema with its path.
fn visit(schema: &Value, path: &str, show: &mut impl FnMut(&str, &Value)) {
    show(path, schema);
    match schema {
        Value::Object(map) => map.iter().for_each(|(key, value)| visit(value, &format!("{path}/{key}"), show)),
        Value::Array(list) => list.iter().for_each(|value| visit(value, path, show)),
        _ => {}
    }
}
