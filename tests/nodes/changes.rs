//! Settings that change while spans are sent.

use std::process::Command;
use std::time::{Duration, Instant};

use tonic::Code;

use crate::bundle::download;
use crate::command::{run, until, within};
use crate::load::{Load, NotTaken, STEADY, all, send_one};
use crate::pods::lives;
use crate::site::{CAPTURE, Site, beside_others};

/// Until a change is in effect, as is promised.
const EFFECT: Duration = Duration::from_mins(1);

/// Until what was captured is deleted, as README promises.
const CLEARED: Duration = Duration::from_mins(2);

#[test]
fn an_edit_takes_effect_without_a_restart() {
    beside_others("edited", |site| {
        site.add_disk("500M");
        site.capture("{receiver: {maxRequestBytes: 64Ki}}");
        let (endpoint, before) = (site.endpoint(), lives(site));
        let load = Load::start(&endpoint, STEADY);
        load.wait_for_more(100);
        assert!(send_one(&endpoint, 40_000).is_ok());

        let edit = Command::new("kubectl")
            .args(["edit", "tcap", CAPTURE, "-n", &site.namespace])
            .env("KUBE_EDITOR", "sed -i 's/maxRequestBytes: 64Ki/maxRequestBytes: 16Ki/'")
            .output()
            .unwrap();
        assert!(edit.status.success(), "{edit:?}");
        let too_large = Err(NotTaken::Refused(Code::ResourceExhausted));
        let seconds = seconds_until(EFFECT, "a large request is refused", || send_one(&endpoint, 40_000) == too_large);
        println!("edited: in effect after {seconds} s");
        site.until_reason("ReceiversReady", "AllReady");
        assert_eq!(lives(site), before, "no pod was restarted");
        let acknowledged = all(&load.finish());
        crate::bundle::check_all(site, &acknowledged);
    });
}

#[test]
fn a_capture_is_stopped_cleared_and_resumed() {
    beside_others("stopped", |site| {
        let chunks = site.add_disk("500M").join("chunks");
        site.capture("{}");
        let (endpoint, before) = (site.endpoint(), lives(site));
        let first = send_one(&endpoint, 0).unwrap();
        tracecapture(site, "stop");
        let is_refused = || send_one(&endpoint, 0) == Err(NotTaken::ComeBack);
        let seconds = seconds_until(EFFECT, "spans are refused", is_refused);
        println!("stopped: in effect after {seconds} s");
        site.until_reason("Ready", "Stopped");
        assert!(download(site).ids().contains(&first), "what was captured can be downloaded");

        // On the disk: the figures of the status may be a minute old.
        let n_chunks = || std::fs::read_dir(&chunks).unwrap().count();
        assert!(n_chunks() > 0, "there is nothing to clear");
        tracecapture(site, "clear");
        let seconds = seconds_until(CLEARED, "nothing is left", || n_chunks() == 0);
        println!("stopped: cleared after {seconds} s");
        tracecapture(site, "resume");
        let mut second = None;
        seconds_until(EFFECT, "spans are taken again", || {
            second = send_one(&endpoint, 0).ok();
            second.is_some()
        });
        site.until_reason("Ready", "Receiving");
        let held = download(site).ids();
        assert!(!held.contains(&first) && held.contains(&second.unwrap()), "{held:?}");
        assert_eq!(lives(site), before, "no pod was restarted");
    });
}

#[test]
fn a_capture_of_two_hours_that_is_shortened_ends_by_itself() {
    beside_others("shortened", |site| {
        site.add_disk("500M");
        site.capture("{stopAfterSeconds: 7200}");
        let endpoint = site.endpoint();
        let id = send_one(&endpoint, 0).unwrap();
        site.patch("{\"spec\": {\"stopAfterSeconds\": 60}}");
        until("the capture is completed", || {
            let status = site.status();
            let conditions = status["conditions"].as_array()?;
            conditions.iter().any(|told| told["type"] == "Completed" && told["reason"] == "TimeReached").then_some(())
        });
        seconds_until(EFFECT, "spans are refused", || send_one(&endpoint, 0) == Err(NotTaken::ComeBack));
        site.until_reason("Ready", "Completed");
        assert!(download(site).ids().contains(&id));
    });
}

fn tracecapture(site: &Site, command: &str) {
    run("kubectl", &["tracecapture", command, CAPTURE, "-n", &site.namespace]);
}

/// Returns how long something took to come about.
#[track_caller]
fn seconds_until(at_most: Duration, what: &str, mut is_so: impl FnMut() -> bool) -> u64 {
    let began = Instant::now();
    within(at_most, what, || is_so().then_some(()));
    began.elapsed().as_secs()
}
