//! The gateway under exactly the rules of `config/rbac`: none is missing, none is never used.

use serde_json::json;
use tracecapture::gateway::options::Options;
use tracecapture::installation::Watched;

use crate::fake::{FakeApi, Rules};
use crate::site::{BASE, Site, capture, options};

fn check(rules: &str, watched: Watched) {
    let api = FakeApi::new();
    api.put("tracecaptures", capture("shop", "checkout"));
    api.enforce(Rules::parse(rules));
    let options = Options { watched, ..options("http://127.0.0.1:1") };
    let site = Site::start(api, options.clone());
    let link = site.link(&json!({}));
    assert_eq!(site.ask("GET", link["path"].as_str().unwrap(), &[]).status, 200);
    site.link(&json!({}));
    assert_eq!(site.get("support-token", BASE).problem(503), "KeeperUnavailable");
    assert_eq!(site.api.unused_grants(), Vec::<String>::new());
    // Both Secrets were made, and a second gateway takes what is there.
    let keys = |api: &FakeApi| api.list("secrets").iter().map(|secret| secret["data"].clone()).collect::<Vec<_>>();
    let made = keys(&site.api);
    assert_eq!(made.len(), 2);
    let second = Site::start(site.api.clone(), options);
    assert_eq!(second.ask("GET", link["path"].as_str().unwrap(), &[]).status, 200);
    assert_eq!(keys(&site.api), made);
}

#[test]
fn every_namespace_takes_exactly_the_cluster_role() {
    check(include_str!("../../config/rbac/gateway-cluster.yaml"), Watched::All);
}

#[test]
fn named_namespaces_take_exactly_their_roles() {
    let watched = Watched::Namespaces(vec!["shop".to_owned()]);
    check(include_str!("../../config/rbac/gateway-namespaced.yaml"), watched);
}
