//! Having pods take up mounted settings at once.
//!
//! A kubelet brings a mounted `ConfigMap` up to date when it synchronises the pod: every 60 to 90 seconds, or at once
//! where the pod itself changed. So a pod that works by earlier settings gets an annotation that names the new ones.
//! It is a hint: where it cannot be written, the kubelet comes by in its own time.
//!
//! Source: Kubernetes documentation, "Configure a Pod to Use a `ConfigMap`", "Mounted `ConfigMaps` are updated automatically".

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::backoff;
use super::belongs::FIELD_MANAGER;
use super::error::{VisitError, optional, told};
use super::observed::Observed;
use crate::api::names::SETTINGS_ANNOTATION;
use crate::ids::CaptureId;

/// How soon a capture is looked at again whose pods were nudged: kubelet and collector take a second or two.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// How long it is looked at that often: a kubelet that takes no notice comes by within this time.
const LOOK_FOR: Duration = Duration::from_secs(90);

/// How long the annotations of all pods may take: they are worth no more of a visit.
const LIMIT: Duration = Duration::from_secs(5);

/// What is known of the nudges of one capture.
#[derive(Debug, Default)]
pub(super) struct Nudges {
    /// When a pod was annotated last, on the monotonic clock.
    made: Option<Duration>,
    /// Which generation could not be written on a pod, and when that was.
    refused: Option<(i64, Duration)>,
}

/// Nudges each pod that works by earlier settings than those of `generation`, once; returns when to look again.
///
/// The settings must have been applied: a pod that is nudged too early is not nudged again. `now` is on the monotonic
/// clock. Where a pod could not be annotated, the generation is left alone for a while.
///
/// # Cancel safety
/// A pod that was not annotated is left to the next visit.
pub(super) async fn nudge(
    client: &Client,
    id: &CaptureId,
    generation: i64,
    observed: &Observed,
    (nudges, now): (&mut Nudges, Duration),
) -> Option<Duration> {
    let pods = unaware(observed, generation);
    if !pods.is_empty() && !nudges.are_put_off(generation, now) {
        let annotated = join_all(pods.into_iter().map(|pod| annotate(client, id, pod, generation)));
        let annotated = timeout(LIMIT, annotated).await.map_err(|_| format!("no answer within {} s", LIMIT.as_secs()));
        let error = match &annotated {
            Ok(each) => each.iter().find_map(|one| one.as_ref().err()),
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            warn!(capture = %id, error, "pods are not annotated: settings take effect when their kubelets look, within 90 seconds");
            nudges.refused = Some((generation, now));
        }
        if annotated.iter().flatten().any(Result::is_ok) {
            nudges.made = Some(now);
        }
    }
    let is_recent = nudges.made.is_some_and(|made| now.saturating_sub(made) < LOOK_FOR);
    (is_recent && !outdated(observed, generation).is_empty()).then_some(LOOK_AGAIN)
}

impl Nudges {
    fn are_put_off(&self, generation: i64, now: Duration) -> bool {
        self.refused.is_some_and(|(refused, at)| refused == generation && now.saturating_sub(at) < backoff::LONGEST)
    }
}

/// Annotates a pod, if it is still there; the error is for people.
async fn annotate(client: &Client, id: &CaptureId, pod: &Pod, generation: i64) -> Result<(), String> {
    let (api, name): (Api<Pod>, _) = (Api::namespaced(client.clone(), id.namespace()), pod.name_any());
    // The UID keeps the note from the next pod of this name, which has mounted the new settings.
    let note = json!({
        "metadata": { "uid": pod.metadata.uid, "annotations": { SETTINGS_ANNOTATION: generation.to_string() } },
    });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let answer = optional(api.patch_metadata(&name, &params, &Patch::Merge(&note)).await);
    let context = || format!("annotate Pod `{}/{name}`", id.namespace());
    answer.map_err(|error| told(&VisitError::api(context())(error)))?;
    debug!(capture = %id, pod = name, generation, "annotated, so that its kubelet brings its settings up to date");
    Ok(())
}

/// Returns the pods that work by earlier settings, but for those that end.
fn outdated(observed: &Observed, generation: i64) -> Vec<&Pod> {
    let is_behind = |pod: &&Pod| {
        let name = pod.metadata.name.as_deref();
        let report = observed.reports.iter().find(|report| Some(&*report.pod) == name);
        report.and_then(|report| report.report.as_ref().ok()).is_some_and(|report| report.is_behind(Some(generation)))
    };
    observed.pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).filter(is_behind).collect()
}

/// Returns those of them that were not annotated yet.
fn unaware(observed: &Observed, generation: i64) -> Vec<&Pod> {
    let note = generation.to_string();
    let is_unaware = |pod: &&Pod| pod.annotations().get(SETTINGS_ANNOTATION) != Some(&note);
    outdated(observed, generation).into_iter().filter(is_unaware).collect()
}

#[cfg(test)]
mod tests {
    use super::super::observed::PodReport;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;
    use kube::ResourceExt;

    use super::*;
    use crate::api::report::CollectorReport;

    /// A pod, the generation on it, and the one that it tells of.
    fn seen(name: &str, note: Option<&str>, tells: Option<i64>) -> (Pod, PodReport) {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.to_owned());
        pod.annotations_mut().extend(note.map(|note| (SETTINGS_ANNOTATION.to_owned(), note.to_owned())));
        let report = tells.map(|told| CollectorReport { generation: Some(told), ..CollectorReport::default() });
        (pod, PodReport { pod: name.to_owned(), ordinal: 0, report: report.ok_or_else(|| "silent".to_owned()) })
    }

    #[test]
    fn pods_that_work_by_earlier_settings_are_annotated_once() {
        let mut ending = seen("ending-5", None, Some(1));
        ending.0.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        let (pods, reports) = [
            seen("behind-0", None, Some(1)),
            seen("annotated-1", Some("2"), Some(1)),
            seen("annotated-before-2", Some("1"), Some(0)),
            seen("current-3", None, Some(2)),
            seen("silent-4", None, None),
            ending,
        ]
        .into_iter()
        .unzip();
        let observed = Observed { pods, reports, ..Observed::default() };
        let names = |pods: Vec<&Pod>| pods.into_iter().map(ResourceExt::name_any).collect::<Vec<_>>();
        assert_eq!(names(unaware(&observed, 2)), ["behind-0", "annotated-before-2"]);
        assert_eq!(names(outdated(&observed, 2)), ["behind-0", "annotated-1", "annotated-before-2"]);
        assert_eq!(names(outdated(&observed, 0)), [""; 0]);
    }
}
