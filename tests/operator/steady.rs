//! What one capture becomes, and that nothing is written where nothing changed.

use serde_json::json;
use tracecapture::api::report::StorageHealth;

use crate::fake::Verb;
use crate::site::{CHILDREN, SHOP, Site, capture, minutes, pass, seconds};

/// Returns writes in words, for messages of failed tests.
fn words(writes: &[Verb]) -> Vec<String> {
    writes.iter().map(|verb| format!("{} {}/{}", verb.verb, verb.target.resource, verb.target.name)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_visit_makes_every_child_and_every_condition() {
    let site = Site::start([capture(json!({}))]);
    pass(seconds(5)).await;
    for (resource, name) in CHILDREN {
        assert!(site.api.get(resource, SHOP, name).is_some(), "{resource} {name}");
    }
    assert!(site.api.get("poddisruptionbudgets", SHOP, "checkout-collector").is_none());
    let status = site.api.get("tracecaptures", SHOP, "checkout").unwrap()["status"].clone();
    let conditions = status["conditions"].as_array().unwrap();
    assert_eq!(conditions.len(), 7, "{status}");
    assert!(conditions.iter().all(|condition| condition["observedGeneration"] == 1), "{status}");
    let claim = site.api.get("persistentvolumeclaims", SHOP, "checkout-chunks").unwrap();
    assert!(claim["metadata"]["ownerReferences"].is_null(), "the volume outlives the object");
    assert!((site.operator.admin().ready)().is_ok());
}

#[tokio::test(start_paused = true)]
async fn further_visits_write_nothing() {
    let site = Site::at_rest(capture(json!({}))).await;
    site.api.forget_verbs();
    pass(seconds(65)).await;
    assert!(site.api.verbs().iter().any(|verb| verb.is("get", "tracecaptures")), "it was visited");
    assert_eq!(words(&site.api.writes()), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_hour_writes_nothing() {
    let site = Site::at_rest(capture(json!({ "collector": { "replicas": 1 } }))).await;
    site.api.forget_verbs();
    pass(minutes(60)).await;
    assert!(site.api.verbs().len() > 100, "it was visited all the time");
    assert_eq!(words(&site.api.writes()), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn another_process_learns_by_one_round_that_changes_nothing() {
    let site = Site::at_rest(capture(json!({}))).await;
    let before: Vec<_> = CHILDREN.iter().map(|(resource, name)| site.api.get(resource, SHOP, name)).collect();
    assert!(site.operator.stop().await);
    site.api.forget_verbs();
    let site = Site::with(site.api, crate::site::options("operator-1"));
    pass(minutes(2)).await;
    let after: Vec<_> = CHILDREN.iter().map(|(resource, name)| site.api.get(resource, SHOP, name)).collect();
    assert_eq!(before, after);
    let applies = site.api.writes().iter().filter(|verb| verb.verb == "patch").count();
    assert_eq!(applies, CHILDREN.len(), "{:?}", words(&site.api.writes()));
}

#[tokio::test(start_paused = true)]
async fn drift_is_repaired_and_fields_of_others_survive() {
    let site = Site::at_rest(capture(json!({}))).await;
    site.api.edit("services", SHOP, "checkout-otlp", |service| {
        service["spec"]["ports"] = json!([{ "name": "wrong", "port": 1 }]);
        service["metadata"]["annotations"]["mesh.example.com/inject"] = json!("true");
    });
    site.api.delete("configmaps", SHOP, "checkout-settings");
    pass(seconds(2)).await;
    let service = site.api.get("services", SHOP, "checkout-otlp").unwrap();
    assert_eq!(service["spec"]["ports"][0]["port"], 4317, "{service}");
    assert_eq!(service["metadata"]["annotations"]["mesh.example.com/inject"], "true");
    assert!(site.has_children());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_asked_for_any_more_is_deleted() {
    let shared = json!({ "collector": { "replicas": 2 }, "storage": { "accessModes": ["ReadWriteMany"] } });
    let site = Site::at_rest(capture(shared)).await;
    assert!(site.api.get("poddisruptionbudgets", SHOP, "checkout-collector").is_some());
    site.api.edit("tracecaptures", SHOP, "checkout", |capture| capture["spec"]["collector"]["replicas"] = json!(1));
    pass(seconds(2)).await;
    assert!(site.api.get("poddisruptionbudgets", SHOP, "checkout-collector").is_none());
    assert_eq!(site.api.get("statefulsets", SHOP, "checkout-collector").unwrap()["spec"]["replicas"], 1);
    assert!(site.has_children());
}

#[tokio::test(start_paused = true)]
async fn a_changed_spec_changes_the_settings_and_no_pod() {
    let site = Site::at_rest(capture(json!({}))).await;
    let generation = |site: &Site| {
        site.api.get("statefulsets", SHOP, "checkout-collector").unwrap()["metadata"]["generation"].clone()
    };
    let before = generation(&site);
    site.api.edit("tracecaptures", SHOP, "checkout", |capture| capture["spec"]["state"] = json!("Stopped"));
    pass(seconds(2)).await;
    let settings = site.api.get("configmaps", SHOP, "checkout-settings").unwrap();
    assert!(settings["data"]["capture.yaml"].as_str().unwrap().contains("Stopped"), "{settings}");
    assert_eq!(generation(&site), before);
}

#[tokio::test(start_paused = true)]
async fn while_paused_nothing_is_repaired_and_the_status_says_so() {
    let site = Site::at_rest(capture(json!({}))).await;
    site.api.edit("tracecaptures", SHOP, "checkout", |capture| {
        // As `kubectl annotate … tracecapture.dev/paused=` writes it.
        capture["metadata"]["annotations"] = json!({ "tracecapture.dev/paused": "" });
    });
    pass(seconds(2)).await;
    site.api.delete("configmaps", SHOP, "checkout-settings");
    pass(minutes(2)).await;
    assert!(site.api.get("configmaps", SHOP, "checkout-settings").is_none());
    let said = site.api.get("tracecaptures", SHOP, "checkout").unwrap()["status"].to_string();
    assert!(said.contains("Paused") || said.contains("paused"), "{said}");
    site.api.edit("tracecaptures", SHOP, "checkout", |capture| {
        capture["metadata"]["annotations"] = json!({ "tracecapture.dev/paused": "false" });
    });
    pass(seconds(2)).await;
    assert!(site.has_children());
}

#[tokio::test(start_paused = true)]
async fn a_capture_that_stops_by_itself_is_told_when_it_does() {
    // The test's clock begins at noon; the third visit would be at 12:01:30 and a little.
    let site = Site::start([capture(json!({ "endTime": "2026-11-21T12:01:10Z" }))]);
    pass(seconds(65)).await;
    assert_eq!(site.condition("checkout", "Completed").1, "Running");
    pass(seconds(10)).await;
    let (status, reason, _) = site.condition("checkout", "Completed");
    assert_eq!((&*status, &*reason), ("True", "TimeReached"));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_news_makes_no_event() {
    let site = Site::at_rest(capture(json!({}))).await;
    let told: Vec<String> =
        site.api.list("events").iter().map(|event| event["reason"].as_str().unwrap().to_owned()).collect();
    assert!(told.contains(&"Receiving".to_owned()), "{told:?}");
    for quiet in ["Unlimited", "Running", "Progressing", "Pending", "NoPublicAddress"] {
        assert!(!told.contains(&quiet.to_owned()), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_volume_grows_while_pods_are_not_ready_and_never_shrinks() {
    let site = Site::at_rest(capture(json!({ "storage": { "size": "2Gi" } }))).await;
    site.api.edit("statefulsets", SHOP, "checkout-collector", |set| set["status"]["readyReplicas"] = json!(0));
    site.api.edit("tracecaptures", SHOP, "checkout", |capture| capture["spec"]["storage"]["size"] = json!("3Gi"));
    pass(seconds(2)).await;
    let claimed = |site: &Site| {
        let claim = site.api.get("persistentvolumeclaims", SHOP, "checkout-chunks").unwrap();
        claim["spec"]["resources"]["requests"]["storage"].as_str().unwrap().to_owned()
    };
    assert_eq!(claimed(&site), "3Gi");
    site.api.edit("tracecaptures", SHOP, "checkout", |capture| capture["spec"]["storage"]["size"] = json!("1Gi"));
    pass(seconds(2)).await;
    assert_eq!(claimed(&site), "3Gi");
}

#[tokio::test(start_paused = true)]
async fn a_set_whose_fixed_fields_differ_is_made_anew_and_keeps_its_pods() {
    let site = Site::at_rest(capture(json!({}))).await;
    let uid =
        |site: &Site| site.api.get("statefulsets", SHOP, "checkout-collector").unwrap()["metadata"]["uid"].clone();
    let before = uid(&site);
    let pod = site.api.get("pods", SHOP, "checkout-collector-0").unwrap()["metadata"]["uid"].clone();
    site.api.edit("statefulsets", SHOP, "checkout-collector", |set| set["spec"]["serviceName"] = json!("other"));
    pass(minutes(1)).await;
    assert_ne!(uid(&site), before);
    let set = site.api.get("statefulsets", SHOP, "checkout-collector").unwrap();
    assert_eq!(set["spec"]["serviceName"], "checkout-collector");
    assert_eq!(site.api.get("pods", SHOP, "checkout-collector-0").unwrap()["metadata"]["uid"], pod);
}

#[tokio::test(start_paused = true)]
async fn an_object_of_somebody_else_is_left_alone() {
    let site = Site::start([]);
    site.api.put(
        "services",
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "checkout-otlp", "namespace": SHOP },
            "spec": { "ports": [{ "port": 80 }] },
        }),
    );
    site.api.put("tracecaptures", capture(json!({})));
    pass(seconds(5)).await;
    let service = site.api.get("services", SHOP, "checkout-otlp").unwrap();
    assert_eq!(service["spec"]["ports"], json!([{ "port": 80 }]));
    let status = site.api.get("tracecaptures", SHOP, "checkout").unwrap()["status"].to_string();
    assert!(status.contains("ApplyFailed") && status.contains("checkout-otlp"), "{status}");
}

#[tokio::test(start_paused = true)]
async fn a_transition_is_told_once() {
    let site = Site::at_rest(capture(json!({}))).await;
    let of = |site: &Site, reason: &str| {
        let events = site.api.list("events");
        events.iter().filter(|event| event["reason"] == reason).count()
    };
    assert_eq!(of(&site, "Receiving"), 1, "{:?}", site.api.list("events"));
    let full = StorageHealth::Full { message: "no space left on device".to_owned() };
    site.reports.0.lock().unwrap().health.storage = full;
    pass(minutes(10)).await;
    assert_eq!(of(&site, "VolumeFull"), 1, "{:?}", site.api.list("events"));
    let (status, reason, _) = site.condition("checkout", "Ready");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "VolumeFull"));
}

#[tokio::test(start_paused = true)]
async fn figures_that_move_all_the_time_are_published_once_a_minute() {
    let site = Site::at_rest(capture(json!({}))).await;
    site.api.forget_verbs();
    for n in 1..=40 {
        site.reports.0.lock().unwrap().storage.used_bytes = n * 10_000_000;
        pass(seconds(15)).await;
    }
    let writes = site.api.writes();
    assert!((8..=10).contains(&writes.len()), "in ten minutes: {:?}", words(&writes));
    assert!(writes.iter().all(|verb| verb.target.subresource == "status"), "{:?}", words(&writes));
}
