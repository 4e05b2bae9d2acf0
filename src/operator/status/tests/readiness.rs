//! Whether a capture takes the spans that it is to take.

use super::*;

/// Checks what is told of a capture, as it is and with pods that do not take spans.
#[track_caller]
fn check_readiness(change: impl Fn(&mut World), well: Readiness, ill: Readiness) {
    assert_eq!(World::well(1).but(&change).readiness(), well, "well");
    for reason in ["ImagePullBackOff", "CrashLoopBackOff"] {
        let world = World::well(1).but(|world| {
            world.observed.pods = vec![waiting(reason, "as the test wants it")];
            world.observed.reports.clear();
        });
        assert_eq!(world.but(&change).readiness(), ill, "{reason}");
    }
}

#[test]
fn a_capture_is_ready_that_takes_spans() {
    check_readiness(|_| {}, Readiness::Ready, Readiness::NotReady);
    check_readiness(|world| world.refusal = Some(refusal(Reason::Invalid)), Readiness::Ready, Readiness::NotReady);
    let unknown = World::well(1).but(|world| world.observed.reports[0].report = Err("no route".to_owned()));
    check(&unknown, "Ready=Unknown Unreachable", &[]);
    assert_eq!(unknown.readiness(), Readiness::NotReady);
}

#[test]
fn nobody_misses_what_a_capture_that_is_stopped_over_or_deleted_does_not_take() {
    let spec = |spec: &str| {
        let spec = spec.to_owned();
        move |world: &mut World| world.spec.clone_from(&spec)
    };
    check_readiness(spec("{state: Stopped}"), Readiness::NotWanted, Readiness::NotWanted);
    check_readiness(spec("{endTime: '2026-11-21T10:30:45Z'}"), Readiness::NotWanted, Readiness::NotWanted);
    check_readiness(spec("{endTime: '2026-11-21T10:30:46Z'}"), Readiness::Ready, Readiness::NotReady);
    check_readiness(spec("{stopAfterSeconds: 1800}"), Readiness::NotWanted, Readiness::NotWanted);
    check_readiness(|world| world.is_ending = true, Readiness::NotWanted, Readiness::NotWanted);
}

#[test]
fn a_paused_capture_goes_on_taking_spans() {
    check_readiness(|world| world.paused = true, Readiness::Ready, Readiness::NotReady);
    let unmade = World::well(1).but(|world| {
        world.observed = Observed::default();
        world.paused = true;
    });
    check(&unmade, "Ready=Unknown Paused", &[]);
    assert_eq!(unmade.readiness(), Readiness::NotWanted);
}
