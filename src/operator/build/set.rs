//! The set of collector pods, and how many of them may be away at a time.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::plan::Plan;

/// How long a replaced pod must stay ready before the next one is replaced: longer than a
/// collector that cannot live takes to fall over.
const MIN_READY_SECONDS: i32 = 10;

/// How many earlier templates are kept for `kubectl rollout undo`.
const REVISIONS_KEPT: i32 = 3;

/// Returns the set. Its claim is not made from a template: one volume is shared by all pods.
pub(super) fn stateful_set(plan: &Plan<'_>, template: PodTemplateSpec) -> StatefulSet {
    let spec = StatefulSetSpec {
        replicas: Some(plan.capture.spec().collector.replicas),
        selector: plan.selector(),
        service_name: Some(plan.names.collector()),
        // All at once: no collector waits for another, and one broken node must not hold up the rest.
        pod_management_policy: Some("Parallel".to_owned()),
        update_strategy: Some(StatefulSetUpdateStrategy {
            type_: Some("RollingUpdate".to_owned()),
            ..StatefulSetUpdateStrategy::default()
        }),
        min_ready_seconds: Some(MIN_READY_SECONDS),
        revision_history_limit: Some(REVISIONS_KEPT),
        template,
        ..StatefulSetSpec::default()
    };
    StatefulSet { metadata: plan.owned(plan.names.collector()), spec: Some(spec), ..StatefulSet::default() }
}

/// Returns the budget; `None` for a single pod, which would otherwise hold up every drain of its node.
pub(super) fn disruption_budget(plan: &Plan<'_>) -> Option<PodDisruptionBudget> {
    if plan.capture.spec().collector.replicas <= 1 {
        return None;
    }
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(1)),
        selector: Some(plan.selector()),
        // A pod that is not ready takes no spans anyway, such as while its volume is full.
        unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        ..PodDisruptionBudgetSpec::default()
    };
    let metadata = plan.owned(plan.names.collector());
    Some(PodDisruptionBudget { metadata, spec: Some(spec), ..PodDisruptionBudget::default() })
}
