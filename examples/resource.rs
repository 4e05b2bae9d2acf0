//! Prints the reference of the resource: `cargo run --quiet --example resource > docs/resource.md`.
//!
//! It says what the definition says, field by field, so that neither can drift from the other.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::Value;

const HEAD: &str = "\
# TraceCapture

`tracecapture.dev/v1alpha1`, plural `tracecaptures`, short `tcap`, in a namespace.
This page is made from the definition by `cargo run --example resource`.

Every field of `spec` has a default or may be left out: `spec: {}` is a capture.
[every-field.yaml](../config/samples/every-field.yaml) shows them together; `tracecapture validate -f FILE` names every fault of a file at once.
Conditions and their reasons stand in [conditions.md](conditions.md).
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let definition: Value = serde_saphyr::from_str(&tracecapture::api::crd_yaml())?;
    let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties").unwrap_or(&Value::Null);
    let mut page = HEAD.to_owned();
    for part in ["spec", "status"] {
        let part_schema = schema.get(part).unwrap_or(&Value::Null);
        write!(page, "\n## {part}\n\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n")?;
        rows(&mut page, "", part_schema)?;
        rules(&mut page, part, part_schema)?;
    }
    std::io::stdout().write_all(page.as_bytes())?;
    Ok(())
}

/// Writes a row for each field below a schema, depth first.
fn rows(page: &mut String, path: &str, schema: &Value) -> std::fmt::Result {
    for (name, field) in properties(schema) {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let meaning = field.get("description").and_then(Value::as_str).unwrap_or_default();
        let meaning = meaning.replace("\n\n", " ").replace('\n', " ").replace('|', "\\|");
        let default = field.get("default").filter(|default| !default.is_object());
        let default = default.map(|default| format!("`{default}`")).unwrap_or_default();
        writeln!(page, "| `{path}` | {} | {default} | {meaning} |", kind(field))?;
        rows(page, &path, field)?;
        if let Some(items) = field.get("items") {
            rows(page, &format!("{path}[]"), items)?;
        }
    }
    Ok(())
}

/// Writes the rules that hold for a part as a whole or for what lies in it.
fn rules(page: &mut String, part: &str, schema: &Value) -> std::fmt::Result {
    let mut found = Vec::new();
    collect_rules(part, schema, &mut found);
    if found.is_empty() {
        return Ok(());
    }
    write!(page, "\nRules that the API server checks:\n\n")?;
    for (path, message) in found {
        writeln!(page, "- `{path}`: {message}")?;
    }
    Ok(())
}

fn collect_rules(path: &str, schema: &Value, found: &mut Vec<(String, String)>) {
    let list = schema.get("x-kubernetes-validations").and_then(Value::as_array);
    for rule in list.into_iter().flatten() {
        let message = rule.get("message").and_then(Value::as_str).unwrap_or_default();
        found.push((path.to_owned(), message.to_owned()));
    }
    for (name, field) in properties(schema) {
        collect_rules(&format!("{path}.{name}"), field, found);
    }
    if let Some(items) = schema.get("items") {
        collect_rules(&format!("{path}[]"), items, found);
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// Returns the type of a field with its bounds, for people.
fn kind(field: &Value) -> String {
    let text = |key: &str| field.get(key).and_then(Value::as_str);
    if let Some(values) = field.get("enum").and_then(Value::as_array) {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        return values.join(", ");
    }
    let name = match text("type") {
        _ if field.get("x-kubernetes-int-or-string").is_some() => "quantity".to_owned(),
        Some("array") => format!("list of {}", field.get("items").map(kind).unwrap_or_default()),
        Some("object") if field.get("additionalProperties").is_some() => "map".to_owned(),
        Some(name) => text("format").filter(|format| *format == "date-time").unwrap_or(name).to_owned(),
        None => "any".to_owned(),
    };
    match (field.get("minimum"), field.get("maximum")) {
        (Some(least), Some(most)) => format!("{name}, {least} to {most}"),
        (Some(least), None) => format!("{name}, at least {least}"),
        (None, Some(most)) => format!("{name}, at most {most}"),
        (None, None) => name,
    }
}
