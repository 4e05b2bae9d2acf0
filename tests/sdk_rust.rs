//! The OpenTelemetry SDK for Rust as a client: what it exports is what `cat` prints.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, KeyValue, StringValue, Value};
use opentelemetry_otlp::{Compression, SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::json;

use support::Run;

const N_SPANS: i64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_the_rust_sdk_arrive_with_every_attribute() {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let run = Run::start(&["--data-dir", data_dir.to_str().unwrap()]);
    let provider = provider(run.grpc());
    let sent = tokio::task::spawn_blocking(move || {
        let sent = send(&provider);
        provider.force_flush().unwrap();
        provider.shutdown().unwrap();
        sent
    });
    let sent = sent.await.unwrap();
    assert!(run.terminate().success());

    let found = spans(&data_dir);
    assert_eq!(found.len(), sent.len());
    for (id, (number, context)) in &sent {
        check_span(&found[id], *number, context);
    }
}

/// A provider with a batch exporter over gRPC, requests compressed.
fn provider(endpoint: &str) -> SdkTracerProvider {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_compression(Compression::Gzip)
        .build()
        .unwrap();
    let resource = Resource::builder().with_service_name("checkout").build();
    SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()
}

/// Makes a root span and its children; returns them by span id, with the number that each carries.
fn send(provider: &SdkTracerProvider) -> BTreeMap<String, (i64, SpanContext)> {
    let tracer = provider.tracer("tests");
    let mut sent = BTreeMap::new();
    for number in 0..N_SPANS {
        let mut span = tracer.span_builder("charge").with_kind(SpanKind::Client).start(&tracer);
        for attribute in attributes(number) {
            span.set_attribute(attribute);
        }
        span.add_event("retry", vec![KeyValue::new("attempt", number)]);
        span.set_status(Status::error("card \"declined\" \u{1f4b3}"));
        let context = span.span_context().clone();
        sent.insert(context.span_id().to_string(), (number, context.clone()));
        let parent = Context::new().with_remote_span_context(context);
        let child = tracer.start_with_context("child", &parent);
        sent.insert(child.span_context().span_id().to_string(), (-1, child.span_context().clone()));
        drop((span, child));
    }
    sent
}

fn attributes(number: i64) -> Vec<KeyValue> {
    let strings = vec![StringValue::from("a"), StringValue::from("")];
    vec![
        KeyValue::new("text", "grüße\n\u{7}\u{2028}"),
        KeyValue::new("integer", i64::MIN + number),
        KeyValue::new("double", 0.1),
        KeyValue::new("infinite", f64::NEG_INFINITY),
        KeyValue::new("bool", true),
        KeyValue::new("strings", Value::Array(Array::String(strings))),
        KeyValue::new("integers", Value::Array(Array::I64(vec![i64::MAX, 0]))),
    ]
}

/// Compares one span as it stands in the archive with what was sent.
fn check_span(span: &serde_json::Value, number: i64, context: &SpanContext) {
    assert_eq!(span["traceId"], context.trace_id().to_string());
    if number < 0 {
        assert_eq!(span["name"], "child");
        assert!(span["parentSpanId"].is_string());
        return;
    }
    assert_eq!((&span["name"], &span["kind"]), (&json!("charge"), &json!(3)));
    let expected = json!([
        {"key": "text", "value": {"stringValue": "grüße\n\u{7}\u{2028}"}},
        {"key": "integer", "value": {"intValue": (i64::MIN + number).to_string()}},
        {"key": "double", "value": {"doubleValue": 0.1}},
        {"key": "infinite", "value": {"doubleValue": "-Infinity"}},
        {"key": "bool", "value": {"boolValue": true}},
        {"key": "strings", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"stringValue": ""}]}}},
        {"key": "integers", "value": {"arrayValue": {"values": [{"intValue": i64::MAX.to_string()}, {"intValue": "0"}]}}},
    ]);
    assert_eq!(span["attributes"], expected);
    assert_eq!(span["events"][0]["name"], "retry");
    assert_eq!(span["events"][0]["attributes"][0]["value"]["intValue"], number.to_string());
    assert_eq!(span["status"], json!({"code": 2, "message": "card \"declined\" \u{1f4b3}"}));
}

/// Reads every span of the service out of an archive, by span id.
fn spans(data_dir: &Path) -> BTreeMap<String, serde_json::Value> {
    let cat = support::output(&["cat", data_dir.to_str().unwrap(), "--service", "checkout"]);
    assert!(cat.status.success(), "{}", String::from_utf8_lossy(&cat.stderr));
    let mut spans = BTreeMap::new();
    for line in String::from_utf8(cat.stdout).unwrap().lines() {
        let data: serde_json::Value = serde_json::from_str(line).unwrap();
        for resource in data["resourceSpans"].as_array().unwrap() {
            for scope in resource["scopeSpans"].as_array().unwrap() {
                for span in scope["spans"].as_array().unwrap() {
                    spans.insert(span["spanId"].as_str().unwrap().to_owned(), span.clone());
                }
            }
        }
    }
    spans
}
