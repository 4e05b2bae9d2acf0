//! Bad days of the API server: each is survived, and told.

use serde_json::json;
use tracecapture::operator::options::{Options, Watched};

use crate::fake::{FakeApi, Fault};
use crate::site::{CHILDREN, SHOP, Site, capture, minutes, options, pass, seconds};

/// As often as it is asked.
const ALWAYS: usize = usize::MAX;

fn refused(code: u16, reason: &'static str) -> Fault {
    Fault::Status(code, reason, "as the test wants it")
}

/// Checks that children come to be although some of the requests fail.
async fn check(times: usize, fault: Fault, verb: &'static str, resource: &'static str) {
    let api = FakeApi::new();
    api.put("tracecaptures", capture(json!({})));
    api.fail(times, fault.clone(), move |asked| asked.is(verb, resource));
    let site = Site::with(api, options("operator-0"));
    pass(minutes(6)).await;
    assert!(site.has_children(), "{fault:?} of {verb} {resource}");
    assert!((site.operator.admin().live)().is_ok());
}

#[tokio::test(start_paused = true)]
async fn passing_refusals_are_survived() {
    for fault in
        [refused(409, "Conflict"), refused(429, "TooManyRequests"), refused(500, "InternalError"), Fault::Stall]
    {
        check(2, fault.clone(), "patch", "statefulsets").await;
        check(2, fault.clone(), "get", "tracecaptures").await;
        check(2, fault.clone(), "list", "tracecaptures").await;
        check(2, fault.clone(), "watch", "configmaps").await;
        check(2, fault.clone(), "create", "secrets").await;
        check(2, fault, "get", "customresourcedefinitions").await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_ten_minutes_is_survived() {
    let site = Site::at_rest(capture(json!({}))).await;
    site.api.fail(ALWAYS, refused(503, "ServiceUnavailable"), |_| true);
    site.api.delete("configmaps", SHOP, "checkout-settings");
    pass(minutes(10)).await;
    assert!((site.operator.admin().live)().is_ok());
    site.api.heal();
    pass(minutes(6)).await;
    assert!(site.has_children());
}

#[tokio::test(start_paused = true)]
async fn what_came_during_an_outage_is_seen_within_seconds_of_its_end() {
    let api = FakeApi::new();
    // Several watches: one of them alone might begin again by chance.
    let namespaces: Vec<_> = (0..8).map(|n| format!("shop-{n}")).collect();
    let watched = Watched::Namespaces(namespaces.clone());
    let site = Site::with(api, Options { watched, ..options("operator-0") });
    pass(minutes(1)).await;
    // Watches that run end after five minutes.
    site.api.fail(ALWAYS, refused(503, "ServiceUnavailable"), |asked| asked.verb == "watch");
    pass(minutes(8)).await;
    for namespace in &namespaces {
        let mut capture = capture(json!({}));
        capture["metadata"]["namespace"] = json!(namespace);
        site.api.put("tracecaptures", capture);
    }
    site.api.heal();
    pass(seconds(12)).await;
    let made = namespaces.iter().filter(|name| site.api.get("statefulsets", name, "checkout-collector").is_some());
    assert_eq!(made.count(), namespaces.len());
}

#[tokio::test(start_paused = true)]
async fn a_history_that_is_gone_is_read_anew() {
    let site = Site::at_rest(capture(json!({}))).await;
    site.api.compact();
    site.api.delete("configmaps", SHOP, "checkout-settings");
    pass(minutes(2)).await;
    assert!(site.has_children());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_goes_silent_is_given_up() {
    let api = FakeApi::new();
    api.put("tracecaptures", capture(json!({})));
    api.fail(1, Fault::Mute, |asked| asked.is("watch", "configmaps"));
    let site = Site::with(api, options("operator-0"));
    pass(seconds(10)).await;
    assert!(site.has_children());
    site.api.delete("configmaps", SHOP, "checkout-settings");
    pass(minutes(6)).await;
    assert!(site.has_children());
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_a_condition_and_spares_the_rest() {
    let api = FakeApi::new();
    api.put("tracecaptures", capture(json!({})));
    // Admission answers with the same code: the words tell.
    let words = "networkpolicies is forbidden: User \"operator\" cannot patch resource \"networkpolicies\"";
    api.fail(ALWAYS, Fault::Status(403, "Forbidden", words), |asked| asked.is("patch", "networkpolicies"));
    let site = Site::with(api, options("operator-0"));
    pass(seconds(5)).await;
    let (status, reason, message) = site.condition("checkout", "ReceiversReady");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Forbidden"), "{message}");
    assert!(message.contains("NetworkPolicy"), "{message}");
    let made = CHILDREN.iter().filter(|(resource, name)| site.api.get(resource, SHOP, name).is_some());
    assert_eq!(made.count(), CHILDREN.len() - 1);
    assert!(site.metrics().contains("reconcile_errors_total{error=\"Forbidden\"} 1"), "{}", site.metrics());
    site.api.forget_verbs();
    pass(minutes(4)).await;
    assert_eq!(site.api.writes(), [], "what is refused for good is not asked for all the time");
    site.api.heal();
    pass(minutes(5)).await;
    assert!(site.has_children());
}

#[tokio::test(start_paused = true)]
async fn who_may_not_look_says_so_and_looks_again() {
    let api = FakeApi::new();
    api.put("tracecaptures", capture(json!({})));
    let words = "persistentvolumeclaims is forbidden: User \"operator\" cannot get resource \"persistentvolumeclaims\"";
    api.fail(ALWAYS, Fault::Status(403, "Forbidden", words), |asked| asked.is("get", "persistentvolumeclaims"));
    let site = Site::with(api, options("operator-0"));
    pass(minutes(1)).await;
    let (status, reason, message) = site.condition("checkout", "Ready");
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "Forbidden"), "{message}");
    assert!(message.contains("persistentvolumeclaims"), "{message}");
    site.api.heal();
    pass(minutes(1)).await;
    assert!(site.has_children(), "it looks again as often as it always does");
    assert_ne!(site.condition("checkout", "Ready").1, "Forbidden");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_cannot_be_watched_is_a_condition() {
    let api = FakeApi::new();
    api.put("tracecaptures", capture(json!({})));
    api.fail(ALWAYS, refused(403, "Forbidden"), |asked| asked.is("list", "services"));
    let site = Site::with(api, options("operator-0"));
    pass(minutes(1)).await;
    assert!(site.has_children());
    let (_, reason, message) = site.condition("checkout", "ReceiversReady");
    assert_eq!(reason, "Forbidden", "{message}");
    assert!(message.contains("cannot watch Service"), "{message}");
    site.api.heal();
    pass(minutes(5)).await;
    let (_, reason, message) = site.condition("checkout", "ReceiversReady");
    assert_ne!(reason, "Forbidden", "{message}");
}

#[tokio::test(start_paused = true)]
async fn without_the_definition_it_waits_and_says_so() {
    let api = FakeApi::new();
    let definition = api.get("customresourcedefinitions", "", "tracecaptures.tracecapture.dev").unwrap();
    api.delete("customresourcedefinitions", "", "tracecaptures.tracecapture.dev");
    api.put("tracecaptures", capture(json!({})));
    let site = Site::with(api, options("operator-0"));
    pass(seconds(30)).await;
    let said = (site.operator.admin().ready)().unwrap_err();
    assert!(said.contains("tracecapture crd"), "{said}");
    let mut older = definition.clone();
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    older.pointer_mut(spec).unwrap().as_object_mut().unwrap().remove("recovery");
    site.api.put("customresourcedefinitions", older);
    pass(seconds(30)).await;
    let said = (site.operator.admin().ready)().unwrap_err();
    assert!(said.contains("spec.recovery"), "{said}");
    assert!(!site.has_children());
    site.api.put("customresourcedefinitions", definition);
    pass(seconds(30)).await;
    assert_eq!((site.operator.admin().ready)(), Ok(()));
    assert!(site.has_children());
}
