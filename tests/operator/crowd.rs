//! A thousand captures.

use serde_json::json;

use crate::site::{SHOP, Site, named, pass, seconds};

const N_CAPTURES: usize = 1000;

#[tokio::test(start_paused = true)]
async fn a_thousand_captures_come_to_rest_and_then_cost_no_write() {
    let clock = tracecapture::clock::SystemClock::new();
    let monotonic = || tracecapture::clock::Clock::monotonic(&clock);
    let site = Site::start((0..N_CAPTURES).map(|n| named(&format!("c-{n}"), json!({}))));
    pass(seconds(20)).await;
    assert_eq!(site.api.list("statefulsets").len(), N_CAPTURES);
    for n in 0..N_CAPTURES {
        site.api.settle(SHOP, &format!("c-{n}"));
    }
    // Figures are published a minute after the status before them.
    pass(seconds(95)).await;
    let made = monotonic();
    site.api.forget_verbs();
    pass(seconds(35)).await;
    let visits = site.api.verbs().iter().filter(|verb| verb.is("get", "tracecaptures")).count();
    assert_eq!(site.api.writes(), []);
    assert!(visits >= N_CAPTURES, "{visits}");
    assert!(site.metrics().contains(&format!("tracecapture_operator_captures {N_CAPTURES}")));
    let steady = monotonic().saturating_sub(made);
    println!(
        "{N_CAPTURES} captures made in {made:?}; then {visits} visits in {steady:?}, debug build, server included"
    );
}
