//! Clients that take nothing of their downloads cost the others nothing.

use crate::client::{Client, Started};
use crate::site::{BUNDLE, Site};

/// As many as a gateway may be asked to pass on to one keeper.
const SLOW: usize = 200;

/// What one of them may cost at most, in KiB.
const KIB_EACH: u64 = 512;

fn downloads_running(web: &Client) -> usize {
    let metrics = String::from_utf8(web.get("/metrics", &[]).body).unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix("tracecapture_web_downloads_running "));
    line.unwrap().parse().unwrap()
}

#[test]
fn many_slow_readers_leave_others_their_downloads() {
    let site = Site::start("{chunk: {maxBytes: 2Mi}, retention: {maxBytes: 1G}}");
    site.fill(5);
    let web = site.web();
    let first = web.get(BUNDLE, &[]);
    let location = first.header("content-location").to_owned();
    let before = site.run().peak_kib();
    let slow: Vec<Started> = (0..SLOW).map(|_| web.begin("GET", &location, &[])).collect();
    assert!(slow.iter().all(|started| started.status == 200));
    let another = web.get(&location, &[]);
    assert_eq!((another.status, another.body == first.body), (200, true));
    // The bundle is larger than what the sockets hold, so none of them is through.
    assert_eq!(downloads_running(&web), SLOW);
    let grown = site.run().peak_kib() - before;
    println!("{} KiB for each slow reader", grown / SLOW as u64);
    assert!(grown < KIB_EACH * SLOW as u64, "{grown} KiB");
    // Whoever was slow gets the same, once it takes it.
    for started in slow.into_iter().take(3) {
        assert!(started.finish().body == first.body);
    }
}
