//! From what a visit saw to the whole status.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::scene::Scene;
use super::verdict::Verdict;
use super::visit::Visit;
use super::{figures, keeper, ready, receivers, round, storage};
use crate::api::names::{CAPTURE_LABEL, ChildNames, shortened};
use crate::api::{ConditionType, EndpointsStatus, TraceCaptureStatus, ValidCapture};
use crate::operator::kinds::Kind;

/// The longest value of a label.
const MAX_LABEL_LEN: usize = 63;

/// Derives the status of a capture from what one visit saw.
///
/// # Guarantees
/// The same visit gives the same status. While nothing happens it gives the previous status, except for
/// what follows from the time itself.
pub fn derive(visit: &Visit<'_>) -> TraceCaptureStatus {
    let scene = Scene::of(visit);
    let stored = figures::storage(&scene);
    let set = visit.observed.stateful_set.as_ref().and_then(|set| set.status.as_ref());
    let mut status = TraceCaptureStatus {
        observed_generation: visit.generation,
        conditions: conditions(&scene, stored.as_ref()),
        replicas: Some(set.map_or(0, |set| set.replicas)),
        ready_replicas: Some(set.and_then(|set| set.ready_replicas).unwrap_or(0)),
        selector: Some(selector(visit.name)),
        stop_time: stop_time(visit),
        endpoints: endpoints(visit),
        received: figures::received(&scene),
        last_span_time: figures::last_span_time(&scene),
        bundle: figures::bundle(&scene, stored.as_ref()),
        storage: stored,
        last_update_time: None,
    };
    let same = visit.previous.filter(|previous| round::without_times(previous) == status);
    let written = same.and_then(|previous| previous.last_update_time.clone());
    status.last_update_time = Some(written.unwrap_or_else(|| round::to_second(visit.now)));
    status
}

/// Returns the labels of the pods of a capture as a selector, as the scale subresource needs it.
fn selector(name: &str) -> String {
    let capture = shortened(name, MAX_LABEL_LEN);
    format!("app.kubernetes.io/name=tracecapture,app.kubernetes.io/component=collector,{CAPTURE_LABEL}={capture}")
}

fn stop_time(visit: &Visit<'_>) -> Option<String> {
    match visit.capture {
        Ok(capture) => capture.stop_time(visit.now).map(|stop| stop.to_string()),
        Err(_) => visit.previous.and_then(|previous| previous.stop_time.clone()),
    }
}

fn endpoints(visit: &Visit<'_>) -> Option<EndpointsStatus> {
    match visit.capture {
        Ok(capture) => Some(endpoints_of(capture, visit.applied.err().map_or(&[], |failure| &failure.taken))),
        // What was made of an earlier generation is still there.
        Err(_) => visit.previous.and_then(|previous| previous.endpoints.clone()),
    }
}

/// What somebody else made under the name of ours is not published: nobody should send spans there.
fn endpoints_of(capture: &ValidCapture, taken: &[String]) -> EndpointsStatus {
    let (names, namespace) = (ChildNames::of(capture.id()), capture.id().namespace());
    let is_ours = |kind: Kind, name: &str| !taken.contains(&format!("{} `{namespace}/{name}`", kind.name()));
    let service = Some(names.otlp_service()).filter(|name| is_ours(Kind::Service, name));
    let address = |port: Option<u16>| Some(format!("http://{}.{namespace}.svc:{}", service.as_ref()?, port?));
    let receiver = capture.receiver();
    EndpointsStatus {
        grpc: address(receiver.grpc_port),
        http: address(receiver.http_port),
        config_map: Some(names.otlp_env()).filter(|name| is_ours(Kind::ConfigMap, name)),
    }
}

fn conditions(scene: &Scene<'_>, stored: Option<&crate::api::StorageStatus>) -> Vec<Condition> {
    let storage = storage::storage(scene);
    let receivers = receivers::receivers(scene);
    let of = |condition: ConditionType| match condition {
        ConditionType::Ready => ready::ready(scene, &storage, &receivers),
        ConditionType::StorageReady => storage.clone(),
        ConditionType::ReceiversReady => receivers.clone(),
        ConditionType::RetentionHealthy => keeper::retention(scene, stored),
        ConditionType::RecoveryComplete => keeper::recovery(scene),
        ConditionType::DownloadReady => keeper::download(scene),
        ConditionType::Completed => ready::completed(scene),
    };
    ConditionType::ALL.into_iter().map(|condition| published(scene.visit, condition, of(condition))).collect()
}

fn published(visit: &Visit<'_>, condition: ConditionType, verdict: Verdict) -> Condition {
    let status = verdict.holds.word();
    let earlier = visit.previous.map(|previous| previous.conditions.as_slice()).unwrap_or_default();
    let unchanged = earlier.iter().find(|earlier| earlier.type_ == condition.name() && earlier.status == status);
    Condition {
        type_: condition.name().to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.name().to_owned(),
        message: verdict.message,
        observed_generation: visit.generation,
        last_transition_time: unchanged.map_or_else(|| time(visit), |unchanged| unchanged.last_transition_time.clone()),
    }
}

/// Returns the time of the visit to the second: Kubernetes writes no finer ones, and a finer one would not equal
/// itself once it is read back.
fn time(visit: &Visit<'_>) -> Time {
    let seconds = Duration::from_nanos(visit.now.as_unix_nanos()).as_secs();
    Time(i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()).unwrap_or_default())
}
