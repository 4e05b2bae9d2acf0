//! A capture stops on time by the collector's own clock, and goes on when the time is moved.

use std::fs;

use tracecapture::clock::Timestamp;

use crate::client::{post_one, wait_until};
use crate::pod::{Site, now};
use crate::support::Run;

/// A spec that ends so many seconds from now.
fn ending_in(seconds: u64) -> String {
    let end = Timestamp::from_unix_nanos((now() + seconds) * 1_000_000_000);
    format!("{{endTime: '{end}'}}")
}

#[test]
fn it_stops_on_time_and_goes_on_when_the_end_is_moved() {
    let site = Site::new(&ending_in(4));
    let end = now() + 4;
    let pod = site.start("checkout-collector-0");
    wait_until("the capture stops", || pod.post_one().1.status == 503);
    assert!(now() + 1 >= end, "it stopped too early");
    assert_eq!(site.report(&pod)["state"], "Stopped");
    let (_, refused) = pod.post_one();
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true));
    // It was asked to stop, so nothing is wrong with the pod, and what it holds can be had.
    assert_eq!((pod.probe("/readyz").0, pod.probe("/livez").0), (200, 200));
    wait_until("its chunk is sealed", || site.chunks(".inprogress").is_empty());

    site.publish(2, &ending_in(3_600));
    wait_until("the capture goes on", || pod.post_one().1.status == 200);
    assert_eq!(site.report(&pod)["state"], "Running");
    site.publish(3, &ending_in(2));
    wait_until("it stops again", || pod.post_one().1.status == 503);
}

#[test]
fn seconds_count_from_the_creation_of_the_object() {
    // It was created long ago.
    let site = Site::new("{stopAfterSeconds: 60, retention: {clearBefore: '2100-01-01T00:00:00Z'}}");
    let pod = site.start("checkout-collector-0");
    assert_eq!((site.report(&pod)["state"].as_str(), pod.post_one().1.status), (Some("Stopped"), 503));
    site.publish(2, "{retention: {clearBefore: '2100-01-01T00:00:00Z'}}");
    wait_until("the capture goes on", || pod.post_one().1.status == 200);
    wait_until("something is stored", || !site.chunks("").is_empty());
    site.publish(3, "{stopAfterSeconds: 60, retention: {clearBefore: '2100-01-01T00:00:00Z'}}");
    wait_until("what was captured is cleared once it is stopped", || site.chunks("").is_empty());
}

#[test]
fn in_run_they_count_from_the_start_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("capture.yaml");
    let text = "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\nmetadata: {name: local}\nspec: ";
    fs::write(&file, format!("{text}{{stopAfterSeconds: 2}}\n")).unwrap();
    let run = Run::start(&["-f", file.to_str().unwrap()]);
    wait_until("the capture stops", || post_one(&run).1.status == 503);
    fs::write(&file, format!("{text}{{stopAfterSeconds: 3600}}\n")).unwrap();
    wait_until("the capture goes on", || post_one(&run).1.status == 200);
}
