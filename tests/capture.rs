//! `TraceCapture` objects: what is made of a valid one, and that no input makes reading it panic.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::prelude::*;
use tracecapture::api::{Quantity, State, TraceCapture, TraceCaptureSpec, ValidCapture, parse, validate};
use tracecapture::clock::Timestamp;
use tracecapture::ids::CaptureId;

const SAMPLE: &str = include_str!("../config/samples/every-field.yaml");

fn capture(spec: &str) -> ValidCapture {
    let text = format!(
        "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\nmetadata: {{name: checkout}}\nspec: {spec}\n"
    );
    parse(&text).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn the_defaults_are_valid_and_those_of_an_empty_spec() {
    let id = CaptureId::new("default", "checkout").unwrap();
    assert_eq!(ValidCapture::with_defaults(&id).unwrap(), capture("{}"));
}

#[test]
fn an_object_that_was_never_text_keeps_the_same_rules() {
    let mut object = TraceCapture::new("checkout", TraceCaptureSpec::default());
    object.spec.chunk.max_bytes = Quantity::Text("banana".to_owned());
    object.spec.receiver.grpc.port = 0;
    let faults = validate(&object).unwrap_err();
    let paths: Vec<&str> = faults.iter().map(|fault| &*fault.path).collect();
    assert_eq!(paths, ["spec.receiver.grpc.port", "spec.chunk.maxBytes"]);
    assert!(faults.iter().all(|fault| fault.line.is_none()));
}

#[test]
fn what_only_a_cluster_uses_is_named_where_it_was_set() {
    assert!(capture("{state: Stopped, collector: {replicas: 1}}").cluster_only().is_empty());
    let shared = capture("{collector: {replicas: 2}, storage: {claimName: shared}}");
    assert_eq!(shared.cluster_only(), ["spec.collector", "spec.storage"]);
    assert!(capture("{stopAfterSeconds: 60, download: {enabled: false}}").cluster_only().is_empty());
}

#[test]
fn an_object_read_back_from_a_cluster_is_valid() {
    let text = "apiVersion: tracecapture.dev/v1alpha1
kind: TraceCapture
metadata:
  name: checkout
  namespace: shop
  uid: 2b1b1a3e-7d3f-4a52-9b62-0d8f4b9d8f10
  resourceVersion: '17'
  generation: 2
  creationTimestamp: '2026-11-21T10:30:00Z'
  managedFields: [{manager: kubectl, operation: Apply}]
  labels: {app.kubernetes.io/name: checkout}
spec:
  state: Stopped
  stopAfterSeconds: 7200
status:
  observedGeneration: 2
  conditions: [{type: Ready, status: 'False', reason: Stopped, message: x, lastTransitionTime: '2026-11-21T10:31:00Z'}]
  ofAnotherVersion: {}
";
    let capture = parse(text).unwrap();
    assert_eq!(capture.origin().generation, Some(2));
    assert_eq!(capture.stop_time(time("2030-01-01T00:00:00Z")), Some(time("2026-11-21T12:30:00Z")));
    assert_eq!((capture.id().to_string().as_str(), capture.state()), ("shop/checkout", State::Stopped));
}

#[test]
fn a_capture_stops_at_the_earlier_of_two_times() {
    let (start, second) = (time("2026-11-21T10:30:00Z"), time("2026-11-21T10:30:01Z"));
    assert_eq!(capture("{}").stop_time(start), None);
    assert_eq!(capture("{stopAfterSeconds: 1}").stop_time(start), Some(second));
    assert_eq!(capture("{stopAfterSeconds: 1, endTime: 2026-11-21T10:30:00Z}").stop_time(start), Some(start));
    assert_eq!(capture("{stopAfterSeconds: 1, endTime: 2036-11-21T10:30:00Z}").stop_time(start), Some(second));
}

#[test]
fn every_sample_is_valid() {
    for sample in [
        SAMPLE,
        include_str!("../config/samples/minimal.yaml"),
        include_str!("../config/samples/production.yaml"),
        include_str!("../config/samples/shared-volume.yaml"),
        include_str!("../config/samples/two-hour-support.yaml"),
    ] {
        parse(sample).unwrap();
    }
}

#[test]
fn json_is_read_as_well() {
    let text = r#"{"apiVersion":"tracecapture.dev/v1alpha1","kind":"TraceCapture","metadata":{"name":"a"},"spec":{}}"#;
    assert_eq!(parse(text).unwrap().id().to_string(), "default/a");
}

proptest! {
    #[test]
    fn no_text_makes_reading_panic(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_edit_of_a_sample_makes_reading_panic(at in 0..SAMPLE.len(), cut in 0usize..40, put in "[ -~\n]{0,8}") {
        prop_assume!(SAMPLE.is_char_boundary(at));
        let end = (at + cut).min(SAMPLE.len());
        if let Err(faults) = parse(&format!("{}{put}{}", &SAMPLE[..at], &SAMPLE[end..])) {
            prop_assert!(!faults.is_empty());
        }
    }

    #[test]
    fn what_is_written_back_reads_the_same(replicas in 1i32..=64, age in 1i64..=604_800, chunk in 4096i64..=200_000_000) {
        let mut object = TraceCapture::new("a", TraceCaptureSpec::default());
        object.spec.collector.replicas = replicas;
        object.spec.storage.claim_name = Some("shared".to_owned());
        object.spec.chunk.max_age_seconds = age;
        object.spec.chunk.max_bytes = Quantity::Number(chunk);
        let text = serde_saphyr::to_string(&object).unwrap();
        let read = parse(&text).unwrap();
        prop_assert_eq!(read.spec(), &object.spec);
    }
}
