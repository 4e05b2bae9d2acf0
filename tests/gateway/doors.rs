//! The doors: who gets what, with which answer, and what reviews cost.

use serde_json::json;
use tracecapture::gateway::options::Options;
use tracecapture::gateway::proxies::{Network, TrustedProxies};

use crate::client::wait_until;
use crate::site::{BASE, Captured, Site, TOKENS, capture, cluster, options};

/// Starts a gateway and a collector with some spans.
fn site() -> (Site, Captured) {
    let (api, key) = cluster();
    let captured = Captured::start(&api, key, 2);
    let site = Site::start(api, options(&captured.web));
    (site, captured)
}

#[test]
fn every_role_gets_what_it_may_and_no_more() {
    let (site, captured) = site();
    let bundle = format!("{BASE}/bundle.tar");
    let links = format!("{BASE}/links");
    // Object, bundle, clearing, making, listing: 409 says that a running capture is not cleared.
    let expected = [
        ("viewer-token", [200, 403, 403, 403, 403]),
        ("support-token", [200, 200, 403, 403, 403]),
        ("admin-token", [200, 200, 409, 201, 200]),
        ("other-token", [403, 403, 403, 403, 403]),
        ("robot-token", [200, 200, 403, 403, 403]),
        ("foreign-token", [401, 401, 401, 401, 401]),
        ("nobody", [401, 401, 401, 401, 401]),
    ];
    assert_eq!(expected.len(), TOKENS.len() + 1);
    let clearing = format!("{BASE}/chunks?before=2026-11-21T10:30:00Z");
    for (token, statuses) in expected {
        let asked = [("GET", BASE), ("GET", &bundle), ("DELETE", &clearing), ("POST", &links), ("GET", &links)];
        for ((method, path), status) in asked.into_iter().zip(statuses) {
            for header in [("authorization", &*format!("Bearer {token}")), ("x-tracecapture-token", token)] {
                let answer = site.ask(method, path, &[header]);
                assert_eq!(answer.status, status, "{token} {method} {path}: {answer:?}");
            }
        }
    }
    let anonymous = site.ask("GET", &bundle, &[]);
    assert_eq!(anonymous.problem(401), "Unauthenticated");
    let detail = anonymous.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("kubectl tracecapture download checkout -n shop") && !detail.contains('\n'), "{detail}");
    drop(captured);
}

#[test]
fn who_may_not_know_learns_nothing() {
    let (site, _captured) = site();
    let answers = |token: &str| {
        ["/api/v1/captures/shop/checkout/bundle.tar", "/api/v1/captures/shop/nothing/bundle.tar"].map(|path| {
            let answer = site.get(token, path);
            (answer.status, answer.text().replace("checkout", "nothing"))
        })
    };
    for token in ["other-token", "viewer-token", "nobody"] {
        let [there, missing] = answers(token);
        assert_eq!(there, missing, "{token}");
    }
    assert_eq!(site.get("support-token", "/api/v1/captures/shop/nothing/bundle.tar").problem(404), "NoSuchCapture");
    site.api.delete("tracecaptures", "shop", "checkout");
    wait_until("the capture is gone", || site.get("support-token", BASE).status == 404);
}

#[test]
fn the_list_shows_what_may_be_listed() {
    let (site, _captured) = site();
    site.api.put("tracecaptures", capture("other", "checkout"));
    let list = |token: &str| {
        let captures = site.get(token, "/api/v1/captures").json()["captures"].as_array().unwrap().clone();
        captures.iter().map(|capture| capture["namespace"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    wait_until("the other capture is known", || list("other-token") == ["other"]);
    assert_eq!(list("viewer-token"), ["shop"]);
    assert_eq!(site.ask("GET", "/api/v1/captures", &[]).status, 401);
}

#[test]
fn the_list_is_whole_however_many_namespaces_there_are() {
    let (site, _captured) = site();
    for n in 0..250 {
        site.api.put("tracecaptures", capture(&format!("team-{n:03}"), "checkout"));
    }
    site.api.put("tracecaptures", capture("zeta", "checkout"));
    site.reviewer.know("zeta-token", "zoe", None, Some(("tracecapture-admin", "zeta")));
    let of_zeta = "/api/v1/captures/zeta/checkout/chunks";
    wait_until("the last capture is known", || site.get("zeta-token", of_zeta).status == 503);
    let listed = site.get("zeta-token", "/api/v1/captures").json()["captures"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed[0]["namespace"], "zeta");
}

#[test]
fn who_may_not_is_told_the_least_role_that_may() {
    let (site, _captured) = site();
    let bundle = format!("{BASE}/bundle.tar");
    let links = format!("{BASE}/links");
    for (path, role) in [
        (BASE, "ClusterRole `tracecapture-viewer`"),
        (&bundle, "`tracecapture-support`"),
        (&links, "`tracecapture-admin`"),
    ] {
        let refused = site.get("other-token", path);
        assert_eq!(refused.problem(403), "Forbidden");
        assert!(refused.json()["detail"].as_str().unwrap().contains(role), "{refused:?}");
    }
}

#[test]
fn answers_of_the_keeper_come_through_whole() {
    let (site, captured) = site();
    let bundle = format!("{BASE}/bundle.tar");
    let whole = site.get("support-token", &bundle);
    assert_eq!(whole.header("content-type"), Some("application/x-tar"));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert_eq!(whole.header("cache-control"), Some("private, no-store, no-transform"));
    assert_eq!(whole.header("referrer-policy"), Some("no-referrer"));
    assert!(whole.header("content-disposition").unwrap().contains("shop_checkout_"));
    let direct = captured.site.ask(&captured.pod, "GET", &bundle);
    assert_eq!(direct.status, 403, "the grant of another capture's UID opens nothing: {direct:?}");
    let tag = whole.header("etag").unwrap();
    let bearer = ("authorization", "Bearer support-token");
    let rest = site.ask("GET", &bundle, &[bearer, ("range", "bytes=700-"), ("if-range", tag)]);
    assert_eq!((rest.status, &rest.body[..]), (206, &whole.body[700..]));
    let end = format!("bytes {}-{}/{}", 700, whole.body.len() - 1, whole.body.len());
    assert_eq!(rest.header("content-range"), Some(&*end));
    let behind = site.ask("GET", &bundle, &[bearer, ("range", "bytes=99999999999-"), ("if-range", tag)]);
    assert_eq!(behind.problem(416), "RangeNotSatisfiable");
    assert_eq!(site.ask("GET", &bundle, &[bearer, ("if-none-match", tag)]).status, 304);
    let head = site.ask("HEAD", &bundle, &[bearer]);
    assert_eq!(head.header("content-length"), whole.header("content-length"));
    assert_eq!(site.get("support-token", &format!("{bundle}?token=x")).problem(400), "BadRequest");
    assert_eq!(site.ask("POST", &bundle, &[bearer]).problem(405), "MethodNotAllowed");
    assert_eq!(site.get("support-token", &format!("{BASE}/../../x")).problem(404), "NotFound");
    assert_eq!(site.get("support-token", &format!("{BASE}/chunks")).json()["chunks"].as_array().unwrap().len(), 1);
}

#[test]
fn what_retention_removed_is_never_replaced_by_other_bytes() {
    let (site, captured) = site();
    let bundle = format!("{BASE}/bundle.tar");
    let whole = site.get("support-token", &bundle);
    for chunk in captured.site.chunks("") {
        std::fs::remove_file(captured.site.data_dir().join("chunks").join(chunk)).unwrap();
    }
    captured.send(1);
    let tag = whole.header("etag").unwrap();
    let snapshot = format!("{bundle}?snapshot={}", tag.trim_matches('"'));
    let bearer = ("authorization", "Bearer support-token");
    for (path, headers) in [
        (&bundle, &[bearer, ("range", "bytes=700-"), ("if-range", tag)][..]),
        (&snapshot, &[bearer]),
        (&snapshot, &[bearer, ("range", "bytes=700-")]),
    ] {
        assert_eq!(site.ask("GET", path, headers).problem(410), "SnapshotGone", "{path} {headers:?}");
    }
    assert_eq!(site.get("support-token", &bundle).status, 200);
}

#[test]
fn reviews_are_kept_and_shared() {
    let (site, _captured) = site();
    for _ in 0..20 {
        assert_eq!(site.get("robot-token", BASE).status, 200);
        assert_eq!(site.get("nobody", BASE).status, 401);
    }
    let asked = || (site.reviewer.n_asked("token"), site.reviewer.n_asked("access"));
    // A wrong token is reviewed for both audiences.
    assert_eq!(asked(), (3, 1));
    site.reviewer.forget("robot-token");
    site.clock.advance(29);
    assert_eq!(site.get("robot-token", BASE).status, 200);
    site.clock.advance(32);
    assert_eq!(site.get("robot-token", BASE).status, 401);
}

#[test]
fn ten_thousand_wrong_tokens_cost_a_few_reviews_and_nobody_their_way() {
    let (site, _captured) = site();
    assert_eq!(site.get("support-token", BASE).status, 200);
    let before = site.reviewer.n_asked("token");
    let mut refused = [0, 0];
    let mut client = crate::client::Client::connect(&site.address).unwrap();
    for n in 0..10_000 {
        client.begin(&format!("GET {BASE}"), &[("authorization", &format!("Bearer wrong-{n}"))], b"").unwrap();
        let head = client.head().unwrap();
        let answer = client.body(head).unwrap();
        match answer.status {
            401 => refused[0] += 1,
            429 => refused[1] += 1,
            other => panic!("{other}"),
        }
    }
    let reviews = site.reviewer.n_asked("token") - before;
    assert!(reviews < 200 && refused[1] > 9_800, "{reviews} reviews, {refused:?}");
    // Who was known before is asked about again, however many strangers come.
    site.clock.advance(120);
    assert_eq!(site.get("support-token", BASE).status, 200);
    assert!(site.metrics().contains("tracecapture_gateway_throttled_tokens_total"));
}

#[test]
fn odd_heads_are_refused() {
    let (site, _captured) = site();
    for (name, value) in
        [("authorization", "Bearer a b"), ("authorization", "Basic eA=="), ("x-tracecapture-token", "")]
    {
        assert_eq!(site.ask("GET", BASE, &[(name, value)]).status, 401, "{name}: {value}");
    }
    assert_eq!(site.reviewer.n_asked("token"), 0);
    let answer = site.ask("GET", BASE, &[("x-tracecapture-token", "a\r\nx-evil: 1\r\n broken")]);
    assert!(matches!(answer.status, 400 | 401), "{answer:?}");
    assert_eq!(answer.header("x-evil"), None);
}

/// Starts a gateway without a keeper that trusts these proxies, and returns how a token is answered by what the header says.
fn behind_proxies(trusted: &[&str]) -> impl Fn(&str, &str) -> u16 {
    let trusted_proxies: TrustedProxies = trusted.iter().map(|text| text.parse::<Network>().unwrap()).collect();
    let site = Site::start(cluster().0, Options { trusted_proxies, ..options("http://127.0.0.1:1") });
    move |token, forwarded| {
        let bearer = format!("Bearer {token}");
        site.ask("GET", BASE, &[("authorization", &bearer), ("x-forwarded-for", forwarded)]).status
    }
}

#[test]
fn behind_a_trusted_proxy_clients_are_slowed_down_each_for_itself() {
    let status = behind_proxies(&["127.0.0.0/8"]);
    // What the client itself wrote stands on the left.
    let guess = |n: usize| status(&format!("wrong-{n}"), &format!("203.0.113.{n}, 198.51.100.1"));
    assert!((0..100).filter(|n| guess(*n) == 429).count() > 50);
    assert_eq!((status("wrong", "198.51.100.2"), status("support-token", "198.51.100.2")), (401, 503));
}

#[test]
fn nobody_leaves_the_queue_by_a_header() {
    let status = behind_proxies(&["10.0.0.0/8"]);
    let guess = |n: usize| status(&format!("wrong-{n}"), &format!("10.0.0.1, 203.0.113.{n}"));
    assert!((0..100).filter(|n| guess(*n) == 429).count() > 50);
}

#[test]
fn a_capture_that_is_nested_too_deeply_hides_no_other() {
    let (api, _) = cluster();
    let mut deep = capture("shop", "deep");
    let nested = (0..200).fold(json!(1), |inner, _| json!({ "a": inner }));
    deep["spec"] = json!({ "collector": { "podOverlay": nested } });
    api.put("tracecaptures", deep);
    // It is ready once it has read the list.
    let site = Site::start(api, options("http://127.0.0.1:1"));
    let captures = site.get("viewer-token", "/api/v1/captures").json()["captures"].clone();
    assert_eq!(captures.as_array().unwrap().len(), 2, "{captures}");
}
