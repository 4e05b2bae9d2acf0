//! Reading parts of a capture whose form only Kubernetes knows.
//!
//! The schema of the resource lets them pass as they are. The API server would drop a
//! misspelt field of a pod in silence, so every leaf is looked at here: does it have the
//! right type, and does it come back when the typed object is written?

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::Fault;

/// One step down into a value.
#[derive(Debug, Clone, Copy)]
enum Step<'v> {
    Member(&'v str),
    Item(usize),
}

/// Reads `value`, which stands at `path` of the capture.
///
/// What is wrong with it is added to `faults`; what is returned then means nothing.
pub(super) fn read<T>(value: &Value, path: &str, faults: &mut Vec<Fault>) -> T
where
    T: DeserializeOwned + Serialize + Default,
{
    let n_before = faults.len();
    check::<T>(value, path, faults);
    match serde_json::from_value(value.clone()) {
        Ok(typed) => typed,
        Err(error) if faults.len() == n_before => {
            faults.push(Fault::new(path, format!("cannot be read: {error}")));
            T::default()
        }
        // What is wrong with it has been said by its leaves.
        Err(_) => T::default(),
    }
}

/// Adds every leaf of the wrong type and every field that `T` does not have to `faults`.
pub(super) fn check<T: DeserializeOwned + Serialize>(value: &Value, path: &str, faults: &mut Vec<Fault>) {
    visit(value, &mut Vec::new(), &mut |steps, leaf| {
        faults.extend(fault_of::<T>(steps, leaf).map(|message| Fault::new(path.to_owned() + &text(steps), message)));
    });
}

/// Visits everything in `value` that holds nothing itself.
fn visit<'v>(value: &'v Value, steps: &mut Vec<Step<'v>>, see: &mut impl FnMut(&[Step<'v>], &'v Value)) {
    let children: Vec<(Step<'v>, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, member)| (Step::Member(name), member)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (Step::Item(index), item)).collect(),
        _ => Vec::new(),
    };
    if children.is_empty() {
        see(steps, value);
    }
    for (step, child) in children {
        steps.push(step);
        visit(child, steps, see);
        steps.pop();
    }
}

/// Returns what is wrong with one leaf: it is put alone into an otherwise empty `T` and taken out again.
fn fault_of<T: DeserializeOwned + Serialize>(steps: &[Step<'_>], leaf: &Value) -> Option<String> {
    // A null asks for the field to be removed; whether the field exists then makes no difference.
    if leaf.is_null() || steps.is_empty() {
        return None;
    }
    let alone = steps.iter().rev().fold(leaf.clone(), |inner, step| match step {
        Step::Member(name) => Value::Object(Map::from_iter([((*name).to_owned(), inner)])),
        Step::Item(_) => Value::Array(vec![inner]),
    });
    let typed: T = match serde_json::from_value(alone) {
        Ok(typed) => typed,
        Err(error) => return Some(format!("has the wrong type: {error}")),
    };
    let written = serde_json::to_value(typed).unwrap_or_default();
    let found = steps.iter().try_fold(&written, |value, step| match step {
        Step::Member(name) => value.get(name),
        Step::Item(_) => value.get(0),
    });
    if found.is_some() { None } else { Some("is not a field of a pod: correct or remove it".to_owned()) }
}

fn text(steps: &[Step<'_>]) -> String {
    let one = |step: &Step<'_>| match step {
        Step::Member(name) => format!(".{name}"),
        Step::Item(index) => format!("[{index}]"),
    };
    steps.iter().map(one).collect()
}
