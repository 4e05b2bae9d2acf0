//! Having pods take up mounted settings at once.
//!
//! A kubelet brings a mounted `ConfigMap` up to date when it synchronises the pod: every 60 to 90 seconds, or at once
//! where the pod itself changed. So a pod that works by earlier settings gets an annotation that names the new ones.
//! It is a hint: where it cannot be written, the kubelet comes by in its own time.
//!
//! Source: Kubernetes documentation, "Configure a Pod to Use a `ConfigMap`", "Mounted `ConfigMaps` are updated automatically".

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tracing::{debug, warn};

use super::attempts::FIELD_MANAGER;
use super::error::{VisitError, optional, told};
use super::observed::Observed;
use crate::api::names::SETTINGS_ANNOTATION;
use crate::ids::CaptureId;

/// How soon a capture is looked at again whose pods were told: kubelet and collector take a second or two.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// How long it is looked at that often: a kubelet that takes no notice comes by within this time.
const LOOK_FOR: Duration = Duration::from_secs(90);

/// Tells each pod that works by earlier settings than those of `generation`, once; returns when to look again.
///
/// `told` is when the last pod of the capture was told, and `now` the same clock.
/// The settings must have been applied: a pod that is told too early is not told again.
///
/// # Cancel safety
/// A pod that was not told is told by the next visit.
pub(super) async fn nudge(
    client: &Client,
    id: &CaptureId,
    generation: i64,
    observed: &Observed,
    (told, now): (&mut Option<Duration>, Duration),
) -> Option<Duration> {
    for pod in untold(observed, generation) {
        if tell(client, id, pod, generation).await {
            *told = Some(now);
        }
    }
    let is_recent = told.is_some_and(|told| now.saturating_sub(told) < LOOK_FOR);
    (is_recent && !outdated(observed, generation).is_empty()).then_some(LOOK_AGAIN)
}

/// Tells a pod of its settings; returns whether it was there and could be told.
async fn tell(client: &Client, id: &CaptureId, pod: &Pod, generation: i64) -> bool {
    let (api, name): (Api<Pod>, _) = (Api::namespaced(client.clone(), id.namespace()), pod.name_any());
    // The UID keeps the note from the next pod of this name, which has mounted the new settings.
    let note = json!({
        "metadata": { "uid": pod.metadata.uid, "annotations": { SETTINGS_ANNOTATION: generation.to_string() } },
    });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match optional(api.patch_metadata(&name, &params, &Patch::Merge(&note)).await) {
        Ok(answer) => {
            debug!(capture = %id, pod = name, generation, "told to take up its settings");
            answer.is_some()
        }
        Err(error) => {
            let error = VisitError::api(format!("annotate Pod `{}/{name}`", id.namespace()))(error);
            warn!(capture = %id, error = told(&error), "settings take effect when the kubelet looks, within 90 seconds");
            false
        }
    }
}

/// Returns the pods that work by earlier settings, but for those that end.
fn outdated(observed: &Observed, generation: i64) -> Vec<&Pod> {
    let is_behind = |pod: &&Pod| {
        let name = pod.metadata.name.as_deref();
        let report = observed.reports.iter().find(|report| Some(&*report.pod) == name);
        report.and_then(|report| report.report.as_ref().ok()).is_some_and(|report| report.generation < Some(generation))
    };
    observed.pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).filter(is_behind).collect()
}

/// Returns those of them that were not told yet.
fn untold(observed: &Observed, generation: i64) -> Vec<&Pod> {
    let note = generation.to_string();
    let is_untold = |pod: &&Pod| pod.annotations().get(SETTINGS_ANNOTATION) != Some(&note);
    outdated(observed, generation).into_iter().filter(is_untold).collect()
}

#[cfg(test)]
mod tests {
    use super::super::observed::PodReport;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;
    use kube::ResourceExt;

    use super::*;
    use crate::api::report::CollectorReport;

    /// A pod, the generation that it tells of, and the one that it was told of.
    fn seen(name: &str, told: Option<&str>, tells: Option<i64>) -> (Pod, PodReport) {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.to_owned());
        pod.annotations_mut().extend(told.map(|told| (SETTINGS_ANNOTATION.to_owned(), told.to_owned())));
        let report = tells.map(|told| CollectorReport { generation: Some(told), ..CollectorReport::default() });
        (pod, PodReport { pod: name.to_owned(), ordinal: 0, report: report.ok_or_else(|| "silent".to_owned()) })
    }

    #[test]
    fn pods_that_work_by_earlier_settings_are_told_once() {
        let mut ending = seen("ending-5", None, Some(1));
        ending.0.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        let (pods, reports) = [
            seen("behind-0", None, Some(1)),
            seen("told-1", Some("2"), Some(1)),
            seen("told-of-an-earlier-one-2", Some("1"), Some(0)),
            seen("current-3", None, Some(2)),
            seen("silent-4", None, None),
            ending,
        ]
        .into_iter()
        .unzip();
        let observed = Observed { pods, reports, ..Observed::default() };
        let names = |pods: Vec<&Pod>| pods.into_iter().map(ResourceExt::name_any).collect::<Vec<_>>();
        assert_eq!(names(untold(&observed, 2)), ["behind-0", "told-of-an-earlier-one-2"]);
        assert_eq!(names(outdated(&observed, 2)), ["behind-0", "told-1", "told-of-an-earlier-one-2"]);
        assert_eq!(names(outdated(&observed, 0)), [""; 0]);
    }
}
