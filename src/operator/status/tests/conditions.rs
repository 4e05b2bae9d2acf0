//! What each condition says.

use super::*;

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
    let failure = |reason| Some(ApplyFailure::new(reason, "statefulsets is forbidden".to_owned()));
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
fn a_pause_is_told_whatever_else_is_the_matter() {
    let paused = |world: World| world.but(|world| world.paused = true);
    check(&paused(World::well(1)), "Ready=True Receiving", &["1 of 1 pods", "tracecapture.dev/paused"]);
    let unreachable = paused(World::well(1)).but(|world| {
        world.observed.reports[0].report = Err("no route to host".repeat(100));
    });
    check(&unreachable, "Ready=Unknown Unreachable", &["no route", "tracecapture.dev/paused"]);
    let pending = paused(World::well(1)).but(|world| {
        world.observed.claim = Some(claim(&json!({ "status": { "phase": "Pending" } })));
        world.observed.reports.clear();
    });
    check(&pending, "Ready=False ClaimPending", &["waits for a volume", "tracecapture.dev/paused"]);
    let deleted = pending.but(|world| world.is_ending = true);
    check(&deleted, "Ready=False ClaimPending", &["the volume", "stay until"]);
}

#[test]
fn an_end_before_the_beginning_is_told() {
    let past = World::well(1).but(|world| world.spec = "{endTime: '2026-11-21T09:59:59Z'}".to_owned());
    check(&past, "Completed=True TimeReached", &["before it was created"]);
    let over = World::well(1).but(|world| world.spec = "{endTime: '2026-11-21T10:30:00Z'}".to_owned());
    check(&over, "Completed=True TimeReached", &["It stopped at"]);
}

#[test]
fn advice_is_given_once() {
    let world = World::well(1).but(|world| world.refusal = Some(refusal(Reason::OverlayRefused)));
    let status = world.derive();
    let ready = &status.conditions[0];
    assert!(ready.message.ends_with("earlier settings: spec.chunk: is wrong."), "{}", ready.message);
    let taken = World::well(1).but(|world| {
        let next = "Delete the other object.".to_owned();
        world.failure = Some(ApplyFailure { next, ..ApplyFailure::new(Reason::ApplyFailed, "taken".to_owned()) });
    });
    check(&taken, "ReceiversReady=False ApplyFailed", &["taken. Delete the other object."]);
    assert!(!taken.derive().conditions[2].message.contains(Reason::ApplyFailed.next_step()));
}

#[test]
fn what_is_of_somebody_else_is_no_endpoint() {
    let taken = |path: &str| {
        World::well(1).but(|world| {
            let taken = vec![path.to_owned()];
            world.failure = Some(ApplyFailure { taken, ..ApplyFailure::new(Reason::ApplyFailed, "taken".to_owned()) });
        })
    };
    let endpoints = taken("Service `shop/checkout-otlp`").derive().endpoints.unwrap();
    assert_eq!((endpoints.grpc, endpoints.http), (None, None));
    assert_eq!(endpoints.config_map.as_deref(), Some("checkout-otlp-env"));
    let endpoints = taken("ConfigMap `shop/checkout-otlp-env`").derive().endpoints.unwrap();
    assert!(endpoints.grpc.is_some() && endpoints.config_map.is_none());
}

#[test]
fn what_may_not_be_looked_at_may_be_well() {
    let world = World::well(1).but(|world| {
        world.refusal = Some(refusal(Reason::Forbidden));
        world.observed = Observed::default();
    });
    check(&world, "Ready=Unknown Forbidden", &[]);
}
