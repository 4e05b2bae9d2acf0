//! What is said of pods that are not as they should be.

use super::*;

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
