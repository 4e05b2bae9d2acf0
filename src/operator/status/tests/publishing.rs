//! When a status changes, when it is published, what is told of it, and how large it is.

use super::*;

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
    assert_eq!(told(&first), [""; 0]);
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
            // A host, and what is signed.
            let (id, url) = ("0".repeat(12), "a".repeat(253 + 300));
            world.link = LinkNews::On(LinkStatus { id, url, expiration_time: NOW.to_owned() });
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
