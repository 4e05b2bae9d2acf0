//! The container of the collector.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, ObjectFieldSelector, Probe,
    ResourceRequirements, SecurityContext, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::network::{otlp_ports, own_ports};
use super::plan::Plan;
use crate::api::Quantity as Given;
use crate::clock::Timestamp;
use crate::settings::CollectorSettings;
use crate::units::ByteSize;

/// The name of the container.
pub(super) const NAME: &str = "collector";

/// The name of the volume with the settings.
pub(super) const SETTINGS_VOLUME: &str = "settings";

/// The name of the volume with the chunks.
pub(super) const DATA_VOLUME: &str = "data";

/// Where the settings are mounted, as a whole: files mounted one by one would never change.
pub(super) const SETTINGS_DIR: &str = "/etc/tracecapture";

/// Where the chunks are mounted.
pub(super) const DATA_DIR: &str = "/data";

/// The variables by which a collector knows which pod it is, and the fields that they come from.
pub(super) const IDENTITY: [(&str, &str); 2] = [("POD_NAME", "metadata.name"), ("POD_NAMESPACE", "metadata.namespace")];

/// What a pod asks for where the capture does not say: enough for tens of thousands of spans a second.
const REQUESTS: [(&str, &str); 2] = [("cpu", "100m"), ("memory", "128Mi")];

/// What a pod may use beside requests in flight: the process, its buffers, downloads, and
/// pages of files that the kernel counts to the pod until it writes them.
const MEMORY_BESIDE_REQUESTS: u64 = 256 << 20;

/// Limits that are chosen here are whole MiB.
const MIB: u64 = 1 << 20;

/// Returns the container.
pub(super) fn container(plan: &Plan<'_>) -> Container {
    let collector = &plan.capture.spec().collector;
    Container {
        name: NAME.to_owned(),
        image: Some(collector.image.clone().unwrap_or_else(|| plan.context.image.to_owned())),
        // The policy belongs to the operator's own image: what others use is left to Kubernetes.
        image_pull_policy: plan.context.image_pull_policy.filter(|_| collector.image.is_none()).map(str::to_owned),
        args: Some(["collector", "--settings-dir", SETTINGS_DIR, "--data-dir", DATA_DIR].map(str::to_owned).to_vec()),
        env: Some(env(plan)),
        ports: Some(ports(plan)),
        resources: Some(resources(plan)),
        volume_mounts: Some(mounts(plan)),
        security_context: Some(security()),
        // Recovery of a large chunk after a crash may take minutes; the process answers meanwhile, late at worst.
        startup_probe: Some(probe("/livez", (1, 5, 600))),
        readiness_probe: Some(probe("/readyz", (5, 3, 2))),
        liveness_probe: Some(probe("/livez", (10, 5, 6))),
        ..Container::default()
    }
}

/// Returns the environment: who the pod is, then what the capture adds, in its order, since a
/// variable may refer to an earlier one.
fn env(plan: &Plan<'_>) -> Vec<EnvVar> {
    let mut variables: Vec<EnvVar> = IDENTITY
        .map(|(name, field)| EnvVar {
            name: name.to_owned(),
            value_from: Some(EnvVarSource {
                field_ref: Some(ObjectFieldSelector { field_path: field.to_owned(), api_version: None }),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        })
        .to_vec();
    // None of these is one of ours: the rules of the resource keep their names.
    variables.extend(plan.capture.spec().collector.env.iter().map(|given| EnvVar {
        name: given.name.clone(),
        value: Some(given.value.clone()),
        ..EnvVar::default()
    }));
    variables
}

/// Returns the ports. They are also what restarts the pods when the endpoint moves, which a
/// collector cannot follow while it runs.
fn ports(plan: &Plan<'_>) -> Vec<ContainerPort> {
    let ports = otlp_ports(plan).into_iter().chain(own_ports());
    ports
        .map(|port| ContainerPort {
            name: Some(port.name.to_owned()),
            container_port: port.number.into(),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        })
        .collect()
}

fn mounts(plan: &Plan<'_>) -> Vec<VolumeMount> {
    vec![
        VolumeMount {
            name: SETTINGS_VOLUME.to_owned(),
            mount_path: SETTINGS_DIR.to_owned(),
            read_only: Some(true),
            ..VolumeMount::default()
        },
        VolumeMount {
            name: DATA_VOLUME.to_owned(),
            mount_path: DATA_DIR.to_owned(),
            sub_path: plan.capture.spec().storage.sub_path.clone(),
            ..VolumeMount::default()
        },
    ]
}

/// Returns the compute resources: those of the capture as a whole, or ours.
fn resources(plan: &Plan<'_>) -> ResourceRequirements {
    let quantities = |given: &BTreeMap<String, Given>| {
        let texts = given.iter().map(|(name, quantity)| (name.clone(), Quantity(text(quantity))));
        Some(texts.collect::<BTreeMap<_, _>>()).filter(|quantities| !quantities.is_empty())
    };
    match &plan.capture.spec().collector.resources {
        Some(given) => ResourceRequirements {
            requests: quantities(&given.requests),
            limits: quantities(&given.limits),
            claims: None,
        },
        None => ResourceRequirements {
            requests: Some(REQUESTS.map(|(name, text)| (name.to_owned(), Quantity(text.to_owned()))).into()),
            // No limit of the processor: throttled, a collector would be slow just when there is much to take.
            limits: Some(BTreeMap::from([("memory".to_owned(), Quantity(memory_limit(plan).to_string()))])),
            claims: None,
        },
    }
}

/// Returns how much memory a pod may use at most: what may be in flight, and room beside it.
///
/// Requests up to the default size fit into the same limit, so that changing their size restarts
/// no pod; larger ones need a larger limit, and that a running pod cannot get.
fn memory_limit(plan: &Plan<'_>) -> ByteSize {
    let in_flight = CollectorSettings::of(plan.capture, Timestamp::default()).live.receive().budget();
    ByteSize(in_flight.saturating_add(MEMORY_BESIDE_REQUESTS).div_ceil(MIB).saturating_mul(MIB))
}

fn security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}

fn probe(path: &str, (period, timeout, failures): (i32, i32, i32)) -> Probe {
    let [_, admin] = own_ports();
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(admin.name.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(timeout),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn text(quantity: &Given) -> String {
    match quantity {
        Given::Number(number) => number.to_string(),
        Given::Text(text) => text.clone(),
    }
}
