//! Starts that cannot succeed say why; what can be mended later does not keep a pod from taking spans.

use std::fs;

use crate::client::wait_until;
use crate::pod::{BASE, Site, capture, key_line};

#[track_caller]
fn check(site: &Site, pod_name: &str, parts: &[&str]) {
    let output = site.command(pod_name).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn a_start_that_cannot_succeed_says_why() {
    let site = Site::new("{}");
    check(&site, "checkout", &["`checkout` is not the name of a StatefulSet's pod", "hint: ", "POD_NAME"]);
    site.publish_files(&[("capture.yaml", &capture(1, "{}").replace("  uid:", "  resourceVersion:"))]);
    check(&site, "checkout-collector-0", &["no `metadata.uid`", "hint: "]);
    site.publish(2, "{state: Paused}");
    check(&site, "checkout-collector-0", &["spec.state", "line 9"]);
    site.publish_files(&[]);
    check(&site, "checkout-collector-0", &["cannot read `", "capture.yaml`"]);
    assert!(!site.data_dir().exists(), "nothing was touched");
}

#[test]
fn without_keys_spans_are_taken_and_nobody_can_ask() {
    let site = Site::new("{}");
    site.publish_files(&[("capture.yaml", &capture(1, "{}"))]);
    let pod = site.start("checkout-collector-0");
    assert_eq!((pod.post_one().1.status, pod.probe("/readyz").0), (200, 200));
    assert_eq!(site.ask(&pod, "GET", BASE).status, 401);
    let words = "cannot read grant keys: only grants by those kept are accepted";
    pod.wait_for_log(words, &["grant-keys", "WARN"]);
    let lines = pod.log().into_iter().filter(|line| line.to_string().contains("grant keys"));
    assert_eq!(lines.count(), 1, "it is said once");
    site.publish_files(&[("capture.yaml", &capture(1, "{}")), ("grant-keys", &key_line(&site.key))]);
    wait_until("the keys are read", || site.ask(&pod, "GET", BASE).status == 200);
}

#[test]
fn a_second_process_of_the_same_pod_is_refused() {
    let site = Site::new("{}");
    let _pod = site.start("checkout-collector-0");
    check(&site, "checkout-collector-0", &["checkout-collector-0", "hint: "]);
    assert!(fs::exists(site.data_dir()).unwrap());
}
