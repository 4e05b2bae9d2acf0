//! `kubectl apply -k config/default` installs what `helm install` does with default values.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::rendered::{self, is_hook, name_of};

/// What only one of the two makes: Helm makes the namespace by a flag, and the test by hooks.
const NAMESPACE: &str = "v1 Namespace /tracecapture-system";

/// Labels that name the tool, its release or its chart.
const LABELS_OF_TOOLS: [&str; 7] = [
    "app.kubernetes.io/component",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/version",
    "helm.sh/chart",
];

#[test]
fn kustomize_installs_what_the_chart_installs() {
    let chart = by_name(rendered::of("default.yaml").into_iter().filter(|object| !is_hook(object)));
    let mut kustomize = by_name(rendered::of("kustomize").into_iter());
    assert!(kustomize.remove(NAMESPACE).is_some());
    assert_eq!(chart.keys().collect::<Vec<_>>(), kustomize.keys().collect::<Vec<_>>());
    for (name, object) in &chart {
        assert_eq!(object, &kustomize[name], "{name}");
    }
}

fn by_name(objects: impl Iterator<Item = Value>) -> BTreeMap<String, Value> {
    objects.map(|object| (name_of(&object), without_tools(object))).collect()
}

/// Takes away what Helm adds to the metadata of an object; labels of pods and of selectors stay.
fn without_tools(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().unwrap();
    for (key, is_of_tool) in
        [("labels", is_label_of_tool as fn(&str) -> bool), ("annotations", |name| name.starts_with("helm.sh/"))]
    {
        let Some(map) = metadata.get_mut(key).and_then(Value::as_object_mut) else { continue };
        map.retain(|name, _| !is_of_tool(name));
        if map.is_empty() {
            metadata.remove(key);
        }
    }
    object
}

fn is_label_of_tool(name: &str) -> bool {
    LABELS_OF_TOOLS.contains(&name)
}
