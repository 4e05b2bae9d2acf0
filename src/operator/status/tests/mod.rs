//! Statuses of made-up visits: one thing differs from a capture that is well, and one thing is said.

mod conditions;
mod links;
mod pods;
mod publishing;
mod readiness;
mod volume;

use serde_json::{Value, json};

use super::*;
use crate::api::report::{
    CollectorReport, ReportedReceived, ReportedRetention, ReportedSettings, ReportedStorage, StorageHealth,
};
use crate::api::{ConditionType, LinkStatus, Reason, State, TraceCaptureStatus, parse};
use crate::clock::Timestamp;
use crate::ids::CaptureId;
use crate::operator::observed::{Observed, PodReport, StorageClassSeen};

const NOW: &str = "2026-11-21T10:30:45.5Z";

/// A capture with everything that a visit of it sees.
struct World {
    spec: String,
    refusal: Option<Refusal>,
    failure: Option<ApplyFailure>,
    unresized: Option<String>,
    observed: Observed,
    now: Timestamp,
    previous: Option<TraceCaptureStatus>,
    public_url: Option<String>,
    paused: bool,
    is_ending: bool,
    link: LinkNews,
}

impl World {
    /// A capture with this many pods that all take spans.
    fn well(n_pods: i32) -> Self {
        let pods = (0..n_pods).map(pod).collect();
        let reports = (0..n_pods).map(|ordinal| PodReport {
            pod: format!("checkout-collector-{ordinal}"),
            ordinal,
            report: Ok(report()),
        });
        let observed = Observed {
            claim: Some(claim(&json!({}))),
            storage_class: StorageClassSeen::Exists,
            sharers: Vec::new(),
            stateful_set: Some(of(json!({
                "metadata": { "name": "checkout-collector" },
                "spec": { "replicas": n_pods, "selector": {}, "serviceName": "x", "template": {} },
                "status": { "replicas": n_pods, "readyReplicas": n_pods },
            }))),
            pods,
            refusals: Vec::new(),
            reports: reports.collect(),
        };
        Self {
            spec: format!(
                "{{collector: {{replicas: {n_pods}}}, storage: {{accessModes: [ReadWriteMany], size: 2Gi}}}}"
            ),
            refusal: None,
            failure: None,
            unresized: None,
            observed,
            now: time(NOW),
            previous: None,
            public_url: Some("https://traces.example.com".to_owned()),
            paused: false,
            is_ending: false,
            link: LinkNews::Off,
        }
    }

    /// The same after a change.
    fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The report of one of the pods.
    fn report(&mut self, ordinal: usize) -> &mut CollectorReport {
        self.observed.reports[ordinal].report.as_mut().unwrap()
    }

    fn derive(&self) -> TraceCaptureStatus {
        self.seen(derive)
    }

    fn readiness(&self) -> Readiness {
        self.seen(|visit| readiness(visit, &derive(visit)))
    }

    /// What somebody makes of a visit.
    fn seen<T>(&self, look: impl FnOnce(&Visit<'_>) -> T) -> T {
        let spec = &self.spec;
        let capture = parse(&format!(
            "{{apiVersion: tracecapture.dev/v1alpha1, kind: TraceCapture, spec: {spec}, metadata: {{name: checkout, \
             namespace: shop, generation: 3, creationTimestamp: '2026-11-21T10:00:00Z'}}}}"
        ))
        .unwrap();
        look(&Visit {
            namespace: "shop",
            name: "checkout",
            generation: Some(3),
            capture: self.refusal.as_ref().map_or(Ok(&capture), Err),
            observed: &self.observed,
            applied: self.failure.as_ref().map_or(Ok(()), Err),
            unresized: self.unresized.as_deref(),
            now: self.now,
            previous: self.previous.as_ref(),
            public_url: self.public_url.as_deref(),
            paused: self.paused,
            is_ending: self.is_ending,
            link: &self.link,
        })
    }

    /// The next visit, some seconds later.
    fn later(mut self, seconds: u64) -> Self {
        self.previous = Some(self.derive());
        self.now = self.now.saturating_add(std::time::Duration::from_secs(seconds));
        self
    }
}

fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn pod(ordinal: i32) -> k8s_openapi::api::core::v1::Pod {
    of(json!({
        "metadata": { "name": format!("checkout-collector-{ordinal}") },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    }))
}

/// A pod whose container waits.
fn waiting(reason: &str, message: &str) -> k8s_openapi::api::core::v1::Pod {
    of(json!({
        "metadata": { "name": "checkout-collector-0" },
        "status": { "phase": "Pending", "containerStatuses": [{
            "name": "collector", "image": "images.example.com/x:1", "imageID": "", "ready": false, "restartCount": 7,
            "state": { "waiting": { "reason": reason, "message": message } },
            "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } },
        }] },
    }))
}

/// A claim that is bound, with some of its members replaced.
fn claim(change: &Value) -> k8s_openapi::api::core::v1::PersistentVolumeClaim {
    let mut claim = json!({
        "metadata": { "name": "checkout-chunks", "labels": { "tracecapture.dev/capture": "checkout" } },
        "spec": {
            "storageClassName": "nfs", "accessModes": ["ReadWriteMany"], "resources": { "requests": { "storage": "2Gi" } },
        },
        "status": { "phase": "Bound", "accessModes": ["ReadWriteMany"], "capacity": { "storage": "2Gi" } },
    });
    for part in ["metadata", "spec", "status"] {
        for (name, value) in change[part].as_object().into_iter().flatten() {
            claim[part][name] = value.clone();
        }
    }
    of(claim)
}

fn report() -> CollectorReport {
    CollectorReport {
        state: State::Running,
        generation: Some(3),
        storage: ReportedStorage {
            used_bytes: 600_000_000,
            limit_bytes: 1_000_000_000,
            chunks: 12,
            in_progress_chunks: 1,
            oldest_time: Some(time("2026-11-20T10:30:45Z")),
            newest_time: Some(time("2026-11-21T10:20:45Z")),
            ..ReportedStorage::default()
        },
        received: ReportedReceived { spans: 1_000_000, stored: 999_000, rejected: 1000, bytes: 2_000_000_000 },
        last_span_time: Some(time("2026-11-21T10:30:44Z")),
        ..CollectorReport::default()
    }
}

fn refusal(reason: Reason) -> Refusal {
    Refusal { reason, message: "spec.chunk: is wrong".to_owned() }
}

/// Checks what a status says of one condition: `Condition=Status Reason`, and words of the message.
#[track_caller]
fn check(world: &World, expected: &str, words: &[&str]) {
    let status = world.derive();
    let (name, _) = expected.split_once('=').unwrap();
    let condition = status.conditions.iter().find(|condition| condition.type_ == name).unwrap();
    assert_eq!(format!("{name}={} {}", condition.status, condition.reason), expected, "{}", condition.message);
    assert_eq!(condition.observed_generation, Some(3));
    for word in words {
        assert!(condition.message.contains(word), "{expected}: {}", condition.message);
    }
}

/// Checks several conditions of one world.
#[track_caller]
fn check_all(world: &World, expected: &[&str]) {
    for expected in expected {
        check(world, expected, &[]);
    }
}
