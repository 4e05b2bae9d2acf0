//! What an event makes of the index, and of the queue.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::*;

const CAPTURES: Source = Source { scope: 0, children: None };
const MAPS: Source = Source { scope: 0, children: Some(Kind::ConfigMap) };

fn id(name: &str) -> CaptureId {
    CaptureId::new("shop", name).unwrap()
}

fn capture(name: &str, minute: u8, version: i64, claim: Option<&str>) -> DeserializeGuard<TraceCapture> {
    let storage = claim.map_or(json!({}), |claim| json!({ "claimName": claim, "subPath": "/a/" }));
    serde_json::from_value(json!({
        "apiVersion": "tracecapture.dev/v1alpha1",
        "kind": "TraceCapture",
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("u-{name}"), "generation": version,
            "resourceVersion": format!("{version}"), "creationTimestamp": format!("2026-11-21T10:{minute:02}:00Z"),
        },
        "spec": { "storage": storage },
    }))
    .unwrap()
}

fn below(name: &str, minute: u8, sub_path: &str) -> DeserializeGuard<TraceCapture> {
    let mut guard = capture(name, minute, 1, Some("c"));
    let storage = &mut guard.0.as_mut().unwrap().spec.storage;
    storage.sub_path = Some(sub_path.to_owned()).filter(|path| !path.is_empty());
    guard
}

/// Checks whether two directories of one claim are taken for the same or for nested ones.
fn check_shared(first: &str, second: &str, is_shared: bool) {
    for (early, late) in [(first, second), (second, first)] {
        let index = with(&[below("early", 1, early), below("late", 2, late)]);
        assert_eq!(index.sharers(&id("late")).len(), usize::from(is_shared), "`{early}` and `{late}`");
    }
}

fn child(capture: &str, version: &str) -> PartialObjectMeta<ConfigMap> {
    serde_json::from_value(json!({
        "metadata": {
            "name": "settings", "namespace": "shop", "uid": "u-map", "resourceVersion": version,
            "labels": { CAPTURE_LABEL: capture },
        },
    }))
    .unwrap()
}

fn with(captures: &[DeserializeGuard<TraceCapture>]) -> Index {
    let mut index = Index::default();
    for capture in captures {
        index.apply_capture(CAPTURES, Event::Apply(capture.clone()));
    }
    index
}

#[test]
fn a_change_of_the_status_alone_is_no_reason_to_visit() {
    let mut index = with(&[capture("a", 0, 1, None)]);
    assert_eq!(index.apply_capture(CAPTURES, Event::Apply(capture("a", 0, 1, None))), Effects::default());
    assert_eq!(index.apply_capture(CAPTURES, Event::Apply(capture("a", 0, 2, None))).visit, [id("a")]);
}

#[test]
fn a_list_tells_who_is_gone() {
    let mut index = with(&[capture("a", 0, 1, None), capture("b", 1, 1, None)]);
    index.apply_capture(CAPTURES, Event::Init);
    index.apply_capture(CAPTURES, Event::InitApply(capture("b", 1, 1, None)));
    let effects = index.apply_capture(CAPTURES, Event::InitDone);
    assert_eq!(effects.gone, [(id("a"), "u-a".to_owned())]);
    assert_eq!(index.captures().collect::<Vec<_>>(), [&id("b")]);
}

#[test]
fn a_child_that_a_list_lacks_is_known_as_deleted() {
    let mut index = with(&[capture("a", 0, 1, None)]);
    assert_eq!(index.apply_child(MAPS, Kind::ConfigMap, &Event::Apply(child("a", "5"))).visit, [id("a")]);
    assert_eq!(index.apply_child(MAPS, Kind::ConfigMap, &Event::Apply(child("a", "5"))).visit, []);
    index.apply_child(MAPS, Kind::ConfigMap, &Event::<PartialObjectMeta<ConfigMap>>::Init);
    let effects = index.apply_child(MAPS, Kind::ConfigMap, &Event::<PartialObjectMeta<ConfigMap>>::InitDone);
    assert_eq!(effects.visit, [id("a")]);
    assert!(index.children(&id("a")).values().all(|seen| !seen.is_present));
}

#[test]
fn children_of_unknown_captures_are_nobodys_business() {
    let mut index = with(&[]);
    assert_eq!(index.apply_child(MAPS, Kind::ConfigMap, &Event::Apply(child("a", "5"))), Effects::default());
}

#[test]
fn who_came_first_keeps_the_directory_until_it_is_gone() {
    let mut index = with(&[
        capture("late", 2, 1, Some("c")),
        capture("early", 1, 1, Some("c")),
        capture("other", 0, 1, Some("d")),
        capture("own", 0, 1, None),
    ]);
    assert_eq!(index.sharers(&id("late")), [id("early")]);
    for name in ["early", "other", "own"] {
        assert_eq!(index.sharers(&id(name)), [], "{name}");
    }
    let effects = index.apply_capture(CAPTURES, Event::Delete(capture("early", 1, 1, Some("c"))));
    assert_eq!((effects.visit, index.sharers(&id("late"))), (vec![id("late")], vec![]));
}

#[test]
fn a_directory_is_the_same_however_it_is_written() {
    for other in ["a", "./a", "a/", "a//", "/a", "a/.", "././a"] {
        check_shared("a", other, true);
    }
    for root in ["", ".", "./", "/"] {
        check_shared(root, "", true);
    }
    check_shared("a", "b", false);
    check_shared("a", "ab", false);
    check_shared("a/b", "a/c", false);
}

#[test]
fn a_directory_within_another_is_no_place_of_its_own() {
    check_shared("", "a", true);
    check_shared("a", "a/b", true);
    check_shared("a/b", "./a//b/c/", true);
    let mut index = with(&[below("root", 1, ""), below("nested", 2, "x/y")]);
    assert_eq!(index.sharers(&id("nested")), [id("root")]);
    let effects = index.apply_capture(CAPTURES, Event::Delete(below("root", 1, "")));
    assert_eq!(effects.visit, [id("nested")]);
}
