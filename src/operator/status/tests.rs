//! Statuses of made-up visits: one thing differs from a capture that is well, and one thing is said.

use serde_json::{Value, json};

use super::*;
use crate::api::report::{
    CollectorReport, ReportedReceived, ReportedRetention, ReportedSettings, ReportedStorage, StorageHealth,
};
use crate::api::{ConditionType, State, parse};
use crate::ids::CaptureId;
use crate::operator::observed::{PodReport, StorageClassSeen};

const NOW: &str = "2026-11-21T10:30:45.5Z";

/// A capture with everything that a visit of it sees.
struct World {
    spec: String,
    refusal: Option<Refusal>,
    failure: Option<ApplyFailure>,
    observed: Observed,
    now: Timestamp,
    previous: Option<TraceCaptureStatus>,
    public_url: Option<String>,
    paused: bool,
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
            observed,
            now: time(NOW),
            previous: None,
            public_url: Some("https://traces.example.com".to_owned()),
            paused: false,
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
        let spec = &self.spec;
        let capture = parse(&format!(
            "{{apiVersion: tracecapture.dev/v1alpha1, kind: TraceCapture, spec: {spec}, metadata: {{name: checkout, \
             namespace: shop, generation: 3, creationTimestamp: '2026-11-21T10:00:00Z'}}}}"
        ))
        .unwrap();
        derive(&Visit {
            namespace: "shop",
            name: "checkout",
            generation: Some(3),
            capture: self.refusal.as_ref().map_or(Ok(&capture), Err),
            observed: &self.observed,
            applied: self.failure.as_ref().map_or(Ok(()), Err),
            now: self.now,
            previous: self.previous.as_ref(),
            public_url: self.public_url.as_deref(),
            paused: self.paused,
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
        "metadata": { "name": "checkout-chunks" },
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

#[test]
fn a_capture_that_is_well_says_so() {
    let world = World::well(3);
    check(&world, "Ready=True Receiving", &["3 of 3 pods"]);
    check_all(
        &world,
        &[
            "StorageReady=True Mounted",
            "ReceiversReady=True AllReady",
            "RetentionHealthy=True WithinLimits",
            "RecoveryComplete=True NothingLeft",
            "DownloadReady=True Available",
            "Completed=False Unlimited",
        ],
    );
    insta::assert_yaml_snapshot!("well", world.derive());
}

#[test]
fn a_first_visit_sets_every_condition() {
    let world = World::well(1).but(|world| {
        world.observed = Observed::default();
        world.spec = "{}".to_owned();
    });
    let status = world.derive();
    let names: Vec<_> = status.conditions.iter().map(|condition| &*condition.type_).collect();
    assert_eq!(names, ConditionType::ALL.map(ConditionType::name));
    check_all(
        &world,
        &[
            "Ready=Unknown Pending",
            "StorageReady=Unknown Pending",
            "ReceiversReady=Unknown Pending",
            "RetentionHealthy=Unknown Pending",
            "RecoveryComplete=Unknown Pending",
            "DownloadReady=Unknown Pending",
            "Completed=False Unlimited",
        ],
    );
    assert_eq!((status.replicas, status.ready_replicas), (Some(0), Some(0)));
    assert_eq!(status.storage, None);
}

#[test]
fn what_a_pod_tells_of_itself_decides_and_not_that_it_was_applied() {
    let unready = World::well(1).but(|world| {
        world.observed.pods[0] = of(json!({
            "metadata": { "name": "checkout-collector-0" }, "status": { "phase": "Running" },
        }));
    });
    check(&unready, "Ready=False NoPodReady", &["0 of 1 pods are ready"]);
    check(&unready, "ReceiversReady=False Progressing", &[]);

    let silent = World::well(1).but(|world| world.observed.reports[0].report = Err("connection refused".to_owned()));
    check(&silent, "Ready=Unknown Unreachable", &["`checkout-collector-0`", "connection refused", "4319"]);
    check(&silent, "StorageReady=Unknown NoPodReady", &[]);

    let one_left = World::well(3).but(|world| {
        world.observed.pods.truncate(1);
        world.observed.reports.truncate(1);
    });
    check(&one_left, "Ready=True Receiving", &["1 of 3"]);
    check(&one_left, "ReceiversReady=False Progressing", &["1 of 3"]);
}

#[test]
fn settings_that_have_not_arrived_are_told() {
    let outdated = World::well(2).but(|world| world.report(1).generation = Some(2));
    check(&outdated, "ReceiversReady=False SettingsPending", &["1 of 2 pods"]);
    check(&outdated, "Ready=True Receiving", &[]);
    let paused = outdated.but(|world| world.paused = true);
    check(&paused, "ReceiversReady=False Paused", &["annotation"]);
    check(&paused, "Ready=True Receiving", &["paused"]);
}

#[test]
fn a_capture_that_was_stopped_is_not_ready_on_purpose() {
    let stopped = World::well(1).but(|world| {
        world.spec = "{state: Stopped}".to_owned();
        world.report(0).state = State::Stopped;
        // A collector that refuses spans is not ready for Kubernetes either.
        world.observed.pods[0].status.as_mut().unwrap().conditions = None;
    });
    check_all(&stopped, &["Ready=False Stopped", "ReceiversReady=False Stopped", "Completed=False Unlimited"]);

    let resumed = stopped.but(|world| {
        world.spec = "{state: Running}".to_owned();
        world.report(0).generation = Some(2);
    });
    check_all(&resumed, &["Ready=False SettingsPending", "ReceiversReady=False SettingsPending"]);

    let completed = World::well(1).but(|world| {
        world.spec = "{stopAfterSeconds: 1800}".to_owned();
        world.report(0).state = State::Stopped;
    });
    check(&completed, "Completed=True TimeReached", &["2026-11-21T10:30:00Z", "spec.endTime"]);
    check_all(&completed, &["Ready=False Completed", "ReceiversReady=False Completed"]);
    assert_eq!(completed.derive().stop_time.as_deref(), Some("2026-11-21T10:30:00Z"));

    let running = World::well(1).but(|world| world.spec = "{stopAfterSeconds: 7200}".to_owned());
    check(&running, "Completed=False Running", &["2026-11-21T12:00:00Z"]);
}

#[test]
fn an_object_at_fault_says_so_and_what_runs_goes_on() {
    for reason in [Reason::Unreadable, Reason::Invalid, Reason::OverlayRefused] {
        let fresh = World::well(1).but(|world| {
            world.refusal = Some(refusal(reason));
            world.observed = Observed::default();
        });
        check(&fresh, &format!("Ready=False {}", reason.name()), &["spec.chunk: is wrong"]);
        check(&fresh, &format!("StorageReady=Unknown {}", reason.name()), &[]);
        check(&fresh, &format!("Completed=Unknown {}", reason.name()), &[]);

        let edited = World::well(1).later(10).but(|world| world.refusal = Some(refusal(reason)));
        check(&edited, &format!("Ready=True {}", reason.name()), &["earlier settings", "spec.chunk: is wrong"]);
        check(&edited, &format!("ReceiversReady=False {}", reason.name()), &[]);
        check(&edited, "StorageReady=True Mounted", &[]);
        let (before, after) = (edited.previous.clone().unwrap(), edited.derive());
        assert_eq!((after.endpoints, after.bundle), (before.endpoints, before.bundle));
    }
    let shared = World::well(1).but(|world| {
        world.refusal = Some(refusal(Reason::ClaimShared));
        world.observed.sharers = vec![CaptureId::new("shop", "other").unwrap()];
        world.observed.pods.clear();
        world.observed.reports.clear();
    });
    check_all(&shared, &["Ready=False ClaimShared", "StorageReady=False ClaimShared"]);
}

#[test]
fn what_the_api_server_refuses_is_told() {
    let failure = |reason| Some(ApplyFailure { reason, message: "statefulsets is forbidden".to_owned() });
    let world = World::well(1).but(|world| world.failure = failure(Reason::Forbidden));
    check(&world, "ReceiversReady=False Forbidden", &["statefulsets is forbidden"]);
    check(&world, "Ready=True Forbidden", &[]);
    let fresh = world.but(|world| {
        world.observed = Observed::default();
        world.failure = failure(Reason::ApplyFailed);
    });
    check_all(&fresh, &["Ready=False ApplyFailed", "StorageReady=False ApplyFailed"]);

    for (said, reason) in [
        ("pods \"x\" is forbidden: exceeded quota: compute, requested: cpu=1", "QuotaExceeded"),
        ("pods \"x\" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi", "QuotaExceeded"),
        ("pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true", "PodRefused"),
    ] {
        let world = World::well(1).but(|world| {
            world.observed.refusals = vec![said.to_owned(), "an older one".to_owned()];
            world.observed.pods.clear();
            world.observed.reports.clear();
        });
        check(&world, &format!("ReceiversReady=False {reason}"), &[said, "0 of 1 pods exist"]);
        check(&world, &format!("Ready=False {reason}"), &[]);
    }
    // What was refused once is past when the pods are there.
    let past = World::well(1).but(|world| world.observed.refusals = vec!["exceeded quota".to_owned()]);
    check(&past, "ReceiversReady=True AllReady", &[]);
}

#[test]
fn pods_that_do_not_get_to_run_tell_why() {
    for (why, reason) in [
        ("ErrImagePull", "ImagePullFailed"),
        ("ImagePullBackOff", "ImagePullFailed"),
        ("InvalidImageName", "ImagePullFailed"),
        ("CrashLoopBackOff", "Crashing"),
        ("CreateContainerConfigError", "Crashing"),
        ("ContainerCreating", "Progressing"),
    ] {
        let world = World::well(1).but(|world| {
            world.observed.pods[0] = waiting(why, "no such thing");
            world.observed.reports[0].report = Err("connection refused".to_owned());
        });
        check(&world, &format!("ReceiversReady=False {reason}"), &[]);
        check(&world, "RetentionHealthy=Unknown Progressing", &[]);
    }
    let pull = World::well(1).but(|world| world.observed.pods[0] = waiting("ErrImagePull", "not found"));
    check(&pull, "ReceiversReady=False ImagePullFailed", &["`images.example.com/x:1`", "not found"]);
    let crash = World::well(1).but(|world| world.observed.pods[0] = waiting("CrashLoopBackOff", "back-off 5m0s"));
    check(&crash, "ReceiversReady=False Crashing", &["137 (OOMKilled)", "--previous"]);
    let unschedulable = World::well(1).but(|world| {
        world.observed.pods[0] = of(json!({
            "metadata": { "name": "checkout-collector-0" },
            "status": { "phase": "Pending", "conditions": [
                { "type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: 3 Insufficient cpu." },
            ] },
        }));
        world.observed.reports.clear();
    });
    check(&unschedulable, "ReceiversReady=False Unschedulable", &["3 Insufficient cpu"]);
}

#[test]
fn a_claim_that_cannot_be_used_tells_why() {
    let brought = |change: Value| {
        World::well(2).but(|world| {
            world.spec = "{collector: {replicas: 2}, storage: {claimName: shared}}".to_owned();
            world.observed.claim = Some(claim(&change));
            world.observed.reports.clear();
        })
    };
    let missing = brought(json!({})).but(|world| world.observed.claim = None);
    check(&missing, "StorageReady=False ClaimMissing", &["`shared`", "`shop`"]);
    check(&missing, "Ready=False ClaimMissing", &[]);
    let once = json!({ "status": { "accessModes": ["ReadWriteOnce"] } });
    check(&brought(once), "StorageReady=False AccessModeMismatch", &["ReadWriteOnce", "2 pods"]);
    let read_only = json!({ "status": { "accessModes": ["ReadOnlyMany"] } });
    check(&brought(read_only), "StorageReady=False AccessModeMismatch", &["ReadOnlyMany"]);
    let lost = json!({ "status": { "phase": "Lost" } });
    check(&brought(lost), "StorageReady=False ClaimLost", &["lost its volume"]);
    let ending = json!({ "metadata": { "deletionTimestamp": "2026-11-21T10:00:00Z" } });
    check(&brought(ending), "StorageReady=False ClaimTerminating", &[]);

    let pending = json!({ "status": { "phase": "Pending", "capacity": {} } });
    check(&brought(pending.clone()), "StorageReady=False ClaimPending", &[]);
    let no_class = json!({ "spec": { "storageClassName": null }, "status": { "phase": "Pending" } });
    check(&brought(no_class), "StorageReady=False ClaimPending", &["default"]);
    let made = |claim: Option<Value>| {
        World::well(1).but(|world| {
            world.spec = "{storage: {storageClassName: fast}}".to_owned();
            world.observed.storage_class = StorageClassSeen::Missing;
            world.observed.claim = claim.map(|change| super::tests::claim(&change));
            world.observed.reports.clear();
        })
    };
    check(&made(None), "StorageReady=False StorageClassMissing", &["`fast`"]);
    check(&made(Some(pending)), "StorageReady=False StorageClassMissing", &["`nfs`"]);
}

#[test]
fn a_claim_that_grows_tells_its_sizes() {
    let growing = |status: Value| {
        let spec = json!({ "resources": { "requests": { "storage": "4Gi" } } });
        World::well(1).but(|world| world.observed.claim = Some(claim(&json!({ "spec": spec, "status": status }))))
    };
    check(&growing(json!({})), "StorageReady=True Resizing", &["2Gi", "4Gi"]);
    let infeasible = json!({ "allocatedResourceStatuses": { "storage": "ControllerResizeInfeasible" } });
    check(&growing(infeasible), "StorageReady=True ResizeFailed", &["2Gi", "4Gi", "ControllerResizeInfeasible"]);
    let error = json!({ "type": "ControllerResizeError", "status": "True", "message": "no room in the pool" });
    check(&growing(json!({ "conditions": [error] })), "StorageReady=True ResizeFailed", &["no room in the pool"]);
    let same = World::well(1).but(|world| {
        let spec = json!({ "resources": { "requests": { "storage": "2048Mi" } } });
        world.observed.claim = Some(claim(&json!({ "spec": spec })));
    });
    check(&same, "StorageReady=True Mounted", &[]);
}

#[test]
fn a_volume_that_cannot_be_written_says_what_to_run() {
    let unready = json!({ "metadata": { "name": "checkout-collector-0" }, "status": { "phase": "Running" } });
    let world = |health: StorageHealth| {
        World::well(1).but(|world| {
            world.report(0).health.storage = health;
            world.observed.pods[0] = of(unready.clone());
        })
    };
    let full = world(StorageHealth::Full { message: "no space left on device".to_owned() });
    let words = ["2Gi", "1G", "kubectl -n shop patch tcap checkout", r#""size":"4Gi""#];
    check(&full, "StorageReady=False VolumeFull", &words);
    check_all(&full, &["Ready=False VolumeFull", "ReceiversReady=False VolumeFull"]);
    let brought = full.but(|world| world.spec = "{storage: {claimName: shared}}".to_owned());
    check(&brought, "StorageReady=False VolumeFull", &["patch pvc checkout-chunks", r#""storage":"4Gi""#]);
    let failed = world(StorageHealth::Failed { message: "input/output error".to_owned() });
    check(&failed, "StorageReady=False VolumeFailed", &["input/output error"]);
    check_all(&failed, &["Ready=False VolumeFailed", "ReceiversReady=False VolumeFailed"]);
}

#[test]
fn retention_and_recovery_are_the_keepers_word() {
    let over = World::well(1).but(|world| world.report(0).storage.used_bytes = 1_000_000_001);
    check(&over, "RetentionHealthy=False OverLimit", &["1000000001", "1G"]);
    let aged = |seconds: u64| {
        World::well(1).but(|world| {
            let retention = ReportedRetention { max_bytes: 1, max_age_seconds: Some(seconds) };
            world.report(0).settings = ReportedSettings { retention, ..ReportedSettings::default() };
        })
    };
    check(&aged(86_400), "RetentionHealthy=True WithinLimits", &[]);
    check(&aged(80_000), "RetentionHealthy=False OverLimit", &["80000 seconds"]);

    let orphans = World::well(2).but(|world| world.report(0).storage.in_progress_chunks = 3);
    check(&orphans, "RecoveryComplete=False Recovering", &["3 chunks", "2 pods"]);
    let quarantined = World::well(1).but(|world| world.report(0).storage.quarantined_files = 2);
    check(&quarantined, "RecoveryComplete=True Quarantined", &["2 files"]);
}

#[test]
fn a_keeper_that_is_gone_leaves_its_last_figures() {
    let gone = World::well(2).later(60).but(|world| {
        world.observed.reports[0].report = Err("no route to host".to_owned());
    });
    check(&gone, "RetentionHealthy=Unknown KeeperUnreachable", &["no route to host", "out-of-service"]);
    check_all(&gone, &["RecoveryComplete=Unknown KeeperUnreachable", "DownloadReady=False KeeperUnreachable"]);
    check(&gone, "Ready=True Receiving", &["1 of 2"]);
    let (before, after) = (gone.previous.clone().unwrap(), gone.derive());
    assert_eq!((after.storage, after.received), (before.storage, before.received));
    let deleted = gone.but(|world| {
        world.observed.pods.remove(0);
        world.observed.reports.remove(0);
    });
    check(&deleted, "RetentionHealthy=Unknown KeeperUnreachable", &["does not exist"]);
}

#[test]
fn downloads_need_an_address_and_can_be_off() {
    let off = World::well(1).but(|world| world.spec = "{download: {enabled: false}}".to_owned());
    check(&off, "DownloadReady=False DownloadsOff", &[]);
    assert_eq!(off.derive().bundle, None);
    let nowhere = World::well(1).but(|world| world.public_url = None);
    check(&nowhere, "DownloadReady=False NoPublicAddress", &["--public-url"]);
    assert_eq!(nowhere.derive().bundle.unwrap().url, None);
}

#[test]
fn a_status_keeps_its_times_until_it_changes() {
    let idle = World::well(2).later(3600);
    assert_eq!(idle.derive(), idle.previous.clone().unwrap());
    // Read back from the API server it is still the same.
    let read: TraceCaptureStatus = of(serde_json::to_value(idle.derive()).unwrap());
    assert_eq!(read, idle.derive());

    let changed = idle.but(|world| world.report(0).health.storage = StorageHealth::Full { message: String::new() });
    let since = |status: &TraceCaptureStatus, name: &str| {
        let condition = status.conditions.iter().find(|condition| condition.type_ == name).unwrap();
        condition.last_transition_time.0.to_string()
    };
    let status = changed.derive();
    assert_eq!(since(&status, "StorageReady"), "2026-11-21T11:30:45Z");
    assert_eq!(since(&status, "Ready"), "2026-11-21T10:30:45Z", "the other pod still takes spans");
    assert_eq!(status.last_update_time.as_deref(), Some("2026-11-21T11:30:45Z"));
}

#[test]
fn an_idle_hour_publishes_nothing_and_a_busy_one_sixty_times() {
    let published = |spans_per_visit: u64| {
        let mut world = World::well(1);
        let mut published = world.derive();
        let mut n_published = 0;
        for _ in 0..3600 / 10 {
            world.now = world.now.saturating_add(std::time::Duration::from_secs(10));
            let now = world.now;
            let report = world.report(0);
            report.received.spans += spans_per_visit;
            report.storage.used_bytes += spans_per_visit;
            if spans_per_visit > 0 {
                report.last_span_time = Some(now);
            }
            world.previous = Some(published.clone());
            let next = world.derive();
            if worth_publishing(world.previous.as_ref(), &next, now) {
                published = next;
                n_published += 1;
            }
        }
        n_published
    };
    assert_eq!(published(0), 0);
    assert_eq!(published(1_000_000), 60);
}

#[test]
fn what_people_react_to_is_published_at_once() {
    let earlier = World::well(1).later(1);
    let worth = |world: &World| worth_publishing(world.previous.as_ref(), &world.derive(), world.now);
    assert!(!worth(&earlier));
    let figures = earlier.but(|world| world.report(0).received.spans *= 2);
    assert!(!worth(&figures), "figures wait");
    let set_back = figures.but(|world| world.now = time("2026-11-21T09:00:00Z"));
    assert!(worth(&set_back), "a clock that went back does not hold figures back");
    let address = World::well(1).later(1).but(|world| world.public_url = Some("https://other.example.com".to_owned()));
    assert!(worth(&address));
    let silent = World::well(1).later(1).but(|world| world.observed.reports[0].report = Err(String::new()));
    assert!(worth(&silent));
    assert!(worth_publishing(None, &silent.derive(), silent.now), "the first status");
}

#[test]
fn each_transition_is_told_once() {
    let told = |world: &World| {
        let next = world.derive();
        let told = transitions(world.previous.as_ref(), &next);
        told.iter()
            .map(|t| format!("{} {} {}", t.condition.name(), t.reason.name(), t.is_warning()))
            .collect::<Vec<_>>()
    };
    let first = World::well(1).but(|world| world.observed = Observed::default());
    assert_eq!(told(&first), ["Completed Unlimited false"]);
    let well = World::well(1).later(10);
    assert_eq!(told(&well), Vec::<String>::new());
    let full = well.but(|world| {
        world.report(0).health.storage = StorageHealth::Full { message: "no space".to_owned() };
        world.observed.pods[0].status = None;
    });
    assert_eq!(told(&full), ["Ready VolumeFull true"], "one reason of three conditions is told once");
    assert_eq!(told(&full.later(10)), Vec::<String>::new());
}

#[test]
fn a_status_stays_below_eight_kibibytes_whatever_it_is_told() {
    let flood = "\"\\\u{1f600}\n\u{0}".repeat(10_000);
    let world = World::well(3)
        .but(|world| {
            let storage = &mut world.report(0).storage;
            (storage.used_bytes, storage.limit_bytes, storage.chunks) = (u64::MAX, u64::MAX, u64::MAX);
            (storage.in_progress_chunks, storage.quarantined_files) = (u64::MAX, u64::MAX);
            (storage.recovered_chunks, storage.evicted_chunks) = (u64::MAX, u64::MAX);
            world.report(1).received =
                ReportedReceived { spans: u64::MAX, stored: 0, rejected: u64::MAX, bytes: u64::MAX };
            world.public_url = Some(format!("https://{}", "a".repeat(253)));
        })
        .later(1)
        .but(|world| {
            world.refusal = Some(Refusal { reason: Reason::OverlayRefused, message: flood.clone() });
            world.report(1).health.storage = StorageHealth::Failed { message: flood.clone() };
            world.observed.reports[0].report = Err(flood.clone());
            world.observed.claim = Some(claim(&json!({ "metadata": { "name": "a".repeat(253) } })));
        });
    let status = world.derive();
    for condition in &status.conditions {
        let n_chars = condition.message.chars().count();
        assert!((200..=512).contains(&n_chars) && !condition.message.contains('\n'), "{}: {n_chars}", condition.type_);
    }
    let n_bytes = serde_json::to_string(&status).unwrap().len();
    // The names here are short; namespace and name stand at most a dozen times in a status.
    assert!(n_bytes + 12 * 63 < 8 * 1024, "{n_bytes} bytes");
}
