//! The overlay: what it may change, and what is refused with the keys that are at fault.

use serde_json::Value;
use tracecapture::api::Reason;

use super::pod_profile::violations;
use super::{body, capture, try_build};

fn spec(overlay: &str) -> String {
    format!("{{collector: {{podOverlay: {overlay}}}}}")
}

/// Checks which keys of an overlay are refused; `C` stands for the path of the collector's container.
fn check_refused(overlay: &str, keys: &[&str]) {
    let error = try_build(&capture("a", &spec(overlay))).err().unwrap_or_else(|| panic!("{overlay} was taken"));
    let prefix = "spec.collector.podOverlay.";
    let found: Vec<String> = error
        .faults()
        .iter()
        .map(|fault| fault.path.strip_prefix(prefix).unwrap().replace("spec.containers[collector]", "C"))
        .collect();
    assert_eq!((error.reason(), &*found), (Reason::OverlayRefused, keys_of(keys).as_slice()), "{overlay}: {error}");
}

fn keys_of(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|&key| key.to_owned()).collect()
}

/// Checks that an overlay is taken, that the pod stays restricted, and what stands at some pointers of the template.
fn check_taken(overlay: &str, expected: &[(&str, Option<Value>)]) {
    let set = body(&capture("a", &spec(overlay)), "StatefulSet", "-collector");
    let template = set.pointer("/spec/template").unwrap();
    assert_eq!(violations(template), Vec::<String>::new(), "{overlay}");
    for (pointer, value) in expected {
        assert_eq!(template.pointer(pointer), value.as_ref(), "{overlay}: {pointer}");
    }
}

/// Writes an overlay of the collector's container.
fn container(members: &str) -> String {
    format!("{{spec: {{containers: [{{name: collector, {members}}}]}}}}")
}

/// Writes an overlay with another container that keeps the profile, beside `members`.
fn sidecar(members: &str) -> String {
    let security = "allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}";
    format!("{{spec: {{containers: [{{name: side, image: i, securityContext: {{{security}}}, {members}}}]}}}}")
}

#[test]
fn maps_are_merged_and_null_removes() {
    check_taken(
        "{metadata: {annotations: {a: b}}, spec: {securityContext: {runAsUser: null, fsGroup: 1000}, affinity: null}}",
        &[
            ("/metadata/annotations/a", Some("b".into())),
            ("/metadata/annotations/kubectl.kubernetes.io~1default-container", Some("collector".into())),
            ("/spec/securityContext/runAsUser", None),
            ("/spec/securityContext/fsGroup", Some(1000.into())),
            ("/spec/securityContext/runAsGroup", Some(65532.into())),
            ("/spec/affinity", None),
        ],
    );
}

#[test]
fn lists_with_a_key_are_merged_and_others_replaced() {
    check_taken(
        &container("env: [{name: A, value: b}], resources: {requests: {cpu: 2}}"),
        &[
            ("/spec/containers/0/env/0/name", Some("POD_NAME".into())),
            ("/spec/containers/0/env/2/name", Some("A".into())),
            ("/spec/containers/0/resources/requests/cpu", Some("2".into())),
            ("/spec/containers/0/resources/requests/memory", Some("128Mi".into())),
            ("/spec/containers/1", None),
        ],
    );
    check_taken(
        "{spec: {tolerations: [{key: a, operator: Exists}]}}",
        &[("/spec/tolerations/0/key", Some("a".into())), ("/spec/tolerations/1", None)],
    );
}

#[test]
fn other_containers_run_beside_the_collector() {
    check_taken(
        &sidecar("volumeMounts: [{name: data, mountPath: /data}], livenessProbe: {httpGet: {port: 9000}}"),
        &[("/spec/containers/1/name", Some("side".into())), ("/spec/containers/0/name", Some("collector".into()))],
    );
    check_taken(
        &sidecar("").replace("containers", "initContainers"),
        &[("/spec/initContainers/0/name", Some("side".into()))],
    );
    check_taken(
        &container("livenessProbe: {periodSeconds: 60}"),
        &[("/spec/containers/0/livenessProbe/httpGet/path", Some("/livez".into()))],
    );
}

#[test]
fn what_makes_the_pod_a_collector_stays() {
    check_refused("{metadata: {labels: {tracecapture.dev/capture: b}}}", &["metadata.labels.tracecapture.dev/capture"]);
    check_refused(
        "{spec: {serviceAccount: admin, restartPolicy: Never, nodeName: n}}",
        &["spec.nodeName", "spec.restartPolicy", "spec.serviceAccount"],
    );
    check_refused(&container("image: x, command: [sh], args: null"), &["C.args", "C.command", "C.image"]);
    check_refused(&container("ports: [{containerPort: 9000}]"), &["C.ports"]);
    check_refused(&container("env: [{name: POD_NAME, value: x}]"), &["C.env[POD_NAME]"]);
    check_refused(&container("env: [{name: TRACECAPTURE_DATA_DIR, value: x}]"), &["C.env[TRACECAPTURE_DATA_DIR]"]);
    check_refused(
        &container("volumeMounts: [{name: data, mountPath: /etc/tracecapture}, {name: x, mountPath: /data/chunks}]"),
        &["C.volumeMounts[/data/chunks]", "C.volumeMounts[/etc/tracecapture]"],
    );
    for path in ["/data/", "//data", "/./etc/tracecapture", "/var/../data"] {
        let mount = format!("volumeMounts: [{{name: x, mountPath: {path}}}]");
        check_refused(&container(&mount), &[&format!("C.volumeMounts[{path}]")]);
    }
    check_refused(
        "{spec: {volumes: [{name: data, emptyDir: {}}, {name: settings, secret: {secretName: x}}]}}",
        &["spec.volumes[data]", "spec.volumes[settings]"],
    );
    check_refused(&container("readinessProbe: {httpGet: {path: /}}"), &["C.readinessProbe.httpGet"]);
    check_refused(&container("livenessProbe: {exec: {command: [a]}}"), &["C.livenessProbe.exec"]);
}

#[test]
fn the_restricted_profile_stays() {
    check_refused("{spec: {volumes: [{name: v, hostPath: {path: /}}]}}", &["spec.volumes[v].hostPath"]);
    for (context, key) in [
        ("runAsNonRoot: false", "runAsNonRoot"),
        ("runAsNonRoot: null", "runAsNonRoot"),
        ("runAsUser: 0", "runAsUser"),
        ("seccompProfile: {type: Unconfined}", "seccompProfile"),
        ("seccompProfile: null", "seccompProfile"),
        ("appArmorProfile: {type: Unconfined}", "appArmorProfile"),
        ("seLinuxOptions: {type: spc_t}", "seLinuxOptions"),
        ("sysctls: [{name: kernel.msgmax, value: '1'}]", "sysctls[kernel.msgmax]"),
        ("windowsOptions: {hostProcess: true}", "windowsOptions.hostProcess"),
    ] {
        check_refused(
            &format!("{{spec: {{securityContext: {{{context}}}}}}}"),
            &[&format!("spec.securityContext.{key}")],
        );
    }
    for (context, key) in [
        ("privileged: true", "privileged"),
        ("allowPrivilegeEscalation: true", "allowPrivilegeEscalation"),
        ("allowPrivilegeEscalation: null", "allowPrivilegeEscalation"),
        ("capabilities: {add: [NET_ADMIN]}", "capabilities.add"),
        ("capabilities: {drop: []}", "capabilities.drop"),
        ("runAsNonRoot: false", "runAsNonRoot"),
        ("runAsUser: 0", "runAsUser"),
        ("procMount: Unmasked", "procMount"),
        ("seccompProfile: {type: Unconfined}", "seccompProfile"),
        ("readOnlyRootFilesystem: false", "readOnlyRootFilesystem"),
    ] {
        check_refused(&container(&format!("securityContext: {{{context}}}")), &[&format!("C.securityContext.{key}")]);
    }
    check_refused(
        "{metadata: {annotations: {container.apparmor.security.beta.kubernetes.io/collector: unconfined}}}",
        &["metadata.annotations.container.apparmor.security.beta.kubernetes.io/collector"],
    );
}

#[test]
fn other_containers_keep_the_profile_too() {
    check_refused(
        "{spec: {containers: [{name: side, image: i}]}}",
        &[
            "spec.containers[side].securityContext.allowPrivilegeEscalation",
            "spec.containers[side].securityContext.capabilities.drop",
        ],
    );
    check_refused(&sidecar("ports: [{containerPort: 1, hostPort: 1}]"), &["spec.containers[side].ports[1].hostPort"]);
    check_refused(&sidecar("startupProbe: {tcpSocket: {host: h, port: 1}}"), &["spec.containers[side].startupProbe"]);
    check_refused(
        &sidecar("lifecycle: {preStop: {httpGet: {host: h, port: 1}}}"),
        &["spec.containers[side].lifecycle.preStop"],
    );
}

#[test]
fn an_overlay_that_is_no_pod_template_is_refused_by_its_leaves() {
    check_refused(
        "{spec: {contaners: [{name: x}], priority: high, volumes: [{emptyDir: {}}]}}",
        &["spec.contaners[0].name", "spec.priority", "spec.volumes[0]"],
    );
    check_refused(
        "{spec: {containers: {name: x}}}",
        &[
            "spec.containers.name",
            "C.args",
            "C.env[POD_NAMESPACE]",
            "C.env[POD_NAME]",
            "C.image",
            "C.livenessProbe.httpGet",
            "C.ports",
            "C.readinessProbe.httpGet",
            "C.securityContext.readOnlyRootFilesystem",
            "C.startupProbe.httpGet",
            "C.volumeMounts[/data]",
            "C.volumeMounts[/etc/tracecapture]",
        ],
    );
}
