//! Protobuf bodies: what is stored of them.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Kind};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use prost::Message;
use serde_json::{Value, json};

use crate::http_client::post_protobuf;
use crate::samples::{request, span, trace_id};
use crate::target::Target;

/// Sends a body whose only span is stored, and compares what stands at `pointer` of it (`null`: nothing).
fn check_stored(body: &[u8], trace_id: &str, pointer: &str, expected: &Value) {
    let target = Target::shared();
    let answer = post_protobuf(&[], body);
    assert_eq!(answer.status, 200, "{:?}", String::from_utf8_lossy(&answer.body));
    if let Some(line) = target.stored_line(trace_id) {
        let stored = line.pointer(&format!("/resourceSpans/0/scopeSpans/0/spans/0{pointer}"));
        assert_eq!(stored.unwrap_or(&Value::Null), expected, "{pointer} of {line}");
    }
}

fn check(span: Span, pointer: &str, expected: &Value) {
    let trace_id = format!("{:032x}", u128::from_be_bytes(span.trace_id[..].try_into().unwrap()));
    check_stored(&request(vec![span]).encode_to_vec(), &trace_id, pointer, expected);
}

/// A length-delimited field.
fn field(number: u8, payload: &[u8]) -> Vec<u8> {
    assert!(number < 16 && payload.len() < 128);
    [&[number << 3 | 2, u8::try_from(payload.len()).unwrap()], payload].concat()
}

/// A request with one span of these bytes.
fn wrapped(span: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, span)))
}

/// The bytes of a span with its ids and nothing else.
fn bare_span(trace_id: &str) -> Vec<u8> {
    [field(1, &crate::samples::unhex(trace_id)), field(2, &[1, 2, 3, 4, 5, 6, 7, 8])].concat()
}

#[test]
fn r25_times_are_stored_as_strings() {
    check(span(&trace_id()), "/endTimeUnixNano", &json!("1795257045000000002"));
}

#[test]
fn r27_doubles_are_stored_as_the_mapping_says() {
    for (number, stored) in
        [(f64::NAN, json!("NaN")), (f64::NEG_INFINITY, json!("-Infinity")), (0.1, json!(0.1)), (-0.0, json!(-0.0))]
    {
        let value = Some(AnyValue { value: Some(Kind::DoubleValue(number)) });
        let attributes = vec![KeyValue { key: "k".to_owned(), value, ..KeyValue::default() }];
        check(Span { attributes, ..span(&trace_id()) }, "/attributes/0/value/doubleValue", &stored);
    }
}

#[test]
fn r29_defaults_are_not_stored() {
    let plain = Span { kind: 0, ..span(&trace_id()) };
    for absent in ["/kind", "/attributes", "/events", "/status", "/traceState", "/flags", "/parentSpanId"] {
        check(Span { trace_id: crate::samples::unhex(&trace_id()), ..plain.clone() }, absent, &Value::Null);
    }
}

#[test]
fn r33_links_with_invalid_ids_are_left_out() {
    let good = Link { trace_id: vec![7; 16], span_id: vec![8; 8], ..Link::default() };
    let links = vec![Link { span_id: vec![8; 7], ..good.clone() }, good];
    let (target, id) = (Target::shared(), trace_id());
    let body = request(vec![Span { links, ..span(&id) }]).encode_to_vec();
    assert_eq!(post_protobuf(&[], &body).status, 200);
    if let Some(line) = target.stored_line(&id) {
        let links = &line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["links"];
        assert_eq!(links, &json!([{ "traceId": "07".repeat(16), "spanId": "08".repeat(8) }]));
    }
}

#[test]
fn r34_invalid_utf_8_is_repaired_before_it_is_stored() {
    let id = trace_id();
    let body = wrapped(&[bare_span(&id), field(5, b"a\xffb")].concat());
    check_stored(&body, &id, "/name", &json!("a\u{fffd}b"));
}

#[test]
fn r35_empty_envelopes_leave_no_line() {
    let target = Target::shared();
    for body in [field(1, b""), field(1, &field(2, b"")), field(1, &field(1, &field(1, &field(1, b"k"))))] {
        assert_eq!(post_protobuf(&[], &body).status, 200);
    }
    // A span of its own, so that there is something to read whichever test comes first.
    let id = trace_id();
    assert_eq!(post_protobuf(&[], &request(vec![span(&id)]).encode_to_vec()).status, 200);
    if let Some(lines) = target.stored_lines("{") {
        assert!(lines.iter().any(|line| line.to_string().contains(&id)));
        assert!(lines.iter().all(|line| line.pointer("/resourceSpans/0/scopeSpans/0/spans/0").is_some()));
    }
}

#[test]
fn r36_a_request_that_comes_twice_is_stored_twice() {
    let (target, id) = (Target::shared(), trace_id());
    let body = request(vec![span(&id)]).encode_to_vec();
    for _ in 0..2 {
        assert_eq!(post_protobuf(&[], &body).status, 200);
    }
    if let Some(lines) = target.stored_lines(&id) {
        let spans = |line: &Value| line["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len();
        assert_eq!(lines.iter().map(spans).sum::<usize>(), 2);
    }
}

#[test]
fn r37_unknown_fields_and_groups_are_skipped() {
    let unknown_varint = [0x90, 0x7d, 0x01];
    let unknown_fixed = [0x91, 0x7d, 1, 2, 3, 4, 5, 6, 7, 8];
    // Group 2000 with a nested group and a string in it.
    let group = [&[0x83, 0x7d, 0x0b, 0x0c][..], &field(3, b"xy"), &[0x84, 0x7d]].concat();
    for unknown in [&unknown_varint[..], &unknown_fixed, &group] {
        let id = trace_id();
        check_stored(
            &wrapped(&[bare_span(&id), unknown.to_vec(), field(5, b"name")].concat()),
            &id,
            "/name",
            &json!("name"),
        );
    }
}

#[test]
fn r37_broken_groups_and_wire_types_are_bad_data() {
    for broken in
        [&[0x83, 0x7d][..], &[0x84, 0x7d], &[0x83, 0x7d, 0x8c, 0x7d], &[0x07], &[0x0a, 0x7f], &[0x80], &[0x00, 0x00]]
    {
        let body = wrapped(&[bare_span(&trace_id()), broken.to_vec()].concat());
        assert_eq!(post_protobuf(&[], &body).status, 400, "{broken:x?}");
    }
    let deep = [0x83, 0x7d].repeat(40);
    assert_eq!(post_protobuf(&[], &deep.repeat(1_000)).status, 400);
}

#[test]
fn r37_repeated_singular_messages_merge() {
    let id = trace_id();
    // Status twice: the message in the first one, the code in the second.
    let status = [field(15, &field(2, b"m")), field(15, &[0x18, 0x02])].concat();
    check_stored(&wrapped(&[bare_span(&id), status].concat()), &id, "/status", &json!({ "message": "m", "code": 2 }));
}
