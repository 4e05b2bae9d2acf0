//! Keepers that are down, that end early, that say nothing, that refuse us.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tracecapture::gateway::options::{Limits, Options};

use crate::client::{Client, pause, wait_until};
use crate::raw;
use crate::site::{BASE, Captured, Site, cluster, options};

const BEARER: [(&str, &str); 1] = [("authorization", "Bearer support-token")];

/// Starts a gateway whose keeper answers every request with `answer`, and then closes, or stays silent.
fn beside(answer: String, stays: bool) -> (Site, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let web = format!("http://{}", listener.local_addr().unwrap());
    let n_asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&n_asked);
    thread::spawn(move || {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            counter.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
            if stays {
                open.push(stream);
            }
        }
    });
    let idle = Limits { idle: Duration::from_millis(300), ..options("").limits };
    let site = Site::start(cluster().0, Options { limits: idle, ..options(&web) });
    (site, n_asked)
}

/// Asks for a bundle; returns how many of the bytes that were announced arrived.
fn arrived(site: &Site) -> (usize, usize) {
    let started = raw::Client::new(&site.address, None).begin("GET", &format!("{BASE}/bundle.tar"), &BEARER);
    assert_eq!(started.status, 200);
    let len = started.header("content-length").parse().unwrap();
    (started.cut(2 * len).len(), len)
}

#[test]
fn a_keeper_that_is_down_is_a_503() {
    let site = Site::start(cluster().0, options("http://127.0.0.1:1"));
    let answer = site.ask("GET", &format!("{BASE}/bundle.tar"), &BEARER);
    assert_eq!((answer.problem(503).as_str(), answer.header("retry-after")), ("KeeperUnavailable", Some("5")));
    wait_until("the failure is counted", || site.metrics().contains("outcome=\"failed\"} 1"));
}

#[test]
fn a_stream_that_ends_early_is_never_taken_for_the_whole() {
    let part = "x".repeat(4 << 20);
    let (site, _) = beside(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{part}", 8 << 20), false);
    let (n, len) = arrived(&site);
    assert!(n <= part.len() && len == 8 << 20, "{n} of {len}");
    wait_until("the failure is counted", || site.metrics().contains("outcome=\"failed\""));
}

#[test]
fn a_keeper_that_falls_silent_is_given_up() {
    let (site, _) = beside("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nxxx".to_owned(), true);
    assert_eq!(arrived(&site), (3, 1000));
}

#[test]
fn a_keeper_that_is_slow_is_waited_for() {
    const TEXT: &str = "0123456789";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let web = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", TEXT.len()).as_bytes()).unwrap();
        for byte in TEXT.bytes() {
            // Within the limit of silence, and all together several times as long.
            (0..10).for_each(|_| pause());
            stream.write_all(&[byte]).unwrap();
        }
    });
    let limits = Limits { idle: Duration::from_millis(300), ..options("").limits };
    let site = Site::start(cluster().0, Options { limits, ..options(&web) });
    assert_eq!(site.ask("GET", &format!("{BASE}/bundle.tar"), &BEARER).text(), TEXT);
}

#[test]
fn a_client_that_takes_nothing_is_let_go() {
    // More than what sockets hold back.
    let part = "x".repeat(32 << 20);
    let (site, _) = beside(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{part}", part.len()), true);
    let started = raw::Client::new(&site.address, None).begin("GET", &format!("{BASE}/bundle.tar"), &BEARER);
    assert_eq!(started.status, 200);
    wait_until("it is let go", || site.metrics().contains("route=\"bundle\",outcome=\"cut\"} 1"));
    assert!(started.cut(part.len()).len() < part.len());
}

#[test]
fn headers_of_the_connection_and_of_the_keeper_stay_there() {
    let head = "HTTP/1.1 200 OK\r\nset-cookie: a=b\r\nserver: x\r\nkeep-alive: 5\r\nx-internal: 1\r\netag: \"t\"\r\n";
    let (site, _) = beside(format!("{head}content-length: 2\r\n\r\n{{}}"), false);
    let answer = site.ask("GET", BASE, &BEARER);
    assert_eq!((answer.status, answer.header("etag"), answer.text().as_str()), (200, Some("\"t\""), "{}"));
    for name in ["set-cookie", "server", "keep-alive", "x-internal"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

#[test]
fn a_keeper_that_refuses_the_gateway_is_no_fault_of_the_client() {
    for status in ["401 Unauthorized", "403 Forbidden", "421 Misdirected Request", "302 Found", "500 Oops"] {
        let (site, _) =
            beside(format!("HTTP/1.1 {status}\r\nlocation: http://evil.example\r\ncontent-length: 0\r\n\r\n"), false);
        let answer = site.ask("GET", BASE, &BEARER);
        assert_eq!((answer.problem(503).as_str(), answer.header("location")), ("KeeperRefuses", None), "{status}");
    }
    let off = "{\"reason\":\"DownloadsDisabled\"}";
    let (site, _) = beside(format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{off}", off.len()), false);
    assert_eq!(site.ask("GET", BASE, &BEARER).status, 403);
}

#[test]
fn a_key_that_was_made_anew_is_read_again() {
    let (api, key) = cluster();
    let captured = Captured::start(&api, key, 1);
    let (strange, real) = (cluster().0, api.get("secrets", crate::site::SYSTEM, "tracecapture-keys").unwrap());
    let uid = api.get("tracecaptures", "shop", "checkout").unwrap()["metadata"]["uid"].clone();
    assert_eq!(strange.get("tracecaptures", "shop", "checkout").unwrap()["metadata"]["uid"], uid);
    let site = Site::start(strange, options(&captured.web));
    assert_eq!(site.ask("GET", BASE, &BEARER).problem(503), "KeeperRefuses");
    site.api.put("secrets", real);
    site.clock.advance(11);
    assert_eq!(site.ask("GET", BASE, &BEARER).status, 200);
}

#[test]
fn who_waited_for_a_new_key_asks_again_with_it() {
    const N: usize = 4;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let web = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let accept = || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            stream
        };
        // All are signed with the old key before the first one is refused.
        let refused: Vec<_> = (0..N).map(|_| accept()).collect();
        for mut stream in refused {
            stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
        for _ in 0..N {
            accept().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        }
    });
    let site = Site::start(cluster().0, options(&web));
    site.api.put("secrets", cluster().0.get("secrets", crate::site::SYSTEM, "tracecapture-keys").unwrap());
    site.clock.advance(11);
    thread::scope(|scope| {
        let asked: Vec<_> = (0..N).map(|_| scope.spawn(|| site.ask("GET", BASE, &BEARER))).collect();
        for answer in asked {
            let answer = answer.join().unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    });
}

#[test]
fn one_user_leaves_places_to_others() {
    let (api, key) = cluster();
    // More than what sockets hold back, so that a stream that nobody reads goes on running.
    let captured = Captured::start(&api, key, 40);
    let site = Site::start(api, options(&captured.web));
    let bundle = format!("{BASE}/bundle.tar");
    let begin = |token: &str| {
        let mut client = Client::connect(&site.address).unwrap();
        client.begin(&format!("GET {bundle}"), &[("authorization", &format!("Bearer {token}"))], b"").unwrap();
        let head = client.head().unwrap();
        (client, head)
    };
    let mut running: Vec<_> = (0..16).map(|_| begin("support-token")).collect();
    assert!(running.iter().all(|(_, head)| head.status == 200));
    // Another token of theirs makes no other user of them.
    site.reviewer.know("second-token", "sam", None, Some(("tracecapture-support", "shop")));
    for token in ["support-token", "second-token"] {
        let (mut client, head) = begin(token);
        assert_eq!(head.status, 429, "{token}");
        let refused = client.body(head).unwrap();
        assert_eq!(
            (refused.problem(429).as_str(), refused.header("retry-after")),
            ("TooManyDownloadsOfUser", Some("5"))
        );
    }
    assert_eq!(begin("admin-token").1.status, 200);
    assert_eq!(site.get("support-token", BASE).status, 200, "what is small has places of its own");
    running.pop();
    wait_until("a place is free", || begin("support-token").1.status == 200);
}

#[test]
fn streams_are_bounded_altogether() {
    let (api, key) = cluster();
    let captured = Captured::start(&api, key, 30);
    let limits = Limits { streams: 2, ..options("").limits };
    let site = Site::start(api, Options { limits, ..options(&captured.web) });
    let begin = || {
        let mut client = Client::connect(&site.address).unwrap();
        client.begin(&format!("GET {BASE}/bundle.tar"), &BEARER, b"").unwrap();
        let head = client.head().unwrap();
        (client, head)
    };
    let running = [begin(), begin()];
    assert!(running.iter().all(|(_, head)| head.status == 200));
    let (mut client, head) = begin();
    assert_eq!(client.body(head).unwrap().problem(503), "TooManyDownloads");
    for path in [BASE.to_owned(), format!("{BASE}/chunks")] {
        assert_eq!(site.ask("GET", &path, &BEARER).status, 200, "what is small goes on: {path}");
    }
    drop(running);
    wait_until("a place is free", || begin().1.status == 200);
}
