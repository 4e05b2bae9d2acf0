//! Which fields of a capture changed, and which of those need a restart.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::ValidCapture;

/// The fields that a running process takes up; a field that is not listed needs a restart,
/// which is the safe side for one that is added later.
const LIVE: &[&str] = &[
    "spec.state",
    "spec.stopAfterSeconds",
    "spec.endTime",
    "spec.durability",
    "spec.receiver.maxRequestBytes",
    "spec.receiver.cors",
    "spec.chunk",
    "spec.retention",
    "spec.recovery",
    "spec.download",
];

/// The paths of fields that a new capture changes for a running process, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Those that take effect at once.
    pub live: Vec<String>,
    /// Those that take effect at the next start.
    pub needs_restart: Vec<String>,
}

impl Changes {
    /// Tells whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.needs_restart.is_empty()
    }
}

/// Compares `new` field by field with `current`, the capture that a process took up last.
///
/// A field that needs a restart is left out where it is again what it was in `started`, the
/// capture that the process was started with: it is in effect already.
pub fn changes(started: &ValidCapture, current: &ValidCapture, new: &ValidCapture) -> Changes {
    let (started, current, new) = (leaves_of(started), leaves_of(current), leaves_of(new));
    let mut paths: Vec<&String> = current.keys().chain(new.keys()).collect();
    paths.sort();
    paths.dedup();
    let mut changes = Changes::default();
    for path in paths.into_iter().filter(|path| current.get(*path) != new.get(*path)) {
        let is_under =
            |outer: &str| path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if LIVE.iter().any(|outer| is_under(outer)) {
            changes.live.push(path.clone());
        } else if started.get(path) != new.get(path) {
            changes.needs_restart.push(path.clone());
        }
    }
    changes
}

fn leaves_of(capture: &ValidCapture) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    leaves.insert("metadata.name".to_owned(), capture.id().name().into());
    leaves.insert("metadata.namespace".to_owned(), capture.id().namespace().into());
    leaves.insert("metadata.uid".to_owned(), capture.origin().uid.clone().into());
    collect(serde_json::to_value(capture.spec()).unwrap_or_default(), "spec", &mut leaves);
    leaves
}

/// Collects everything below `path` that is not a map; a list counts as one value.
fn collect(value: Value, path: &str, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                collect(member, &format!("{path}.{name}"), leaves);
            }
        }
        leaf => {
            leaves.insert(path.to_owned(), leaf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture((name, spec): (&str, &str)) -> ValidCapture {
        let text = format!(
            "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        );
        crate::api::parse(&text).unwrap()
    }

    fn check(old: (&str, &str), new: (&str, &str), live: &[&str], needs_restart: &[&str]) {
        let changes = changes(&capture(old), &capture(old), &capture(new));
        assert_eq!((&*changes.live, &*changes.needs_restart), (&*to_owned(live), &*to_owned(needs_restart)));
        assert_eq!(changes.is_empty(), live.is_empty() && needs_restart.is_empty());
    }

    fn to_owned(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|&path| path.to_owned()).collect()
    }

    #[test]
    fn equal_captures_have_no_changes() {
        check(("a", "{}"), ("a", "{state: Running, chunk: {maxAgeSeconds: 3600}}"), &[], &[]);
    }

    #[test]
    fn limits_and_state_are_live() {
        check(
            ("a", "{}"),
            (
                "a",
                "{state: Stopped, chunk: {maxBytes: 10M}, retention: {maxAgeSeconds: 60}, receiver: {maxRequestBytes: 1Mi}}",
            ),
            &["spec.chunk.maxBytes", "spec.receiver.maxRequestBytes", "spec.retention.maxAgeSeconds", "spec.state"],
            &[],
        );
    }

    #[test]
    fn when_it_stops_and_who_may_ask_are_live() {
        check(
            ("a", "{}"),
            (
                "a",
                "{stopAfterSeconds: 60, endTime: '2100-01-01T00:00:00Z', download: {enabled: false}, receiver: {cors: {allowedOrigins: []}}}",
            ),
            &["spec.download.enabled", "spec.endTime", "spec.receiver.cors.allowedOrigins", "spec.stopAfterSeconds"],
            &[],
        );
    }

    #[test]
    fn names_ports_and_storage_need_a_restart() {
        check(
            ("a", "{storage: {size: 1Gi}}"),
            ("b", "{receiver: {grpc: {port: 14317}}, recovery: {inactiveSeconds: 60}}"),
            &["spec.recovery.inactiveSeconds"],
            &["metadata.name", "spec.receiver.grpc.port", "spec.storage.size"],
        );
    }

    #[test]
    fn what_is_as_it_was_at_the_start_needs_no_restart() {
        let started = capture(("a", "{}"));
        let current = capture(("a", "{state: Stopped, receiver: {grpc: {port: 14317}}, storage: {size: 2Gi}}"));
        let new = capture(("a", "{storage: {size: 3Gi}}"));
        let expected = Changes { live: to_owned(&["spec.state"]), needs_restart: to_owned(&["spec.storage.size"]) };
        assert_eq!(changes(&started, &current, &new), expected);
        assert_eq!(changes(&started, &current, &started).needs_restart, to_owned(&[]));
    }
}
