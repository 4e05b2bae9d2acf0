//! Putting the ports of a Service back that somebody gave other numbers.
//!
//! Server-side apply tells ports apart by number and protocol. A port that has one of our names and another number is
//! a port of somebody else to it: it stays, ours is added, and the API server refuses the name that stands twice.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Map, Value, json};

use super::belongs::FIELD_MANAGER;
use super::build::Object;
use super::error::status;

/// How the API server marks a value that stands twice.
const TWICE: &str = "FieldValueDuplicate";

/// How it notes what was written by other ways than apply.
const UPDATE: &str = "Update";

/// Tells whether an apply was refused because ports of somebody else have names of ours.
pub(super) fn are_in_the_way(error: &kube::Error) -> bool {
    let details = status(error).filter(|status| status.is_invalid()).and_then(|status| status.details.as_ref());
    let causes = details.map(|details| details.causes.as_slice()).unwrap_or_default();
    causes.iter().any(|cause| cause.reason == TWICE && cause.field.starts_with("spec.ports"))
}

/// Replaces the ports of a Service by those of `object`; ports of others with names of their own stay.
///
/// What is written here is given up at once: fields that we own in two ways would outlive the apply that drops them.
///
/// # Errors
/// As the API server says; a conflict is worth a retry.
///
/// # Cancel safety
/// Every step leaves a Service that works; the next apply takes the ports over.
pub(super) async fn put_back(api: &Api<DynamicObject>, object: &Object) -> kube::Result<()> {
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let there = api.get(&object.name).await?;
    let ports = replaced(ports_of(&there.data), ports_of(&object.body));
    // The version keeps what somebody does meanwhile.
    let change =
        json!({ "metadata": { "resourceVersion": there.metadata.resource_version }, "spec": { "ports": ports } });
    let written = api.patch(&object.name, &params, &Patch::Merge(&change)).await?;
    let mut managers = written.metadata.managed_fields.unwrap_or_default();
    managers
        .retain(|entry| entry.manager.as_deref() != Some(FIELD_MANAGER) || entry.operation.as_deref() != Some(UPDATE));
    let change = json!({
        "metadata": { "resourceVersion": written.metadata.resource_version, "managedFields": managers },
    });
    api.patch(&object.name, &params, &Patch::Merge(&change)).await.map(drop)
}

fn ports_of(service: &Value) -> &[Value] {
    service.pointer("/spec/ports").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Returns `wanted`, each with what others set on it, and after them the ports of others.
fn replaced(there: &[Value], wanted: &[Value]) -> Vec<Value> {
    let is_same = |a: &Value, b: &Value| ["port", "protocol"].iter().all(|key| a.get(key) == b.get(key));
    let has_name_of = |a: &Value, b: &Value| a.get("name") == b.get("name");
    let whole = |port: &Value| {
        let found = there.iter().find(|found| is_same(found, port)).and_then(Value::as_object);
        let mut members: Map<String, Value> = found.cloned().unwrap_or_default();
        members.extend(port.as_object().cloned().unwrap_or_default());
        Value::Object(members)
    };
    let is_others = |found: &&Value| !wanted.iter().any(|port| is_same(port, found) || has_name_of(port, found));
    wanted.iter().map(whole).chain(there.iter().filter(is_others).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, number: u16) -> Value {
        json!({ "name": name, "port": number, "protocol": "TCP" })
    }

    #[test]
    fn ours_come_back_and_those_of_others_stay() {
        let mut kept = port("otlp-http", 4318);
        kept["nodePort"] = json!(30_000);
        let there = [port("otlp-grpc", 9999), kept.clone(), port("metrics", 9100)];
        let wanted = [port("otlp-grpc", 4317), port("otlp-http", 4318)];
        assert_eq!(replaced(&there, &wanted), [port("otlp-grpc", 4317), kept, port("metrics", 9100)]);
    }

    #[test]
    fn ports_that_exchanged_their_names_have_them_again() {
        let there = [port("otlp-http", 4317), port("otlp-grpc", 4318)];
        let wanted = [port("otlp-grpc", 4317), port("otlp-http", 4318)];
        assert_eq!(replaced(&there, &wanted), wanted);
    }
}
