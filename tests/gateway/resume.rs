//! Downloads that are cut anywhere, and go on, while spans come in, gateways end and keepers are restarted.

use ring::digest::{SHA256, digest};
use serde_json::json;

use crate::raw::Client;
use crate::site::{BASE, Captured, Site, cluster, options, web};

/// How many times a download is cut.
const CUTS: usize = 20;

/// A random-looking sequence that is the same each time.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Reads at most `n` bytes of what a path has; returns them and the tag.
fn piece(site: &Site, path: &str, headers: &[(&str, &str)], n: usize) -> (Vec<u8>, String) {
    let started = Client::new(&site.address, None).begin("GET", path, headers);
    assert!(matches!(started.status, 200 | 206), "{}", started.status);
    let tag = started.header("etag").to_owned();
    (started.cut(n), tag)
}

#[test]
fn a_download_that_is_cut_anywhere_has_the_same_bytes() {
    let (api, key) = cluster();
    let mut captured = Captured::start(&api, key, 12);
    let mut site = Site::start(api.clone(), options(&captured.web));
    let link = site.link(&json!({}))["path"].as_str().unwrap().to_owned() + "/bundle.tar";
    let pinned = site.ask("GET", &link, &[]).body;
    let (mut by_link, mut by_token, mut tag) = (Vec::new(), Vec::new(), String::new());
    let bearer = ("authorization", "Bearer support-token");
    let path = format!("{BASE}/bundle.tar");
    let (mut state, at_most) = (7, pinned.len() / (CUTS - 6));
    let mut total = None;
    for cut in 0..CUTS {
        captured.send(u64::from(cut % 4 == 0));
        let n = 1 + usize::try_from(next(&mut state)).unwrap() % at_most;
        if by_link.len() < pinned.len() {
            let from = format!("bytes={}-", by_link.len());
            // As `curl -C -`: nothing says which snapshot.
            let range = [("range", &*from)];
            by_link.extend(piece(&site, &link, if by_link.is_empty() { &[] } else { &range }, n).0);
        }
        let from = format!("bytes={}-", by_token.len());
        let headers = [bearer, ("range", &*from), ("if-range", &*tag)];
        let (bytes, found) = piece(&site, &path, if tag.is_empty() { &headers[..1] } else { &headers }, n);
        assert!(tag.is_empty() || tag == found, "another snapshot");
        tag = found;
        by_token.extend(bytes);
        match cut {
            5 | 11 => {
                site.stop();
                site = Site::start(api.clone(), options(&captured.web));
            }
            8 => {
                // The node is lost; the pod comes back elsewhere.
                captured.pod.kill9();
                captured.pod = captured.site.start("checkout-collector-0");
                captured.web = web(&captured.pod);
                site.stop();
                site = Site::start(api.clone(), options(&captured.web));
            }
            _ => {}
        }
        total.get_or_insert_with(|| {
            let head = site.ask("HEAD", &path, &[bearer, ("if-match", &tag)]);
            head.header("content-length").unwrap().parse::<usize>().unwrap()
        });
    }
    let rest = format!("bytes={}-", by_link.len());
    by_link.extend(piece(&site, &link, &[("range", &rest)], 64 << 20).0);
    let rest = format!("bytes={}-", by_token.len());
    by_token.extend(piece(&site, &path, &[bearer, ("range", &rest), ("if-range", &tag)], 64 << 20).0);
    let sha = |bytes: &[u8]| digest(&SHA256, bytes).as_ref().to_vec();
    assert_eq!(sha(&by_link), sha(&pinned));
    let snapshot = format!("{path}?snapshot={}", tag.trim_matches('"'));
    assert_eq!(Some(by_token.len()), total);
    assert_eq!(sha(&by_token), sha(&site.get("support-token", &snapshot).body));
}
