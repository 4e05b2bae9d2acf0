//! An operator of named namespaces: one that is gone, and its roles with it, is that one's matter.

use serde_json::json;
use tracecapture::operator::options::{Options, Watched};

use crate::fake::{FakeApi, Fault, Verb};
use crate::site::{SHOP, Site, capture, minutes, named, options, pass};

const GONE: &str = "gone";

/// Starts an operator of two namespaces, of which one is forbidden, beside a capture in each.
fn start(watched: [&str; 2], hides_definition: bool) -> Site {
    let api = FakeApi::new();
    api.put("tracecaptures", capture(json!({})));
    let mut other = named("other", json!({}));
    other["metadata"]["namespace"] = json!(GONE);
    api.put("tracecaptures", other);
    let words = "it is forbidden: User \"operator\" cannot list it in the namespace \"gone\"";
    let is_hidden = move |asked: &Verb| {
        asked.target.namespace == GONE || hides_definition && asked.target.resource == "customresourcedefinitions"
    };
    api.fail(usize::MAX, Fault::Status(403, "Forbidden", words), is_hidden);
    let watched = Watched::Namespaces(watched.map(str::to_owned).to_vec());
    Site::with(api, Options { watched, ..options("operator-0") })
}

/// Checks that the namespace that is there is looked after, and the other one once it is back.
async fn check(watched: [&str; 2], hides_definition: bool) {
    let site = start(watched, hides_definition);
    pass(minutes(2)).await;
    assert!(site.has_children());
    assert_eq!((site.operator.admin().ready)(), Ok(()));
    let metrics = site.metrics();
    assert!(metrics.contains("watch_errors_total{kind=\"TraceCapture\"}"), "{metrics}");
    let is_there = |site: &Site| site.api.get("statefulsets", GONE, "other-collector").is_some();
    assert!(!is_there(&site));
    site.api.heal();
    pass(minutes(2)).await;
    assert!(is_there(&site), "it is tried again");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_gone_stops_no_other() {
    check([SHOP, GONE], false).await;
    check([GONE, SHOP], false).await;
}

#[tokio::test(start_paused = true)]
async fn any_namespace_shows_that_the_definition_is_there() {
    check([GONE, SHOP], true).await;
}

#[tokio::test(start_paused = true)]
async fn who_may_list_nothing_is_not_ready() {
    let site = start([GONE, GONE], false);
    pass(minutes(2)).await;
    let said = (site.operator.admin().ready)().unwrap_err();
    assert!(said.contains("in the namespace \"gone\""), "{said}");
    assert!(site.api.list("leases").is_empty(), "the lease is left to those who can work");
}
