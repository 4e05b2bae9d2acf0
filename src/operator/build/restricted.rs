//! The restricted profile of the Pod Security Standards, on a merged pod template.
//!
//! A little stricter than the profile: what it asks of the pod *or* of every container must
//! stand on the pod, as it does in the template. So no container that is merged in later, by
//! this overlay or by another controller, is without it. And root's group is as little given as
//! its user: files of images, and of volumes that others share, may be open to it.
//!
//! Source: Kubernetes documentation, "Pod Security Standards", baseline and restricted.

use k8s_openapi::api::core::v1::{
    Container, LifecycleHandler, PodSecurityContext, PodSpec, PodTemplateSpec, Probe, SELinuxOptions, SecurityContext,
};

use crate::api::Fault;

/// The kinds of volumes that need nothing of the node.
const VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

/// The kernel parameters that stay within the pod.
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// The types of `SELinux` that a container may have.
const SELINUX_TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// The profiles of seccomp and of `AppArmor` that confine.
const PROFILES: [&str; 2] = ["RuntimeDefault", "Localhost"];

/// The one capability that may be added.
const CAPABILITY: &str = "NET_BIND_SERVICE";

/// Where the profile of `AppArmor` stood before it became a field.
const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Faults of one template, collected under paths.
struct Findings(Vec<Fault>);

/// Returns where a template breaks the profile, with paths within the template.
pub(super) fn faults(template: &PodTemplateSpec) -> Vec<Fault> {
    let mut findings = Findings(Vec::new());
    let annotations = template.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    for (name, value) in annotations.into_iter().flatten().filter(|(name, _)| name.starts_with(APPARMOR_ANNOTATION)) {
        let confines = value == "runtime/default" || value.starts_with("localhost/");
        findings.unless(confines, &format!("metadata.annotations.{name}"), "write `runtime/default`");
    }
    if let Some(spec) = &template.spec {
        findings.check_pod(spec);
    }
    findings.0
}

impl Findings {
    fn unless(&mut self, holds: bool, path: &str, advice: &str) {
        if !holds {
            self.0.push(Fault::new(path, format!("weakens the security of the pod: {advice}")));
        }
    }

    fn check_pod(&mut self, spec: &PodSpec) {
        let hosts = [("hostNetwork", spec.host_network), ("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc)];
        for (name, value) in hosts {
            self.unless(value != Some(true), &format!("spec.{name}"), "remove it");
        }
        self.check_pod_security(&spec.security_context.clone().unwrap_or_default());
        for volume in spec.volumes.iter().flatten() {
            let written = serde_json::to_value(volume).unwrap_or_default();
            let kinds = written.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
            for kind in kinds.filter(|kind| *kind != "name" && !VOLUMES.contains(kind)) {
                let advice = format!("use one of `{}`", VOLUMES.join("`, `"));
                self.unless(false, &format!("spec.volumes[{}].{kind}", volume.name), &advice);
            }
        }
        for container in &spec.containers {
            self.check_container(container, &format!("spec.containers[{}]", container.name));
        }
        for container in spec.init_containers.iter().flatten() {
            self.check_container(container, &format!("spec.initContainers[{}]", container.name));
        }
    }

    fn check_pod_security(&mut self, context: &PodSecurityContext) {
        let path = |field: &str| format!("spec.securityContext.{field}");
        self.unless(context.run_as_non_root == Some(true), &path("runAsNonRoot"), "write `true`");
        self.unless(context.run_as_user != Some(0), &path("runAsUser"), "write another user than root");
        self.unless(context.run_as_group != Some(0), &path("runAsGroup"), "write another group than root");
        self.unless(context.fs_group != Some(0), &path("fsGroup"), "write another group than root");
        let has_root = context.supplemental_groups.iter().flatten().any(|group| *group == 0);
        self.unless(!has_root, &path("supplementalGroups"), "remove 0, the group of root");
        let seccomp = context.seccomp_profile.as_ref().map(|profile| profile.type_.as_str());
        self.unless(seccomp.is_some_and(confines), &path("seccompProfile"), "write `type: RuntimeDefault`");
        let apparmor = context.app_armor_profile.as_ref().map(|profile| profile.type_.as_str());
        self.unless(apparmor.is_none_or(confines), &path("appArmorProfile"), "write `type: RuntimeDefault`");
        let is_host = context.windows_options.as_ref().and_then(|options| options.host_process) == Some(true);
        self.unless(!is_host, &path("windowsOptions.hostProcess"), "remove it");
        self.check_selinux(context.se_linux_options.as_ref(), &path("seLinuxOptions"));
        for sysctl in context.sysctls.iter().flatten() {
            let is_safe = SYSCTLS.contains(&sysctl.name.as_str());
            self.unless(is_safe, &path(&format!("sysctls[{}]", sysctl.name)), "remove it");
        }
    }

    fn check_container(&mut self, container: &Container, path: &str) {
        self.check_security(
            &container.security_context.clone().unwrap_or_default(),
            &format!("{path}.securityContext"),
        );
        for port in container.ports.iter().flatten() {
            let is_free = port.host_port.is_none_or(|port| port == 0);
            self.unless(is_free, &format!("{path}.ports[{}].hostPort", port.container_port), "remove it");
        }
        let probes = [
            ("startupProbe", &container.startup_probe),
            ("readinessProbe", &container.readiness_probe),
            ("livenessProbe", &container.liveness_probe),
        ];
        for (name, probe) in probes {
            let stays = probe.as_ref().is_none_or(|probe| probe_hosts(probe).all(str::is_empty));
            self.unless(stays, &format!("{path}.{name}"), "remove `host`");
        }
        let lifecycle = container.lifecycle.clone().unwrap_or_default();
        for (name, handler) in [("postStart", lifecycle.post_start), ("preStop", lifecycle.pre_stop)] {
            let stays = handler.is_none_or(|handler| handler_hosts(&handler).all(str::is_empty));
            self.unless(stays, &format!("{path}.lifecycle.{name}"), "remove `host`");
        }
    }

    fn check_security(&mut self, context: &SecurityContext, path: &str) {
        let of = |field: &str| format!("{path}.{field}");
        self.unless(context.privileged != Some(true), &of("privileged"), "remove it");
        let cannot_rise = context.allow_privilege_escalation == Some(false);
        self.unless(cannot_rise, &of("allowPrivilegeEscalation"), "write `false`");
        self.unless(context.run_as_non_root != Some(false), &of("runAsNonRoot"), "remove it");
        self.unless(context.run_as_user != Some(0), &of("runAsUser"), "write another user than root");
        self.unless(context.run_as_group != Some(0), &of("runAsGroup"), "write another group than root");
        let capabilities = context.capabilities.clone().unwrap_or_default();
        let drops_all = capabilities.drop.iter().flatten().any(|name| name == "ALL");
        self.unless(drops_all, &of("capabilities.drop"), "write `[ALL]`");
        let adds_none = capabilities.add.iter().flatten().all(|name| name == CAPABILITY);
        self.unless(adds_none, &of("capabilities.add"), "add at most `NET_BIND_SERVICE`");
        let seccomp = context.seccomp_profile.as_ref().map(|profile| profile.type_.as_str());
        self.unless(seccomp.is_none_or(confines), &of("seccompProfile"), "write `type: RuntimeDefault`");
        let apparmor = context.app_armor_profile.as_ref().map(|profile| profile.type_.as_str());
        self.unless(apparmor.is_none_or(confines), &of("appArmorProfile"), "write `type: RuntimeDefault`");
        let is_masked = context.proc_mount.as_deref().is_none_or(|mount| mount == "Default");
        self.unless(is_masked, &of("procMount"), "remove it");
        let is_host = context.windows_options.as_ref().and_then(|options| options.host_process) == Some(true);
        self.unless(!is_host, &of("windowsOptions.hostProcess"), "remove it");
        self.check_selinux(context.se_linux_options.as_ref(), &of("seLinuxOptions"));
    }

    fn check_selinux(&mut self, options: Option<&SELinuxOptions>, path: &str) {
        let is_container = |options: &SELinuxOptions| {
            let is_empty = |field: &Option<String>| field.as_deref().is_none_or(str::is_empty);
            let kind = options.type_.as_deref().unwrap_or_default();
            SELINUX_TYPES.contains(&kind) && is_empty(&options.user) && is_empty(&options.role)
        };
        self.unless(options.is_none_or(is_container), path, "use a type for containers, and neither user nor role");
    }
}

fn confines(profile: &str) -> bool {
    PROFILES.contains(&profile)
}

fn probe_hosts(probe: &Probe) -> impl Iterator<Item = &str> {
    let http = probe.http_get.as_ref().and_then(|action| action.host.as_deref());
    http.into_iter().chain(probe.tcp_socket.as_ref().and_then(|action| action.host.as_deref()))
}

fn handler_hosts(handler: &LifecycleHandler) -> impl Iterator<Item = &str> {
    let http = handler.http_get.as_ref().and_then(|action| action.host.as_deref());
    http.into_iter().chain(handler.tcp_socket.as_ref().and_then(|action| action.host.as_deref()))
}
