//! The restricted profile of the Pod Security Standards, as the Kubernetes documentation has it.
//!
//! Written from that page alone, on JSON and by its words, so that it shares no mistake with the check of overlays.
//! Source: Kubernetes documentation, "Pod Security Standards": each control with its restricted fields and allowed values.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::{Value, json};

/// "Restricted Fields" of the pod and what is allowed; `null` stands for undefined.
fn pod_controls() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        ("/spec/hostNetwork", vec![Value::Null, json!(false)]),
        ("/spec/hostPID", vec![Value::Null, json!(false)]),
        ("/spec/hostIPC", vec![Value::Null, json!(false)]),
        ("/spec/securityContext/windowsOptions/hostProcess", vec![Value::Null, json!(false)]),
        ("/spec/securityContext/seLinuxOptions/user", vec![Value::Null, json!("")]),
        ("/spec/securityContext/seLinuxOptions/role", vec![Value::Null, json!("")]),
        ("/spec/securityContext/appArmorProfile/type", vec![Value::Null, json!("RuntimeDefault"), json!("Localhost")]),
    ]
}

/// "Restricted Fields" of each container and what is allowed, where the pod does not matter.
fn container_controls() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        ("/securityContext/privileged", vec![Value::Null, json!(false)]),
        ("/securityContext/allowPrivilegeEscalation", vec![json!(false)]),
        ("/securityContext/procMount", vec![Value::Null, json!("Default")]),
        ("/securityContext/windowsOptions/hostProcess", vec![Value::Null, json!(false)]),
        ("/securityContext/seLinuxOptions/type", vec![Value::Null, json!(""), json!("container_t")]),
        ("/securityContext/appArmorProfile/type", vec![Value::Null, json!("RuntimeDefault"), json!("Localhost")]),
        ("/livenessProbe/httpGet/host", vec![Value::Null, json!("")]),
        ("/readinessProbe/httpGet/host", vec![Value::Null, json!("")]),
        ("/startupProbe/httpGet/host", vec![Value::Null, json!("")]),
    ]
}

/// Returns what in a pod template the profile does not allow.
pub(crate) fn violations(template: &Value) -> Vec<String> {
    let mut found = not_allowed(template, &pod_controls(), "pod");
    let list = |pointer: &str| template.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    for volume in list("/spec/volumes") {
        let kinds = volume.as_object().unwrap().keys().filter(|key| *key != "name");
        let allowed = [
            "configMap",
            "csi",
            "downwardAPI",
            "emptyDir",
            "ephemeral",
            "persistentVolumeClaim",
            "projected",
            "secret",
        ];
        found.extend(kinds.filter(|kind| !allowed.contains(&kind.as_str())).map(|kind| format!("volume type {kind}")));
    }
    if !list("/spec/securityContext/sysctls").is_empty() {
        found.push("sysctls".to_owned());
    }
    let pod = template.pointer("/spec/securityContext").cloned().unwrap_or_default();
    for container in list("/spec/containers").into_iter().chain(list("/spec/initContainers")) {
        found.extend(not_allowed(&container, &container_controls(), "container"));
        found.extend(capabilities(&container));
        found.extend(identity(&pod, &container));
        let ports = container.get("ports").and_then(Value::as_array).cloned().unwrap_or_default();
        found.extend(ports.iter().filter_map(|port| port.get("hostPort")).map(|port| format!("host port {port}")));
    }
    found
}

fn not_allowed(value: &Value, controls: &[(&str, Vec<Value>)], what: &str) -> Vec<String> {
    let actual = |pointer| value.pointer(pointer).cloned().unwrap_or_default();
    let broken = controls.iter().filter(|(pointer, allowed)| !allowed.contains(&actual(pointer)));
    broken.map(|(pointer, _)| format!("{what} {pointer}: {}", actual(pointer))).collect()
}

/// "Containers must drop ALL capabilities, and are only permitted to add back the `NET_BIND_SERVICE` capability."
fn capabilities(container: &Value) -> Option<String> {
    let list = |name: &str| container.pointer(&format!("/securityContext/capabilities/{name}")).cloned();
    let drops_all = list("drop").is_some_and(|drop| drop.as_array().unwrap().contains(&json!("ALL")));
    let add = list("add").unwrap_or(json!([]));
    let adds_none = add.as_array().unwrap().iter().all(|name| name == "NET_BIND_SERVICE");
    (!drops_all || !adds_none).then(|| format!("capabilities of {container}"))
}

/// "The container fields may be undefined/nil if the pod-level field is set", and the other way round.
fn identity(pod: &Value, container: &Value) -> Vec<String> {
    let own = container.get("securityContext").cloned().unwrap_or_default();
    let effective = |pointer: &str| own.pointer(pointer).or(pod.pointer(pointer)).cloned().unwrap_or_default();
    let mut found = Vec::new();
    if effective("/runAsNonRoot") != true {
        found.push("runAsNonRoot".to_owned());
    }
    if pod.get("runAsUser") == Some(&json!(0)) || own.get("runAsUser") == Some(&json!(0)) {
        found.push("runAsUser".to_owned());
    }
    if !["RuntimeDefault", "Localhost"].contains(&effective("/seccompProfile/type").as_str().unwrap_or_default()) {
        found.push("seccompProfile".to_owned());
    }
    found
}
