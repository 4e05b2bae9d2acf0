//! Retries, refusals and damage, and the exit code of each.

use tempfile::TempDir;
use tracecapture::archive::frame::Compression;

use crate::chunks::{Built, SPAN, Span, bundle};
use crate::endpoint::{Endpoint, Said};
use crate::support::output;

/// A bundle of four spans, one a frame.
fn archive() -> Vec<u8> {
    let spans = [1, 2, 3, 4].map(|trace| Span { trace, ..SPAN });
    let groups: Vec<&[Span<'_>]> = spans.chunks(1).collect();
    bundle(&[Built::new(1, Compression::Zstd, &groups).members()])
}

/// Replays in batches of two; checks exit code, stdout and a part of stderr, and returns how many requests there were.
fn check(answers: &[Said], archive: &[u8], flags: &[&str], (code, counts, stderr): (i32, &str, &str)) -> usize {
    let files = TempDir::new().unwrap();
    let path = files.path().join("a.tar");
    std::fs::write(&path, archive).unwrap();
    let endpoint = Endpoint::start(answers);
    let to = ["replay", path.to_str().unwrap(), "--to", endpoint.url(), "--batch-spans", "2"];
    let done = output(&[to.as_slice(), flags].concat());
    let said = String::from_utf8(done.stderr).unwrap();
    let stdout = String::from_utf8(done.stdout).unwrap();
    assert_eq!((done.status.code(), stdout), (Some(code), format!("read {counts}\n")), "{answers:?}: {said}");
    assert!(said.contains(stderr) && said.is_empty() == stderr.is_empty(), "{answers:?}: {said}");
    endpoint.all().len()
}

#[test]
fn what_may_come_later_is_sent_again() {
    let all = (0, "4 spans: sent 4, rejected 0, failed 0", "503 Service Unavailable; trying again");
    assert_eq!(check(&[Said::Status(503, Some(1)), Said::Status(429, None)], &archive(), &[], all), 4);
}

#[test]
fn rejected_and_refused_spans_are_counted_apart() {
    let partial = Said::Taken(b"\x0a\x08\x08\x01\x12\x04late");
    let expected = (6, "4 spans: sent 3, rejected 1, failed 0", "rejected 1 of 2 spans: late");
    assert_eq!(check(&[partial], &archive(), &[], expected), 2);
    let expected = (6, "4 spans: sent 2, rejected 0, failed 2", "a batch of 2 spans was refused");
    assert_eq!(check(&[Said::Status(400, None)], &archive(), &[], expected), 2);
    let expected = (1, "4 spans: sent 0, rejected 0, failed 4", "413 Payload Too Large");
    assert_eq!(check(&[Said::Status(413, None), Said::Status(413, None)], &archive(), &[], expected), 2);
}

#[test]
fn an_endpoint_that_takes_nothing_ends_it_at_once() {
    let none = "0 spans: sent 0, rejected 0, failed 0";
    assert_eq!(check(&[Said::Status(401, None)], &archive(), &[], (4, none, "401 Unauthorized")), 1);
    assert_eq!(check(&[Said::Status(404, None)], &archive(), &[], (1, none, "404 Not Found")), 1);
    let patience = ["--give-up-after", "2s"];
    let expected = (8, none, "did not take a batch in time");
    assert_eq!(check(&[Said::Status(503, Some(3))], &archive(), &patience, expected), 1);
}

#[test]
fn a_page_is_no_acknowledgement() {
    let none = "0 spans: sent 0, rejected 0, failed 0";
    let page = Said::Page("text/html; charset=utf-8", b"<!doctype html><title>Sign in</title>");
    assert_eq!(check(&[page], &archive(), &[], (1, none, "answered 200 OK with `text/html`")), 1);
    let empty = Said::Page("text/html", b"");
    assert_eq!(check(&[empty], &archive(), &[], (0, "4 spans: sent 4, rejected 0, failed 0", "")), 2);
}

#[test]
fn nobody_there_is_a_timeout() {
    let files = TempDir::new().unwrap();
    let path = files.path().join("a.tar");
    std::fs::write(&path, archive()).unwrap();
    for protocol in ["grpc", "http"] {
        let flags = ["--to", "http://127.0.0.1:1", "--protocol", protocol, "--give-up-after", "300ms"];
        let done = output(&[&["replay", path.to_str().unwrap()], flags.as_slice()].concat());
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.code() == Some(8) && said.contains("cannot connect to 127.0.0.1:1"), "{said}");
    }
}

/// The archive, with one of its spans damaged.
fn damaged() -> Vec<u8> {
    let mut damaged = archive();
    let frame = damaged.windows(4).position(|bytes| bytes == [0x28, 0xb5, 0x2f, 0xfd]).unwrap();
    damaged[frame + 20] ^= 0xff;
    damaged
}

#[test]
fn damage_is_told_and_all_else_is_sent() {
    check(&[], &damaged(), &[], (5, "3 spans: sent 3, rejected 0, failed 0", "are left out"));
}

#[test]
fn damage_does_not_hide_what_the_endpoint_refused() {
    let refused = || Said::Status(400, None);
    let none = (1, "3 spans: sent 0, rejected 0, failed 3", "are left out");
    check(&[refused(), refused()], &damaged(), &[], none);
    check(&[refused()], &damaged(), &[], (6, "3 spans: sent 1, rejected 0, failed 2", "are left out"));
    let partial = Said::Taken(b"\x0a\x08\x08\x01\x12\x04late");
    check(&[partial], &damaged(), &[], (6, "3 spans: sent 2, rejected 1, failed 0", "are left out"));
}

#[test]
fn neither_does_damage_hide_a_path_that_could_not_be_read() {
    let files = TempDir::new().unwrap();
    let path = files.path().join("a.tar");
    std::fs::write(&path, damaged()).unwrap();
    let endpoint = Endpoint::start(&[]);
    let done = output(&["replay", path.to_str().unwrap(), "nowhere.tar", "--to", endpoint.url()]);
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.code() == Some(6) && said.contains("cannot find `nowhere.tar`"), "{said}");
}

#[test]
fn nothing_to_send_is_told() {
    check(&[], &bundle(&[]), &[], (3, "0 spans: sent 0, rejected 0, failed 0", "there are no spans"));
    let done = output(&["replay", "nowhere.tar", "--to", "http://127.0.0.1:1"]);
    assert_eq!(done.status.code(), Some(3));
}

#[test]
fn totals_are_to_be_had_as_json() {
    let files = TempDir::new().unwrap();
    let path = files.path().join("a.tar");
    std::fs::write(&path, archive()).unwrap();
    let endpoint = Endpoint::start(&[]);
    let done = output(&["replay", path.to_str().unwrap(), "--to", endpoint.url(), "-o", "json"]);
    let totals: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let expected = serde_json::json!({"read": 4, "sent": 4, "rejected": 0, "failed": 0, "faults": 0, "complete": true});
    assert_eq!(totals, expected);
}
