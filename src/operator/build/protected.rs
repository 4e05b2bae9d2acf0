//! What an overlay must leave as it is: without it the pod would not be a collector any more.

use serde_json::Value;

use super::container::{self, DATA_DIR, DATA_VOLUME, IDENTITY, SETTINGS_DIR, SETTINGS_VOLUME};
use crate::api::Fault;
use crate::api::names::RESERVED_VARIABLES;

/// By which members the elements of lists are found.
const KEYS: [&str; 2] = ["name", "mountPath"];

/// The lists whose elements stand in brackets in the path of a fault.
const LISTS: [&str; 4] = ["containers", "env", "volumeMounts", "volumes"];

/// The container of the collector.
const COLLECTOR: [&str; 3] = ["spec", "containers", container::NAME];

/// How long a pod needs at least to end: the stages of a collector, each at its limit, take 28 seconds.
const LEAST_TERMINATION_SECONDS: i64 = 30;

/// How long a pod may take to end, on the pod and on a probe that found the collector dead.
const GRACE: &str = "terminationGracePeriodSeconds";

/// Its probes, and the ways in which a probe can ask.
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
const HANDLERS: [&str; 4] = ["exec", "grpc", "httpGet", "tcpSocket"];

/// Paths within the template, and what to do instead of changing them.
///
/// The rules of the resource refuse some of them already: the template does not rely on it.
const OF_THE_POD: [(&[&str], &str); 12] = [
    (&["spec", "serviceAccountName"], "the pods run under an account without permissions: remove it"),
    (&["spec", "serviceAccount"], "the pods run under an account without permissions: remove it"),
    (&["spec", "automountServiceAccountToken"], "the pods get no token: remove it"),
    (&["spec", "restartPolicy"], "pods of a set are always restarted: remove it"),
    (&["spec", "activeDeadlineSeconds"], "pods of a set have no end: use `spec.stopAfterSeconds`"),
    (&["spec", "ephemeralContainers"], "belongs to running pods: use `kubectl debug`"),
    (&["spec", "hostname"], "the set names its pods: remove it"),
    (&["spec", "subdomain"], "the set names its pods: remove it"),
    (&["spec", "shareProcessNamespace"], "lets other containers signal the collector and read its memory: remove it"),
    (&["spec", "nodeName"], "goes past the scheduler: use `spec.collector.nodeSelector`"),
    (&["spec", "volumes", SETTINGS_VOLUME], "the collector reads its settings here: remove it"),
    (&["spec", "volumes", DATA_VOLUME], "chunks lie on the volume of `spec.storage`: change it there"),
];

/// Paths within the container of the collector, and what to do instead of changing them.
const OF_THE_COLLECTOR: [(&[&str], &str); 14] = [
    (&["image"], "use `spec.collector.image`"),
    (&["command"], "the image knows its program: remove it"),
    (&["args"], "the collector takes its settings from the capture: remove it"),
    (&["envFrom"], "could set flags of the collector: name the variables one by one under `env`"),
    (&["lifecycle"], "the collector drains by itself when it is told to end: remove it"),
    (&["restartPolicy"], "pods of a set are always restarted: remove it"),
    (&["terminationMessagePath"], "could hide files of the collector: remove it"),
    (&["volumeDevices"], "the collector needs file systems: remove it"),
    (&["ports"], "use `spec.receiver`; give ports of your own to a container of your own"),
    (&["env", IDENTITY[0].0], "tells the collector which pod it is: remove it"),
    (&["env", IDENTITY[1].0], "tells the collector which pod it is: remove it"),
    (&["volumeMounts", SETTINGS_DIR], "the collector reads its settings here: remove it"),
    (&["volumeMounts", DATA_DIR], "chunks lie here: use `spec.storage`"),
    (&["securityContext", "readOnlyRootFilesystem"], "mount an `emptyDir` where files are written"),
];

/// A template before and after the merge.
#[derive(Debug, Clone, Copy)]
struct Templates<'v> {
    before: &'v Value,
    merged: &'v Value,
}

/// Returns what an overlay changed that it must not, with paths within the template.
pub(super) fn faults(before: &Value, merged: &Value) -> Vec<Fault> {
    let templates = Templates { before, merged };
    let mut faults = Vec::new();
    for (name, _) in before.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten() {
        let advice = "the set finds its pods by their labels: remove it";
        faults.extend(templates.change(&["metadata", "labels", name], advice));
    }
    for (path, advice) in OF_THE_POD {
        faults.extend(templates.change(path, advice));
    }
    for (path, advice) in OF_THE_COLLECTOR {
        faults.extend(templates.change(&of_collector(path), advice));
    }
    for probe in PROBES {
        let advice = "the collector answers this probe on its own port: change its times only";
        faults.extend(HANDLERS.iter().filter_map(|way| templates.change(&of_collector(&[probe, way]), advice)));
    }
    faults.extend(templates.short_ends());
    faults.extend(templates.tokens());
    faults.extend(templates.shadowing_mounts());
    faults.extend(templates.reserved_variables());
    faults
}

impl Templates<'_> {
    fn change(self, path: &[&str], advice: &str) -> Option<Fault> {
        if at(self.before, path) == at(self.merged, path) {
            return None;
        }
        Some(Fault::new(text(path), advice))
    }

    /// Returns where a pod would be killed before it has drained and sealed its chunk.
    fn short_ends(self) -> Vec<Fault> {
        let of_probes = PROBES.map(|probe| of_collector(&[probe, GRACE]));
        let places = [vec!["spec", GRACE]].into_iter().chain(of_probes);
        let is_short = |path: &Vec<&str>| {
            at(self.merged, path).and_then(Value::as_i64).is_some_and(|seconds| seconds < LEAST_TERMINATION_SECONDS)
        };
        let advice =
            format!("a collector needs that long to store what it took: write at least {LEAST_TERMINATION_SECONDS}");
        places.filter(is_short).map(|path| Fault::new(text(&path), advice.clone())).collect()
    }

    /// Returns the volumes that would hand out a token of the pods' account.
    fn tokens(self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for volume in at(self.merged, &["spec", "volumes"]).and_then(Value::as_array).into_iter().flatten() {
            let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
            let sources = volume.pointer("/projected/sources").and_then(Value::as_array).into_iter().flatten();
            let is_token = |(_, source): &(usize, &Value)| source.get("serviceAccountToken").is_some();
            faults.extend(sources.enumerate().filter(is_token).map(|(index, _)| {
                let path =
                    format!("{}.projected.sources[{index}].serviceAccountToken", text(&["spec", "volumes", name]));
                Fault::new(path, "the pods get no token: remove it")
            }));
        }
        faults
    }

    /// Returns the mounts that would lie over the settings or the chunks, over a part of them or over what holds them.
    fn shadowing_mounts(self) -> Vec<Fault> {
        let ours = [SETTINGS_DIR, DATA_DIR];
        let lies_over = |path: &&str| {
            let parts = parts_of(path);
            let overlaps = |dir: &&str| parts.starts_with(&parts_of(dir)) || parts_of(dir).starts_with(&parts);
            !ours.contains(path) && (ours.iter().any(overlaps) || parts.contains(&".."))
        };
        let advice = "would hide files of the collector: mount it elsewhere";
        let paths = names(self.merged, "volumeMounts", "mountPath").filter(lies_over);
        paths.map(|path| Fault::new(text(&of_collector(&["volumeMounts", path])), advice)).collect()
    }

    /// Returns the variables that would change how the collector starts: its flags can be set by variables too.
    fn reserved_variables(self) -> Vec<Fault> {
        let is_known = |name: &str| names(self.before, "env", "name").any(|known| known == name);
        let is_reserved =
            |name: &&str| RESERVED_VARIABLES.iter().any(|prefix| name.starts_with(prefix)) && !is_known(name);
        let added = names(self.merged, "env", "name").filter(is_reserved);
        added.map(|name| Fault::new(text(&of_collector(&["env", name])), "is set by the operator: remove it")).collect()
    }
}

/// Returns the keys of a list of the collector's container.
fn names<'v>(template: &'v Value, list: &str, key: &str) -> impl Iterator<Item = &'v str> {
    let elements = at(template, &of_collector(&[list])).and_then(Value::as_array).into_iter().flatten();
    elements.filter_map(move |element| element.get(key)?.as_str())
}

fn of_collector<'p>(path: &[&'p str]) -> Vec<&'p str> {
    [&COLLECTOR, path].concat()
}

/// Splits a path into its parts, without those that lead nowhere.
fn parts_of(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect()
}

/// Goes down `path`; a step into a list takes the element with that key.
fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match value {
        Value::Array(items) => {
            let is_meant = |item: &&Value| KEYS.iter().any(|key| item.get(key).is_some_and(|name| name == step));
            items.iter().find(is_meant)
        }
        _ => value.get(step),
    })
}

/// Writes a path, with the elements of lists in brackets.
fn text(path: &[&str]) -> String {
    let mut text = String::new();
    let mut is_element = false;
    for step in path {
        text = match (is_element, text.is_empty()) {
            (true, _) => format!("{text}[{step}]"),
            (false, true) => (*step).to_owned(),
            (false, false) => format!("{text}.{step}"),
        };
        is_element = !is_element && LISTS.contains(step);
    }
    text
}
