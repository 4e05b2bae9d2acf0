//! What probes say through a pod's life, and how it ends.

use std::fs;

use crate::client::{Client, next_id, request, wait_until};
use crate::pod::{Pod, Site};
use crate::support::output;

/// The value of a metric, named with its labels where it has any.
fn metric(pod: &Pod, name: &str) -> u64 {
    let (_, text) = pod.probe("/metrics");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[test]
fn sigterm_answers_what_is_in_flight_seals_and_ends_well() {
    let site = Site::new("{}");
    let pod = site.start("checkout-collector-0");
    let (first, answer) = pod.post_one();
    assert_eq!((answer.status, pod.probe("/readyz").0), (200, 200));
    let id = next_id();
    let body = request(&[id], 0);
    let len = body.len().to_string();
    let headers = [("content-type", "application/x-protobuf"), ("content-length", &*len)];
    let mut client = Client::connect(pod.http()).unwrap();
    client.begin("POST /v1/traces", &headers, &body[..10]).unwrap();
    wait_until("the request is in flight", || metric(&pod, "tracecapture_receive_in_flight_bytes") > 0);
    pod.signal("TERM");
    wait_until("it is no longer ready", || pod.probe("/readyz") == (503, "the collector is ending\n".to_owned()));
    assert_eq!(pod.probe("/livez").0, 200);
    // Only now does it stop to accept.
    wait_until("nobody new is let in", || Client::connect(pod.http()).is_err());
    assert_eq!(pod.probe("/readyz").0, 503);
    client.send(&body[10..]).unwrap();
    let head = client.head().unwrap();
    assert_eq!(client.body(head).unwrap().status, 200);
    assert_eq!(pod.wait().code(), Some(0));
    assert_eq!((site.chunks(".inprogress").len(), site.chunks(".tar").len()), (0, 1));
    let cat = output(&["cat", site.data_dir().to_str().unwrap()]);
    let lines = String::from_utf8(cat.stdout).unwrap();
    for id in [first, id] {
        assert!(lines.contains(&format!("\"{id:016x}\"")), "{id}: {lines}");
    }
}

#[test]
fn a_volume_that_is_away_makes_a_pod_not_ready_and_no_restart() {
    let site = Site::new("{recovery: {inactiveSeconds: 1}}");
    let pod = site.start("checkout-collector-0");
    assert_eq!((pod.post_one().1.status, pod.probe("/readyz")), (200, (200, "ok\n".to_owned())));
    let away = site.data_dir().with_extension("away");
    fs::rename(site.data_dir(), &away).unwrap();
    wait_until("it is not ready", || pod.probe("/readyz").0 == 503);
    assert_eq!(pod.probe("/livez").0, 200);
    let fault = "tracecapture_storage_fault{reason=\"StorageFailed\"}";
    assert_eq!(metric(&pod, fault), 1);
    fs::rename(&away, site.data_dir()).unwrap();
    wait_until("it is ready again", || pod.probe("/readyz").0 == 200);
    assert_eq!(metric(&pod, fault), 0);
    site.publish(2, "{state: Stopped}");
    wait_until("it is stopped", || pod.post_one().1.status == 503);
    assert_eq!((pod.probe("/readyz").0, pod.probe("/livez").0), (200, 200));
    let (status, metrics) = pod.probe("/metrics");
    assert!(status == 200 && metrics.ends_with("# EOF\n"), "{metrics}");
    assert_eq!(pod.probe("/").0, 404);
}

#[test]
fn a_second_signal_ends_the_drain() {
    let site = Site::new("{}");
    let pod = site.start("checkout-collector-0");
    pod.signal("TERM");
    wait_until("it is no longer ready", || pod.probe("/readyz").0 == 503);
    pod.signal("INT");
    assert_eq!(pod.wait().code(), Some(130));
}
