//! What an overlay must leave as it is: without it the pod would not be a collector any more.

use serde_json::Value;

use super::container::{self, DATA_DIR, SETTINGS_DIR};
use crate::api::Fault;

/// The members of the template's metadata that a pod of a set can have.
const METADATA: [&str; 2] = ["annotations", "labels"];

/// By which members the elements of lists are found.
const KEYS: [&str; 2] = ["name", "mountPath"];

/// The container, as the beginning of a path.
const C: [&str; 3] = ["spec", "containers", container::NAME];

/// Paths within the template, and what to do instead of changing them.
const PROTECTED: [(&[&str], &str); 29] = [
    (&["spec", "serviceAccountName"], "the pods run under an account without permissions: remove it"),
    (&["spec", "serviceAccount"], "the pods run under an account without permissions: remove it"),
    (&["spec", "automountServiceAccountToken"], "the pods get no token: remove it"),
    (&["spec", "restartPolicy"], "pods of a set are always restarted: remove it"),
    (&["spec", "activeDeadlineSeconds"], "pods of a set have no end: use `spec.stopAfterSeconds`"),
    (&["spec", "ephemeralContainers"], "belongs to running pods: use `kubectl debug`"),
    (&["spec", "hostname"], "the set names its pods: remove it"),
    (&["spec", "subdomain"], "the set names its pods: remove it"),
    (&["spec", "nodeName"], "goes past the scheduler: use `spec.collector.nodeSelector`"),
    (&["spec", "volumes", container::SETTINGS_VOLUME], "the collector reads its settings here: remove it"),
    (&["spec", "volumes", container::DATA_VOLUME], "chunks lie on the volume of `spec.storage`: change it there"),
    (&[C[0], C[1], C[2], "image"], "use `spec.collector.image`"),
    (&[C[0], C[1], C[2], "command"], "the image knows its program: remove it"),
    (&[C[0], C[1], C[2], "args"], "the collector takes its settings from the capture: remove it"),
    (&[C[0], C[1], C[2], "ports"], "use `spec.receiver`; give ports of your own to a container of your own"),
    (&[C[0], C[1], C[2], "env", container::IDENTITY[0].0], "tells the collector which pod it is: remove it"),
    (&[C[0], C[1], C[2], "env", container::IDENTITY[1].0], "tells the collector which pod it is: remove it"),
    (&[C[0], C[1], C[2], "volumeMounts", SETTINGS_DIR], "the collector reads its settings here: remove it"),
    (&[C[0], C[1], C[2], "volumeMounts", DATA_DIR], "chunks lie here: use `spec.storage`"),
    (&[C[0], C[1], C[2], "securityContext", "readOnlyRootFilesystem"], "mount an `emptyDir` where files are written"),
    (&[C[0], C[1], C[2], "startupProbe", "httpGet"], HANDLER),
    (&[C[0], C[1], C[2], "startupProbe", "exec"], HANDLER),
    (&[C[0], C[1], C[2], "startupProbe", "tcpSocket"], HANDLER),
    (&[C[0], C[1], C[2], "readinessProbe", "httpGet"], HANDLER),
    (&[C[0], C[1], C[2], "readinessProbe", "exec"], HANDLER),
    (&[C[0], C[1], C[2], "readinessProbe", "tcpSocket"], HANDLER),
    (&[C[0], C[1], C[2], "livenessProbe", "httpGet"], HANDLER),
    (&[C[0], C[1], C[2], "livenessProbe", "exec"], HANDLER),
    (&[C[0], C[1], C[2], "livenessProbe", "tcpSocket"], HANDLER),
];

/// What is said of another way to probe the collector.
const HANDLER: &str = "the collector answers these probes on its own port: change their times only";

/// Returns what an overlay changed that it must not, with paths within the template.
pub(super) fn faults(before: &Value, merged: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    let metadata = merged.get("metadata").and_then(Value::as_object).into_iter().flatten();
    for (name, _) in metadata.filter(|(name, _)| !METADATA.contains(&name.as_str())) {
        faults.push(Fault::new(
            format!("metadata.{name}"),
            "the set gives its pods everything but labels and annotations: remove it",
        ));
    }
    let labels = before.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    for (name, _) in labels {
        faults.extend(change(
            before,
            merged,
            &["metadata", "labels", name],
            "the set finds its pods by their labels: remove it",
        ));
    }
    for (path, advice) in PROTECTED {
        faults.extend(change(before, merged, path, advice));
    }
    faults.extend(shadowing(merged));
    faults
}

fn change(before: &Value, merged: &Value, path: &[&str], advice: &str) -> Option<Fault> {
    if at(before, path) == at(merged, path) {
        return None;
    }
    Some(Fault::new(text(path), advice))
}

/// Returns the mounts that would lie over a part of the settings or of the chunks.
fn shadowing(merged: &Value) -> Vec<Fault> {
    let mounts = at(merged, &[C[0], C[1], C[2], "volumeMounts"]).and_then(Value::as_array).into_iter().flatten();
    let paths = mounts.filter_map(|mount| mount.get("mountPath")?.as_str());
    let is_below = |path: &&str| {
        [SETTINGS_DIR, DATA_DIR].iter().any(|dir| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/')))
    };
    let shadow = |path| {
        Fault::new(
            text(&[C[0], C[1], C[2], "volumeMounts", path]),
            "would hide files of the collector: mount it elsewhere",
        )
    };
    paths.filter(is_below).map(shadow).collect()
}

/// Goes down `path`; a step into a list takes the element with that key.
fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match value {
        Value::Array(items) => {
            items.iter().find(|item| KEYS.iter().any(|key| item.get(key).is_some_and(|name| name == step)))
        }
        _ => value.get(step),
    })
}

/// Writes a path, with the elements of lists in brackets.
fn text(path: &[&str]) -> String {
    let mut text = String::new();
    let mut within_list = false;
    for step in path {
        if within_list {
            text = format!("{text}[{step}]");
        } else {
            let dot = if text.is_empty() { "" } else { "." };
            text = format!("{text}{dot}{step}");
        }
        within_list = !within_list && matches!(*step, "containers" | "volumes" | "volumeMounts" | "env");
    }
    text
}
