//! Requests are answered with a grant for that very request, and told nothing without.

use crate::client::wait_until;
use crate::pod::{BASE, Site, UID, bearer, key_line};
use tracecapture::api::grant::GrantKey;

#[test]
fn each_request_needs_a_grant_of_its_own() {
    let site = Site::new("{}");
    let pod = site.start("checkout-collector-0");
    assert_eq!(pod.post_one().1.status, 200);
    let other = GrantKey::draw().unwrap().0;
    let bundle = format!("{BASE}/bundle.tar");
    let refused = [
        (401, String::new()),
        (401, "Bearer secret".to_owned()),
        (401, site.grant("GET", BASE).replace("Bearer", "Basic")),
        (401, bearer(&other, UID, "GET", BASE, 60)),
        (401, bearer(&site.key, UID, "GET", BASE, -1)),
        (403, site.grant("GET", &bundle)),
        (403, site.grant("DELETE", BASE)),
        (403, bearer(&site.key, "another", "GET", BASE, 60)),
    ];
    for (status, authorization) in refused {
        let headers = [("authorization", &*authorization)];
        let answer = pod.ask("GET", BASE, if authorization.is_empty() { &[] } else { &headers });
        assert_eq!(answer.status, status, "{authorization}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.to_lowercase().contains("grant") && !detail.contains('\n'), "{detail}");
    }
    // Nothing tells what exists from what does not.
    assert_eq!(pod.ask("GET", "/api/v1/captures/shop/nothing", &[]).status, 401);
    assert_eq!(pod.ask("GET", "/metrics", &[]).status, 401);

    let grant = site.grant("GET", &bundle);
    let whole = pod.ask("GET", &format!("{bundle}?since=0"), &[("authorization", &grant)]);
    assert_eq!(whole.status, 200, "{whole:?}");
    let head = pod.ask("HEAD", &bundle, &[("authorization", &grant)]);
    assert_eq!(head.status, 200, "GET grants HEAD, too: {head:?}");
    let (length, tag) = (head.header("content-length").unwrap(), head.header("etag").unwrap());
    let rest = pod.ask("GET", &bundle, &[("authorization", &grant), ("range", "bytes=100-"), ("if-range", tag)]);
    assert_eq!((rest.status, rest.body.len() + 100), (206, length.parse().unwrap()));
    let running = site.ask(&pod, "DELETE", &format!("{BASE}/chunks?before=4000000000"));
    assert_eq!(running.status, 409, "{running:?}");
    // The log names who asked, and holds nothing that could be used again.
    pod.wait_for_log("request answered", &["\"principal\":\"grant\"", "shop/checkout"]);
    let log = serde_json::to_string(&pod.log()).unwrap();
    assert!(!log.contains(grant.trim_start_matches("Bearer ")) && !log.contains("v1.ey"), "{log}");
}

#[test]
fn a_pod_answers_under_every_name() {
    let site = Site::new("{}");
    let pod = site.start("checkout-collector-0");
    let grant = site.grant("GET", BASE);
    // The client's own Host stands first, so the address is named in the absolute form, which wins.
    let named = format!("http://checkout-collector-0.checkout-collector.shop.svc:4319{BASE}");
    let answer = pod.ask("GET", &named, &[("authorization", &grant)]);
    assert_eq!((answer.status, answer.json()["name"].as_str()), (200, Some("checkout")));
}

#[test]
fn keys_are_rotated_without_restart() {
    let site = Site::new("{}");
    let pod = site.start("checkout-collector-0");
    let new = GrantKey::draw().unwrap().0;
    let status = |key: &GrantKey| {
        let grant = bearer(key, UID, "GET", BASE, 60);
        pod.ask("GET", BASE, &[("authorization", &grant)]).status
    };
    assert_eq!((status(&site.key), status(&new)), (200, 401));
    let capture = crate::pod::capture(1, "{}");
    let publish = |keys: &str| site.publish_files(&[("capture.yaml", &capture), ("grant-keys", keys)]);
    publish(&format!("# both\n{}\n{}", key_line(&site.key), key_line(&new)));
    wait_until("the new key is known", || status(&new) == 200);
    assert_eq!(status(&site.key), 200);
    publish("not a key\n");
    pod.wait_for_log("cannot read grant keys: only grants by those kept are accepted", &["Ed25519 public key"]);
    assert_eq!((status(&site.key), status(&new)), (200, 200));
    publish(&key_line(&new));
    wait_until("the old key is forgotten", || status(&site.key) == 401);
    assert_eq!(status(&new), 200);
}
