//! The overlay: what a user adds to the pod template, as long as it neither breaks the pod nor
//! weakens its security.
//!
//! Checked on what comes out of the merge and not on what goes in: a field that is removed,
//! replaced or reached by another way is then no way around.
//!
//! What remains is what anybody can do who may create restricted pods in that namespace: run
//! other images, mount its `Secret`s. The right to write captures is to be given like that one.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Map, Value};

use super::{merge, protected, restricted, typed};
use crate::api::Fault;

/// Where the overlay stands.
const PATH: &str = "spec.collector.podOverlay";

/// The maps whose values are quantities, which people write as numbers too.
const QUANTITIES: [&str; 2] = ["limits", "requests"];

/// Merges `overlay` into `template`.
///
/// # Errors
/// Every fault, sorted by path.
pub(super) fn merge(template: PodTemplateSpec, overlay: &Map<String, Value>) -> Result<PodTemplateSpec, Vec<Fault>> {
    if overlay.is_empty() {
        return Ok(template);
    }
    let mut overlay = Value::Object(overlay.clone());
    write_quantities_as_text(&mut overlay);
    let mut faults = Vec::new();
    typed::check::<PodTemplateSpec>(&overlay, PATH, &mut faults);
    let before = serde_json::to_value(&template).unwrap_or_default();
    let mut merged = before.clone();
    merge::merge(&mut merged, &overlay, PATH, &mut faults);
    faults.extend(protected::faults(&before, &merged).into_iter().map(below));
    match serde_json::from_value::<PodTemplateSpec>(merged) {
        Ok(merged) => {
            faults.extend(restricted::faults(&merged).into_iter().map(below));
            if faults.is_empty() {
                return Ok(merged);
            }
        }
        Err(error) if faults.is_empty() => faults.push(Fault::new(PATH, format!("makes no pod: {error}"))),
        Err(_) => {}
    }
    faults.sort_by(|a, b| a.path.cmp(&b.path));
    // The first of two that speak of the same field says what to do about both.
    faults.dedup_by(|a, b| a.path == b.path);
    Err(faults)
}

/// Puts the path of a fault within the template below that of the overlay.
fn below(fault: Fault) -> Fault {
    Fault { path: format!("{PATH}.{}", fault.path), ..fault }
}

/// Writes `cpu: 1` as `cpu: "1"`, which the API server takes for the same.
fn write_quantities_as_text(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_object_mut().filter(|_| QUANTITIES.contains(&name.as_str())) {
                    Some(quantities) => quantities.values_mut().filter(|value| value.is_number()).for_each(to_text),
                    None => write_quantities_as_text(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(write_quantities_as_text),
        _ => {}
    }
}

fn to_text(value: &mut Value) {
    *value = Value::String(value.to_string());
}
