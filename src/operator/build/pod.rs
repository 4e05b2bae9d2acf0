//! The pod template.

use k8s_openapi::api::core::v1::{
    Affinity, ConfigMapVolumeSource, LocalObjectReference, PersistentVolumeClaimVolumeSource, PodAffinityTerm,
    PodAntiAffinity, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, Toleration,
    TopologySpreadConstraint, Volume, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::container::{self, DATA_VOLUME, SETTINGS_VOLUME};
use super::error::BuildError;
use super::metadata::{labels, texts};
use super::plan::Plan;
use super::{overlay, typed};
use crate::api::Fault;

/// The user and the groups that collectors run under: `nonroot` of the image.
const NONROOT: i64 = 65532;

/// How long a pod has to drain, seal its chunk and let downloads end.
const TERMINATION_SECONDS: i64 = 60;

/// The label of a node by which pods keep apart.
const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";

/// Which container `kubectl logs` and `exec` mean where nobody says.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Returns the template, the overlay merged in.
///
/// # Errors
/// [`BuildError::Invalid`] or [`BuildError::OverlayRefused`].
pub(super) fn template(plan: &Plan<'_>) -> Result<PodTemplateSpec, BuildError> {
    let mut faults = Vec::new();
    let spec = spec(plan, &mut faults);
    if !faults.is_empty() {
        return Err(BuildError::Invalid(faults));
    }
    let metadata = ObjectMeta {
        labels: Some(labels(plan.capture.id())),
        annotations: Some(texts([(DEFAULT_CONTAINER, container::NAME)])),
        ..ObjectMeta::default()
    };
    let template = PodTemplateSpec { metadata: Some(metadata), spec: Some(spec) };
    overlay::merge(template, &plan.capture.spec().collector.pod_overlay).map_err(BuildError::OverlayRefused)
}

fn spec(plan: &Plan<'_>, faults: &mut Vec<Fault>) -> PodSpec {
    let collector = &plan.capture.spec().collector;
    PodSpec {
        containers: vec![container::container(plan)],
        image_pull_secrets: Some(pull_secrets(plan)).filter(|secrets| !secrets.is_empty()),
        volumes: Some(volumes(plan)),
        service_account_name: Some(plan.names.collector()),
        automount_service_account_token: Some(false),
        // A hundred services in a namespace would be seven hundred variables in each pod.
        enable_service_links: Some(false),
        security_context: Some(security()),
        termination_grace_period_seconds: Some(TERMINATION_SECONDS),
        node_selector: Some(collector.node_selector.clone()).filter(|selector| !selector.is_empty()),
        tolerations: Some(tolerations(plan, faults)).filter(|tolerations| !tolerations.is_empty()),
        affinity: Some(affinity(plan, faults)),
        topology_spread_constraints: Some(spread(plan, faults)).filter(|constraints| !constraints.is_empty()),
        ..PodSpec::default()
    }
}

/// Returns the secrets that the operator was told of, also for an image of the capture's own: the kubelet tries each.
fn pull_secrets(plan: &Plan<'_>) -> Vec<LocalObjectReference> {
    plan.context.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect()
}

fn volumes(plan: &Plan<'_>) -> Vec<Volume> {
    let claim_name = plan.capture.spec().storage.claim_name.clone().unwrap_or_else(|| plan.names.claim());
    vec![
        Volume {
            name: SETTINGS_VOLUME.to_owned(),
            config_map: Some(ConfigMapVolumeSource { name: plan.names.settings(), ..ConfigMapVolumeSource::default() }),
            ..Volume::default()
        },
        Volume {
            name: DATA_VOLUME.to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name, read_only: None }),
            ..Volume::default()
        },
    ]
}

/// Returns what the restricted profile of the Pod Security Standards asks for.
fn security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(NONROOT),
        run_as_group: Some(NONROOT),
        fs_group: Some(NONROOT),
        // Without it, every start of a pod would change the owner of every chunk.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
        ..PodSecurityContext::default()
    }
}

fn tolerations(plan: &Plan<'_>, faults: &mut Vec<Fault>) -> Vec<Toleration> {
    let open = &plan.capture.spec().collector.tolerations;
    typed::read(&objects(open), "spec.collector.tolerations", faults)
}

/// Returns where the pods run: as the capture says, and on different nodes where that is possible.
///
/// Also for a single pod, where it says nothing: scaling must not change the template.
fn affinity(plan: &Plan<'_>, faults: &mut Vec<Fault>) -> Affinity {
    let open = Value::Object(plan.capture.spec().collector.affinity.clone());
    let mut affinity: Affinity = typed::read(&open, "spec.collector.affinity", faults);
    affinity.pod_anti_affinity.get_or_insert_with(|| PodAntiAffinity {
        preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
            weight: 100,
            pod_affinity_term: PodAffinityTerm {
                label_selector: Some(plan.selector()),
                topology_key: HOSTNAME_LABEL.to_owned(),
                ..PodAffinityTerm::default()
            },
        }]),
        ..PodAntiAffinity::default()
    });
    affinity
}

/// Returns how the pods are spread; a constraint that selects nothing would do nothing, so it means these pods.
fn spread(plan: &Plan<'_>, faults: &mut Vec<Fault>) -> Vec<TopologySpreadConstraint> {
    let open = &plan.capture.spec().collector.topology_spread_constraints;
    let mut constraints: Vec<TopologySpreadConstraint> =
        typed::read(&objects(open), "spec.collector.topologySpreadConstraints", faults);
    for constraint in &mut constraints {
        constraint.label_selector.get_or_insert_with(|| plan.selector());
    }
    constraints
}

fn objects(open: &[serde_json::Map<String, Value>]) -> Value {
    open.iter().cloned().map(Value::Object).collect()
}
