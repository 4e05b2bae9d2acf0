//! The condition `ReceiversReady`: every collector pod takes spans, by the settings of the current generation.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::scene::{CollectorPod, Scene};
use super::verdict::Verdict;
use crate::api::report::{CollectorReport, StorageHealth};
use crate::api::{Reason, State};

/// Why a kubelet waits where an image cannot be had.
///
/// Source: Kubernetes, `pkg/kubelet/images/types.go` and `pkg/kubelet/kuberuntime`.
const IMAGE_FAULTS: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
];

/// Why a kubelet waits where a container cannot be made or does not stay.
const CRASH_FAULTS: [&str; 4] =
    ["CrashLoopBackOff", "RunContainerError", "CreateContainerError", "CreateContainerConfigError"];

/// What refusals for lack of quota hold, in lower case: of a `ResourceQuota`, and of a `LimitRange`.
const QUOTA_WORDS: [&str; 2] = ["quota", " usage per "];

/// Says whether every collector pod takes spans.
pub(super) fn receivers(scene: &Scene<'_>) -> Verdict {
    let visit = scene.visit;
    if let Err(refusal) = visit.capture {
        return Verdict::no(refusal.reason, &refusal.message);
    }
    if let Err(failure) = visit.applied {
        return Verdict::unapplied(failure);
    }
    if visit.observed.stateful_set.is_none() {
        let reason = if visit.paused { Reason::Paused } else { Reason::Pending };
        return Verdict::unknown(reason, "The collector pods are not made yet.");
    }
    let faults = [missing, troubled, volume_at_fault, stopped, outdated, not_ready, silent];
    faults.iter().find_map(|fault| fault(scene)).unwrap_or_else(|| {
        Verdict::yes(Reason::AllReady, &format!("{} of {} pods take spans.", scene.pods.len(), scene.n_wanted))
    })
}

/// Pods that the API server refuses to make.
fn missing(scene: &Scene<'_>) -> Option<Verdict> {
    let refusal = scene.visit.observed.refusals.first().filter(|_| scene.pods.len() < scene.n_wanted)?;
    let lower = refusal.to_lowercase();
    let is_quota = QUOTA_WORDS.iter().any(|word| lower.contains(word));
    let reason = if is_quota { Reason::QuotaExceeded } else { Reason::PodRefused };
    let (n_pods, n_wanted) = (scene.pods.len(), scene.n_wanted);
    Some(Verdict::no(reason, &format!("{n_pods} of {n_wanted} pods exist: {refusal}")))
}

/// Pods that do not get to run.
fn troubled(scene: &Scene<'_>) -> Option<Verdict> {
    let (pod, (reason, what)) = scene.pods.iter().find_map(|pod| Some((pod, trouble(pod.pod)?)))?;
    Some(Verdict::no(reason, &format!("Pod `{}`: {what}", pod.name)))
}

/// Pods that tell of a volume that cannot be written, and are not ready for that.
fn volume_at_fault(scene: &Scene<'_>) -> Option<Verdict> {
    let name_of = |pod: &CollectorPod<'_>| pod.name.to_owned();
    scene.pods.iter().find_map(|pod| match &pod.told()?.health.storage {
        StorageHealth::Ok => None,
        StorageHealth::Full { message } => {
            Some(Verdict::no(Reason::VolumeFull, &format!("Pod `{}` turns spans away: {message}", name_of(pod))))
        }
        StorageHealth::Failed { message } => {
            Some(Verdict::no(Reason::VolumeFailed, &format!("Pod `{}` turns spans away: {message}", name_of(pod))))
        }
    })
}

/// Pods that are being started, stopped or replaced.
fn not_ready(scene: &Scene<'_>) -> Option<Verdict> {
    let n_ready = scene.pods.iter().filter(|pod| pod.is_ready).count();
    let is_settled = n_ready == scene.n_wanted && scene.pods.len() == scene.n_wanted;
    let what = format!("{n_ready} of {} pods are ready.", scene.n_wanted);
    (!is_settled).then(|| Verdict::no(Reason::Progressing, &what))
}

/// Pods that run and do not answer the operator.
fn silent(scene: &Scene<'_>) -> Option<Verdict> {
    let silent = scene.pods.iter().find(|pod| pod.told().is_none())?;
    let why = silent.report.and_then(Result::err).unwrap_or("it was not asked");
    Some(Verdict::unknown(Reason::Unreachable, &format!("Pod `{}` does not answer: {why}", silent.name)))
}

/// Pods that work by settings of an earlier generation.
fn outdated(scene: &Scene<'_>) -> Option<Verdict> {
    let told = scene.pods.iter().filter_map(CollectorPod::told);
    let n_outdated = told.filter(|report| report.is_behind(scene.visit.generation)).count();
    let reason = if scene.visit.paused { Reason::Paused } else { Reason::SettingsPending };
    let what = format!("{n_outdated} of {} pods work by earlier settings.", scene.n_wanted);
    (n_outdated > 0).then(|| Verdict::no(reason, &what))
}

/// Pods that refuse spans because the current settings say so; that is also why they are not ready.
fn stopped(scene: &Scene<'_>) -> Option<Verdict> {
    let is_stopped =
        |report: &&CollectorReport| report.state == State::Stopped && !report.is_behind(scene.visit.generation);
    scene.pods.iter().filter_map(CollectorPod::told).find(is_stopped)?;
    let is_asked_for = scene.visit.capture.is_ok_and(|capture| capture.state() == State::Stopped);
    Some(if is_asked_for {
        Verdict::no(Reason::Stopped, "New spans are refused, since `spec.state` is `Stopped`.")
    } else {
        Verdict::no(Reason::Completed, "New spans are refused, since the time to stop has come.")
    })
}

/// Returns what keeps a pod from running.
fn trouble(pod: &Pod) -> Option<(Reason, String)> {
    let status = pod.status.as_ref()?;
    let inits = status.init_container_statuses.iter().flatten();
    let containers = inits.chain(status.container_statuses.iter().flatten());
    if let Some(found) = containers.into_iter().find_map(container_trouble) {
        return Some(found);
    }
    let scheduled = status.conditions.iter().flatten().find(|condition| condition.type_ == "PodScheduled")?;
    let said = scheduled.message.as_deref().unwrap_or("no node takes it");
    (scheduled.status == "False").then(|| (Reason::Unschedulable, said.to_owned()))
}

fn container_trouble(container: &ContainerStatus) -> Option<(Reason, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let why = waiting.reason.as_deref()?;
    let said = waiting.message.as_deref().unwrap_or_default();
    if IMAGE_FAULTS.contains(&why) {
        return Some((Reason::ImagePullFailed, format!("image `{}`: {why}: {said}", container.image)));
    }
    if !CRASH_FAULTS.contains(&why) {
        return None;
    }
    // How often it was restarted is left out: the message would change with every try.
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let ended = ended.map(|end| {
        let reason = end.reason.as_deref().unwrap_or("Error");
        format!("ended with exit code {} ({reason})", end.exit_code)
    });
    Some((Reason::Crashing, format!("{why}: {}", ended.as_deref().unwrap_or(said))))
}
