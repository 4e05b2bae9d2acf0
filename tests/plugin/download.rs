//! `download`: cut, continued, refused, damaged, interrupted.

use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::json;
use tracecapture::archive::frame::Compression;

use crate::chunks::{Built, SPAN, Span, bundle, bundle_with};
use crate::gateway::{Plan, TOKEN};
use crate::site::{BUNDLE, Site};

const ETAG: &str = "\"one\"";

/// A site with a capture whose bundle has a few chunks; returns its bytes, too.
fn site() -> (Site, Vec<u8>) {
    let site = Site::new();
    site.checkout();
    let spans: Vec<Span<'_>> = (0..50).map(|n| Span { trace: n + 1, ..SPAN }).collect();
    let chunks: Vec<Vec<u8>> = (0..3).map(|n| Built::new(n, Compression::None, &[&spans, &spans]).members()).collect();
    let body = bundle(&chunks);
    {
        let mut gateway = site.gateway.lock();
        (gateway.body, gateway.etag) = (body.clone(), ETAG.to_owned());
    }
    (site, body)
}

/// Checks that the whole is there under its name, and nothing beside it.
fn check_whole(site: &Site, body: &[u8]) {
    assert!(std::fs::read(site.path("checkout.tar")).unwrap() == body);
    assert!(!site.path("checkout.tar.part").exists() && !site.path("checkout.tar.part.json").exists());
}

/// Checks that no file appeared, and how much of a part there is.
fn check_part(site: &Site, len: usize) {
    assert!(!site.path("checkout.tar").exists());
    assert_eq!(std::fs::metadata(site.path("checkout.tar.part")).unwrap().len(), len as u64);
}

#[test]
fn a_download_is_verified_and_named() {
    let (site, body) = site();
    site.check(&["download", "checkout"], 0, &["checkout.tar: ", "verified", "3 ok", "300 spans"], &[]);
    check_whole(&site, &body);
    let stat = std::fs::metadata(site.path("checkout.tar")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&stat.permissions()) & 0o777, 0o600);
    site.check(&["download", "checkout"], 1, &[], &["is there already", "-o FILE"]);
    site.check(&["download", "checkout", "-o", "-"], 2, &[], &["stdout"]);
}

#[test]
fn cuts_are_continued_under_the_same_tag() {
    let (site, body) = site();
    site.gateway.plan([Plan::Cut(1_000), Plan::Refuse(503, "soon"), Plan::Cut(5), Plan::Cut(0)]);
    site.check(&["download", "checkout"], 0, &["verified"], &["cut at byte 1000", "503", "cut at byte 1005"]);
    check_whole(&site, &body);
    let asked = site.gateway.lock().asked.clone();
    let ranges: Vec<_> = asked.iter().map(|asked| asked.range.as_deref()).collect();
    let from = [None, Some("bytes=1000-"), Some("bytes=1000-"), Some("bytes=1005-"), Some("bytes=1005-")];
    assert_eq!(ranges, from);
    assert!(asked.iter().skip(1).all(|asked| asked.if_range.as_deref() == Some(ETAG)));
}

#[test]
fn a_part_is_continued_by_the_next_command() {
    let (site, body) = site();
    site.gateway.plan([Plan::Cut(700)]);
    let args = ["download", "checkout", "--retries", "0"];
    let told =
        ["cut at byte 700", "tracecapture download checkout -n shop", "always cut at the same byte, add --restart"];
    site.check(&args, 6, &[], &told);
    check_part(&site, 700);
    site.check(&["download", "checkout", "--service", "x"], 1, &[], &["begun by another download", "--restart"]);
    check_part(&site, 700);
    site.check(&args, 0, &["verified"], &[]);
    check_whole(&site, &body);
}

#[test]
fn a_snapshot_that_is_gone_is_never_continued() {
    for refusal in [Some(Plan::Refuse(410, "removed by retention")), Some(Plan::Refuse(412, "unknown")), None] {
        let (site, _) = site();
        site.gateway.plan([Plan::Cut(700)]);
        site.check(&["download", "checkout", "--retries", "0"], 6, &[], &[]);
        if refusal.is_none() {
            site.gateway.lock().etag = "\"two\"".to_owned();
        }
        site.gateway.plan(refusal);
        site.check(&["download", "checkout"], 9, &[], &["is gone", "--restart"]);
        check_part(&site, 700);
        site.check(&["download", "checkout", "--restart"], 0, &["verified"], &[]);
    }
}

#[test]
fn changed_bytes_are_no_download() {
    let (site, body) = site();
    let at = body.windows(9).position(|bytes| bytes == b"GET /cart").unwrap();
    site.gateway.lock().body[at] = b'P';
    site.check(&["download", "checkout"], 5, &[], &["is damaged", "--restart"]);
    check_part(&site, body.len());
    site.check(&["download", "checkout"], 5, &[], &["is damaged"]);
    site.gateway.lock().body.clone_from(&body);
    site.check(&["download", "checkout", "--restart"], 0, &["verified"], &[]);
    check_whole(&site, &body);
}

#[test]
fn what_is_missing_where_it_is_stored_is_told() {
    let built = Built::new(1, Compression::Zstd, &[&[SPAN]]);
    let share = format!("{{\"chunk\":\"{}\",\"frames\":1,\"items\":1", built.name);
    for (manifest, text) in [
        (format!("{{\"chunks\":[{share}}}],\"unreadable\":[\"lost-one\"]}}"), "lost-one"),
        (format!("{{\"chunks\":[{share},\"damaged\":true}}]}}"), "its file was damaged"),
    ] {
        let (site, _) = site();
        let body = bundle_with(&manifest, &[built.members()]);
        site.gateway.lock().body.clone_from(&body);
        let told = ["1 of its chunks are damaged or unreadable there", text, "another download brings no more"];
        let ended = site.check(&["download", "checkout"], 5, &["checkout.tar: ", "1 spans"], &told);
        assert!(!ended.stderr.contains("--restart"), "{ended:?}");
        check_whole(&site, &body);
        site.check(&["verify", "checkout.tar"], 5, &[text], &[]);
    }
}

#[test]
fn damage_on_the_way_is_not_taken_for_damage_where_it_is_stored() {
    let (site, _) = site();
    let built = Built::new(1, Compression::None, &[&[SPAN]]);
    let share = format!("{{\"chunk\":\"{}\",\"frames\":1,\"items\":1,\"damaged\":true}}", built.name);
    let mut body = bundle_with(&format!("{{\"chunks\":[{share}],\"unreadable\":[\"lost\"]}}"), &[built.members()]);
    let at = body.windows(9).position(|bytes| bytes == b"GET /cart").unwrap();
    body[at] = b'P';
    site.gateway.lock().body.clone_from(&body);
    site.check(&["download", "checkout"], 5, &[], &["is damaged: 1 of its chunks", "--restart"]);
    check_part(&site, body.len());
}

#[test]
fn what_is_no_bundle_is_no_download() {
    for (media_type, told) in [
        (Some("application/json"), "answered with `application/json`, not with a capture"),
        (Some("text/html; charset=utf-8"), "answered with `text/html`, not with a capture"),
        (None, "answered with no media type, not with a capture"),
    ] {
        for bytes in [&b""[..], b"{\"status\":\"ok\"}"] {
            let (site, body) = site();
            site.gateway.plan([Plan::Stranger(media_type, bytes)]);
            let told = [&*site.address, told, "--via apiserver"];
            site.check(&["download", "checkout"], 1, &[], &told);
            check_part(&site, 0);
            site.gateway.plan([Plan::Stranger(media_type, bytes)]);
            let told = ["the API server's proxy answered", "--gateway-namespace"];
            site.check(&["download", "checkout", "--via", "apiserver"], 1, &[], &told);
            site.check(&["download", "checkout"], 0, &["verified"], &[]);
            check_whole(&site, &body);
        }
    }
}

#[test]
fn a_tar_without_a_bundles_manifest_is_no_download() {
    for bytes in [&b""[..], &[0; 1024], b"{\"status\":\"ok\"}"] {
        let (site, body) = site();
        site.gateway.plan([Plan::Stranger(Some("Application/X-Tar; v=1"), bytes)]);
        site.check(&["download", "checkout"], 5, &[], &["is no capture", "--restart"]);
        check_part(&site, bytes.len());
        site.check(&["download", "checkout", "--restart"], 0, &["verified"], &[]);
        check_whole(&site, &body);
    }
}

#[test]
fn refusals_have_their_exit_codes() {
    let (site, _) = site();
    for (status, code) in [(401, 4), (403, 4), (404, 3), (400, 1)] {
        site.gateway.plan([Plan::Refuse(status, "said so")]);
        site.check(&["download", "checkout"], code, &[], &["said so"]);
    }
    site.check(&["download", "nothing"], 3, &[], &["cannot get the capture shop/nothing"]);
    site.gateway.plan([Plan::Refuse(503, "down"), Plan::Refuse(503, "down")]);
    site.check(&["download", "checkout", "--retries", "1"], 1, &[], &["cut at byte 0", "down"]);
}

#[test]
fn the_api_servers_proxy_is_a_way_too() {
    let (site, body) = site();
    site.check(&["download", "checkout", "--via", "apiserver"], 0, &["verified"], &[]);
    check_whole(&site, &body);
    let asked = site.gateway.lock().asked[0].path.clone();
    let service = "/api/v1/namespaces/tracecapture-system/services/http:tracecapture-gateway:http/proxy";
    assert_eq!(asked, format!("{service}{BUNDLE}"));
    site.capture("shop", "plain", json!({}), json!({}));
    site.check(&["download", "plain", "--via", "url"], 3, &[], &["no address", "--via apiserver"]);
    site.check(&["download", "plain"], 0, &["plain.tar"], &[]);
}

#[test]
fn tokens_come_from_plugins_and_never_from_nowhere() {
    let (site, body) = site();
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": { "token": TOKEN },
    });
    site.log_in(json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "echo", "args": [credential.to_string()],
        "interactiveMode": "Never",
    }}));
    site.check(&["download", "checkout"], 0, &["verified"], &[]);
    check_whole(&site, &body);
    site.log_in(json!({}));
    let no_token = ["no token", "--service-account"];
    site.check(&["download", "checkout", "-o", "b.tar"], 4, &[], &no_token);
    site.check(&["download", "checkout", "-o", "b.tar", "--as", "somebody"], 2, &[], &["--as"]);
    assert!(!site.path("b.tar.part").exists());
    let mut given = site.command(&["download", "checkout", "-o", "b.tar"]);
    assert!(given.env("TRACECAPTURE_TOKEN", TOKEN).output().unwrap().status.success());
}

#[test]
fn a_plugin_is_found_beside_the_kubeconfig_that_names_it() {
    let (site, body) = site();
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": { "token": TOKEN },
    });
    site.log_in(json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "./bin/log-in", "interactiveMode": "Never",
    }}));
    std::fs::create_dir_all(site.path("home/bin")).unwrap();
    std::fs::rename(site.path("kubeconfig"), site.path("home/kubeconfig")).unwrap();
    let plugin = site.path("home/bin/log-in");
    std::fs::write(&plugin, format!("#!/bin/sh\necho '{credential}'\n")).unwrap();
    std::fs::set_permissions(&plugin, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // Another directory than that of the kubeconfig, which is named in both ways.
    site.check(&["download", "checkout", "--kubeconfig", "home/kubeconfig"], 0, &["verified"], &[]);
    check_whole(&site, &body);
    let mut by_variable = site.command(&["download", "checkout", "-o", "b.tar"]);
    let output = by_variable.env("KUBECONFIG", site.path("home/kubeconfig")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_token_stays_off_the_open_network() {
    let (site, _) = site();
    let status = json!({ "bundle": { "url": "http://captures.example.com/bundle.tar", "sizeBytes": 1, "chunks": 1 } });
    site.capture("shop", "open", json!({}), status);
    site.check(&["download", "open"], 1, &[], &["has no TLS", "--via apiserver"]);
}

#[test]
fn filters_are_passed_on_and_may_match_nothing() {
    let (site, _) = site();
    site.gateway.lock().body = bundle(&[]);
    let args = ["download", "checkout", "--service", "a b&c", "--since", "1795255200"];
    site.check(&args, 3, &[], &["nothing that was captured matches"]);
    let query = site.gateway.lock().asked[0].query.clone();
    assert!(query.ends_with("&service=a%20b%26c") && query.starts_with("since=2026"), "{query}");
    assert!(!site.path("checkout.tar.part").exists() && !site.path("checkout.tar").exists());
}

#[test]
fn an_interrupt_keeps_the_part_and_says_how_to_go_on() {
    let (site, body) = site();
    let (told, stalled) = channel();
    site.gateway.plan([Plan::Cut(900), Plan::Stall(0, told)]);
    let mut command = site.command(&["download", "checkout"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    stalled.recv_timeout(Duration::from_mins(1)).unwrap();
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("tracecapture download checkout -n shop"), "{stderr}");
    check_part(&site, 900);
    site.check(&["download", "checkout"], 0, &["verified"], &[]);
    check_whole(&site, &body);
}
