use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use proptest::prelude::*;
use prost::Message as _;

use super::Walk;
use crate::clock::Timestamp;
use crate::ids::Signal;
use crate::otlp::batch::{BadData, Encoding, Limits, Report, Segment};
use crate::otlp::output::Output;
use crate::otlp::schema::of;
use crate::otlp::transcode::Transcoder;

pub(super) fn span(n: u8) -> Span {
    Span { trace_id: vec![n; 16], span_id: vec![n; 8], name: format!("span-{n}"), ..Span::default() }
}

pub(super) fn request(groups: &[&[Span]]) -> Vec<u8> {
    let scope_spans =
        groups.iter().map(|spans| ScopeSpans { spans: spans.to_vec(), ..ScopeSpans::default() }).collect();
    TracesData { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }.encode_to_vec()
}

pub(super) fn check(limits: Limits, body: &[u8]) -> (Vec<Segment>, Report) {
    let mut segments = Vec::new();
    let report = Transcoder::new(limits).transcode(Signal::Traces, Encoding::Protobuf, body, &mut segments).unwrap();
    (segments, report)
}

fn names(segment: &Segment) -> Vec<usize> {
    let text = String::from_utf8(segment.lines.clone()).unwrap();
    text.lines().map(|line| line.matches("\"name\":\"span-").count()).collect()
}

#[test]
fn a_line_that_would_grow_too_long_is_split_between_spans() {
    let limits = Limits { max_line_bytes: 400, ..Limits::default() };
    let (segments, report) = check(limits, &request(&[&[span(1), span(2)], &[span(3), span(4), span(5)]]));
    assert_eq!((segments.len(), report.accepted, report.oversized_spans), (1, 5, 0));
    assert_eq!(names(&segments[0]), [3, 2]);
    assert!(segments[0].lines.split(|&b| b == b'\n').all(|line| line.len() <= 400));
    assert_eq!((segments[0].line_count, segments[0].items), (2, 5));
}

#[test]
fn a_span_longer_than_a_line_should_be_keeps_a_line_of_its_own() {
    let limits = Limits { max_line_bytes: 400, ..Limits::default() };
    let huge = Span { name: "span-".repeat(200), ..span(2) };
    let (segments, report) = check(limits, &request(&[&[span(1), huge, span(3)]]));
    assert_eq!(names(&segments[0]), [1, 1, 1]);
    assert_eq!((report.accepted, report.oversized_spans), (3, 1));
}

#[test]
fn a_segment_is_closed_once_it_is_full() {
    let limits = Limits { max_line_bytes: 200, segment_bytes: 200, ..Limits::default() };
    let spans: Vec<Span> = (1..=6).map(span).collect();
    let (segments, _) = check(limits, &request(&[&spans]));
    assert_eq!(segments.iter().map(|s| (s.line_count, s.items)).collect::<Vec<_>>(), [(2, 2), (2, 2), (2, 2)]);
    assert_eq!(segments[1].trace_ids.iter().map(|id| id.as_bytes()[0]).collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn r35_groups_without_spans_leave_no_line() {
    let invalid = Span { trace_id: vec![0; 16], ..span(1) };
    assert_eq!(check(Limits::default(), &request(&[&[], &[invalid]])).0, []);
    assert_eq!(check(Limits::default(), b""), (vec![], Report::default()));
    let (segments, report) = check(Limits::default(), &request(&[&[], &[span(1)], &[]]));
    assert_eq!(String::from_utf8_lossy(&segments[0].lines).matches("spans").count(), 1);
    assert_eq!(report.accepted, 1);
}

fn one(span: Span) -> (String, Report) {
    let (segments, report) = check(Limits::default(), &request(&[&[span]]));
    (segments.into_iter().map(|segment| String::from_utf8(segment.lines).unwrap()).collect(), report)
}

pub(super) fn refused(body: &[u8]) -> BadData {
    let mut segments = vec![Segment::default()];
    let result = Transcoder::default().transcode(Signal::Traces, Encoding::Protobuf, body, &mut segments);
    assert_eq!(segments, [Segment::default()], "as it was");
    result.unwrap_err()
}

/// Puts the bytes of a span into a request.
pub(super) fn around(span: &[u8]) -> Vec<u8> {
    [2, 2, 1].into_iter().fold(span.to_vec(), |inner, number| wrap(number, &inner))
}

pub(super) fn wrap(number: u32, inner: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut whole);
    prost::encoding::encode_varint(inner.len() as u64, &mut whole);
    whole.extend_from_slice(inner);
    whole
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

#[test]
fn r33_an_invalid_parent_is_left_out_and_an_invalid_link_dropped() {
    let good = Link { trace_id: vec![1; 16], span_id: vec![2; 8], flags: 0xffff_ffff, ..Link::default() };
    let links =
        vec![Link { span_id: vec![0; 8], ..good.clone() }, good.clone(), Link { trace_id: vec![1; 15], ..good }];
    let (line, report) = one(Span { parent_span_id: vec![7; 7], links, ..span(1) });
    assert_eq!((report.accepted, report.rejected, report.dropped_links), (1, 0, 2));
    assert!(!line.contains("parentSpanId"));
    let written =
        r#""links":[{"traceId":"01010101010101010101010101010101","spanId":"0202020202020202","flags":4294967295}]"#;
    assert!(line.contains(written), "{line}");
}

#[test]
fn r33_a_span_without_valid_ids_is_rejected_alone() {
    let bad = [
        Span { trace_id: vec![], ..span(1) },
        Span { trace_id: vec![0; 16], ..span(1) },
        Span { trace_id: vec![1; 17], ..span(1) },
        Span { span_id: vec![0; 8], ..span(1) },
        Span { span_id: vec![1; 9], ..span(1) },
    ];
    let (segments, report) = check(Limits::default(), &request(&[&bad, &[span(2)], &bad]));
    assert_eq!((report.accepted, report.rejected, segments[0].items), (1, 10, 1));
    let (segments, report) = check(Limits::default(), &request(&[&bad]));
    assert_eq!((segments.len(), report.rejected), (0, 5));
}

#[test]
fn r32_references_into_a_string_table_are_counted_and_absent() {
    let value = Some(AnyValue { value: Some(Value::StringValueStrindex(4)) });
    let (line, report) =
        one(Span { attributes: vec![KeyValue { key_strindex: 3, value, ..KeyValue::default() }], ..span(1) });
    assert_eq!(report.string_references, 2);
    assert!(line.contains(r#""attributes":[{"key":""}]"#), "{line}");
}

#[test]
fn r34_every_repaired_string_is_counted() {
    let mut bytes = Span { name: String::new(), ..span(1) }.encode_to_vec();
    bytes.extend_from_slice(b"\x2a\x03a\xffb\x1a\x01\xc3");
    let (segments, report) = check(Limits::default(), &around(&bytes));
    assert_eq!(report.repaired_strings, 2);
    assert!(String::from_utf8_lossy(&segments[0].lines).contains("\"name\":\"a\u{fffd}b\""));
}

#[test]
fn r37_an_old_or_unknown_field_is_passed_over() {
    let mut bytes = span(1).encode_to_vec();
    bytes.extend_from_slice(&[0xc2, 0x3e, 1, 7, 0xa3, 0x06, 0x08, 0x01, 0xa4, 0x06]);
    let body = [wrap(1, &[wrap(1000, b"x"), wrap(2, &wrap(2, &bytes))].concat()), wrap(9, b"y")].concat();
    assert_eq!(check(Limits::default(), &body).1.accepted, 1);
}

#[test]
fn r18_what_is_no_request_is_refused_with_its_place() {
    let body = around(&[0x0a, 0x05, 1]);
    assert!(matches!(refused(&body), BadData::Protobuf { offset: 8, .. }), "{:?}", refused(&body));
    for span in [&[0x08, 0x01][..], &[0x3d, 1, 2, 3, 4], &[0x48, 1], &[0x32, 0], &[0x0c]] {
        assert!(matches!(refused(&around(span)), BadData::Protobuf { .. }), "{span:?}");
    }
}

#[test]
fn r30_depth_is_limited_without_the_stack() {
    let nest = |levels: usize| {
        let value = (0..levels).fold(Vec::new(), |inner, _| wrap(5, &wrap(1, &inner)));
        around(&[span(1).encode_to_vec(), wrap(9, &wrap(2, &value))].concat())
    };
    assert_eq!(check(Limits::default(), &nest(20)).1.accepted, 1);
    for levels in [200, 2_000] {
        assert_eq!(refused(&nest(levels)), BadData::TooDeep { limit: 64 });
    }
    assert_eq!(refused(&vec![0x4b; 100_000]), BadData::TooDeep { limit: 64 });
}

#[test]
fn a_segment_knows_its_times_services_and_traces() {
    let timed = |n, start, end| Span { start_time_unix_nano: start, end_time_unix_nano: end, ..span(n) };
    let group = |attributes: Vec<KeyValue>, spans: Vec<Span>| ResourceSpans {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    };
    let array = AnyValue { value: Some(Value::ArrayValue(ArrayValue::default())) };
    let request = TracesData {
        resource_spans: vec![
            group(
                vec![text("host", "a"), text("service.name", "shop")],
                vec![timed(1, 50, 60), timed(1, 0, 0), timed(2, 40, 0)],
            ),
            group(vec![KeyValue { value: Some(array), ..text("service.name", "") }], vec![timed(2, 0, 90)]),
            group(vec![text("service.name", "shop")], vec![timed(3, 0, 0)]),
            group(vec![text("service.name", "empty")], vec![]),
        ],
    };
    let (segments, _) = check(Limits::default(), &request.encode_to_vec());
    let [segment] = &segments[..] else { panic!("{segments:?}") };
    assert_eq!(segment.times, Some((Timestamp::from_unix_nanos(40), Timestamp::from_unix_nanos(90))));
    assert_eq!(segment.services, ["shop", ""]);
    assert_eq!(segment.trace_ids.iter().map(|id| id.as_bytes()[0]).collect::<Vec<_>>(), [1, 2, 3]);
    let (segments, _) =
        check(Limits::default(), &TracesData { resource_spans: vec![group(vec![], vec![span(1)])] }.encode_to_vec());
    assert_eq!(segments[0].times, None);
}

#[test]
fn envelopes_are_found_behind_the_spans_and_repeated_in_every_line() {
    let attribute = text("service.name", "late").encode_to_vec();
    let spans = [wrap(2, &span(1).encode_to_vec()), wrap(2, &span(2).encode_to_vec())].concat();
    let scope = [spans, wrap(3, b"s"), wrap(1, &wrap(1, b"scope"))].concat();
    let body = wrap(1, &[wrap(2, &scope), wrap(3, b"r"), wrap(1, &wrap(1, &attribute))].concat());
    let (segments, _) = check(Limits { max_line_bytes: 300, ..Limits::default() }, &body);
    let lines = String::from_utf8(segments[0].lines.clone()).unwrap();
    assert_eq!((segments[0].line_count, segments[0].services.as_slice()), (2, &["late".to_owned()][..]));
    for line in lines.lines() {
        assert!(line.starts_with(r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"late"}}]},"scopeSpans":[{"scope":{"name":"scope"},"spans":[{"traceId""#), "{line}");
        assert!(line.ends_with(r#"}],"schemaUrl":"s"}],"schemaUrl":"r"}]}"#), "{line}");
    }
}

proptest! {
    #[test]
    fn both_ways_write_the_same_of_fields_in_order(name in "\\PC{0,20}", flags: u32, kind in 0..5_i32, values in prop::collection::vec("[a-z]{0,40}", 0..5)) {
        let attributes = values.iter().map(|value| text(value, value)).collect();
        let bytes = Span { name, kind, attributes, ..span(1) }.encode_to_vec();
        let bytes = [bytes, vec![0x85, 0x01], flags.to_le_bytes().to_vec()].concat();
        let schema = of(Signal::Traces);
        let (mut fast, mut careful) = (Output::default(), Output::default());
        let whole = 0..bytes.len();
        prop_assert_eq!(Walk::new(&bytes, &mut fast, 64).fast(schema.item, whole.clone(), 0), Ok(true));
        prop_assert_eq!(Walk::new(&bytes, &mut careful, 64).careful(schema.item, &[whole], 0), Ok(true));
        prop_assert_eq!(fast.take(), careful.take());
    }
}
