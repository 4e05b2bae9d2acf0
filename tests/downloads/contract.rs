//! Status codes, conditions, access and deletion.

use crate::client::{Answer, Client};
use crate::site::{BUNDLE, CAPTURE, Site, TOKEN, request, span};

fn site() -> Site {
    let site = Site::start("{}");
    for n in 0..3 {
        assert!(site.otlp().post(&request("shop", vec![span(n + 1, 0, 1)])));
    }
    site
}

#[test]
fn ranges_and_conditions_are_those_of_http() {
    let site = site();
    let web = site.web();
    let whole = web.get(BUNDLE, &[]);
    let (len, tag) = (whole.body.len(), whole.header("etag").to_owned());
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, "bytes"));
    assert_eq!(
        (whole.header("content-type"), whole.header("content-length")),
        ("application/x-tar", &*len.to_string())
    );
    assert!(whole.header("content-disposition").starts_with("attachment; filename=\"default_local_"));
    for (name, value) in [
        ("cache-control", "private, no-store, no-transform"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(whole.header(name), value);
    }
    let head = web.ask("HEAD", BUNDLE, &[]);
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, &*len.to_string()));
    assert_eq!(head.header("etag"), tag);

    let check = |status: u16, expected: Option<&[u8]>, headers: &[(&str, &str)]| {
        let answer = web.get(BUNDLE, headers);
        assert_eq!(answer.status, status, "{headers:?}");
        if let Some(expected) = expected {
            assert!(answer.body == expected, "{headers:?}: {} bytes", answer.body.len());
        }
        answer
    };
    let with_tag = |range: &'static str| [("Range", range), ("If-Range", &*tag)];
    check(206, Some(&whole.body[5..6]), &with_tag("bytes=5-5"));
    check(206, Some(&whole.body[len - 1024..]), &with_tag("bytes=-1024"));
    check(206, Some(&whole.body[100..]), &with_tag("bytes=100-999999999"));
    // More digits than a number of 64 bits has are still a position.
    check(206, Some(&whole.body[100..]), &with_tag("bytes=100-99999999999999999999999"));
    check(206, Some(&whole.body), &with_tag("bytes=-99999999999999999999999"));
    check(416, None, &with_tag("bytes=99999999999999999999999-"));
    check(200, Some(&whole.body), &with_tag("bytes=0-1,5-6"));
    check(200, Some(&whole.body), &with_tag("lines=1-2"));
    check(200, Some(&whole.body), &[("Range", "bytes=5-"), ("If-Range", "\"other\"")]);
    let beyond = format!("bytes={len}-");
    let unsatisfiable = check(416, None, &[("Range", &beyond), ("If-Range", &tag)]);
    assert_eq!(unsatisfiable.header("content-range"), format!("bytes */{len}"));
    assert_eq!(unsatisfiable.problem(416), "RangeNotSatisfiable");
    check(304, Some(b""), &[("If-None-Match", &tag)]);
    check(200, Some(&whole.body), &[("If-None-Match", "\"other\"")]);
    check(200, Some(&whole.body), &[("If-Match", &tag)]);
    assert_eq!(check(412, None, &[("If-Match", "\"other\"")]).problem(412), "PreconditionFailed");
}

#[test]
fn without_the_token_or_under_another_name_nothing_is_told() {
    let site = site();
    let (bare, web) = (Client::new(site.run().web(), None), site.web());
    for target in [CAPTURE, BUNDLE, "/api/v1/captures", "/api/v1/captures/other/one", "/metrics", "/nothing"] {
        for headers in [&[][..], &[("Authorization", "Bearer wrong")], &[("Authorization", TOKEN)]] {
            let answer = bare.get(target, headers);
            assert_eq!(answer.problem(401), "Unauthenticated", "{target}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.lines().count() == 1 && detail.contains("Authorization: Bearer"), "{detail}");
        }
        let rebound = web.get(target, &[("Host", "evil.example")]);
        assert_eq!(rebound.problem(421), "UnknownHost", "{target}");
    }
    assert_eq!(web.get(&format!("{BUNDLE}?token={TOKEN}"), &[]).problem(400), "BadRequest");
}

#[test]
fn probes_and_metrics() {
    let site = site();
    let bare = Client::new(site.run().web(), None);
    for probe in ["/livez", "/readyz"] {
        let answer = bare.get(probe, &[("Host", "10.1.2.3")]);
        assert_eq!((answer.status, &answer.body[..]), (200, &b"ok\n"[..]), "{probe}");
    }
    let metrics = site.web().get("/metrics", &[]);
    let text = String::from_utf8(metrics.body.clone()).unwrap();
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    assert!(text.ends_with("# EOF\n") && text.contains("tracecapture_commits_total 3"), "{text}");
}

#[test]
fn what_does_not_exist_is_404_however_it_is_asked_for() {
    let site = site();
    let web = site.web();
    let mut bodies = Vec::new();
    for target in [
        "/nothing",
        "/api/v1/captures/default/other",
        "/api/v1/captures/default/local/nothing",
        "/api/v1/captures/default/local/",
        "/api/v1/captures/default/local/bundle.tar/",
        "/api/v1/captures/default/local/manifest/",
        "/api/v1/captures/default/local/chunks/",
        "/api/v1/captures/default/local/chunks/20261121T103045.123Z_local_7f3a_000042.tar",
        "/api/v1/captures/default/local/chunks/..%2f.lock-local",
        "/api/v1/captures/default/local/chunks/%2e%2e/.lock-local",
        "/api/v1/captures/default/local/chunks/../../../../../etc/passwd",
        "/api/v1/captures/default/local/chunks//etc/passwd",
        "/api/v1/captures/default/local/chunks/%2fetc%2fpasswd",
        "/api/v1/captures/../../etc/passwd",
        "/../../etc/passwd",
        "/api/v1/captures/default/local/traces/..%2f..",
    ] {
        let answer = web.get(target, &[]);
        assert_eq!(answer.problem(404), "NotFound", "{target}");
        bodies.push(answer.body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "the answers differ");
    let unknown = format!("{CAPTURE}/traces/{:032x}", 0xdead_u32);
    assert_eq!(web.get(&unknown, &[]).problem(404), "NoSuchTrace");
    let wrong = web.ask("POST", BUNDLE, &[]);
    assert_eq!((wrong.problem(405).as_str(), wrong.header("allow")), ("MethodNotAllowed", "GET, HEAD"));
}

#[test]
fn only_a_stopped_capture_is_cleared_and_not_by_other_origins() {
    let mut site = site();
    let target = format!("{CAPTURE}/chunks?before=2100-01-01T00:00:00Z");
    let clear = |site: &Site, headers: &[(&str, &str)]| -> Answer { site.web().ask("DELETE", &target, headers) };
    assert_eq!(clear(&site, &[]).problem(409), "CaptureRunning");
    assert_eq!(clear(&site, &[("Origin", "http://evil.example")]).problem(403), "CrossOrigin");
    site.restart("{state: Stopped}");
    assert_eq!(site.chunks().len(), 1);
    assert!(!site.otlp().post(&request("shop", vec![span(9, 0, 1)])), "a stopped capture takes nothing");
    for foreign in [("Origin", "http://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")] {
        assert_eq!(clear(&site, &[foreign]).problem(403), "CrossOrigin", "{foreign:?}");
    }
    let chunks = format!("{CAPTURE}/chunks");
    assert_eq!(site.web().ask("DELETE", &chunks, &[]).problem(400), "BadRequest");
    assert_eq!(site.chunks().len(), 1);
    let early = format!("{chunks}?before=2000-01-01T00:00:00Z");
    assert_eq!(site.web().ask("DELETE", &early, &[]).json()["deletedChunks"], 0);
    let origin = site.run().web().to_owned();
    let cleared = clear(&site, &[("Origin", &origin)]);
    assert_eq!((cleared.status, &cleared.json()["deletedChunks"]), (200, &1.into()));
    assert!(site.chunks().is_empty());
    let empty = site.web().get(BUNDLE, &[]);
    assert_eq!(empty.status, 200);
}
