//! What a request may take of its room, however it is made.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message as _;

use super::tests::{around, check, refused, request, span, text, wrap};
use crate::ids::Signal;
use crate::otlp::batch::{BadData, Encoding, Limits, Room, Segment};
use crate::otlp::transcode::Transcoder;

/// Room that ends, and counts.
#[derive(Debug)]
struct Bounded {
    left: usize,
    taken: usize,
}

impl Room for Bounded {
    fn take(&mut self, more: usize) -> bool {
        let fits = more <= self.left;
        if fits {
            self.left -= more;
            self.taken += more;
        }
        fits
    }
}

/// Transcodes within `bytes` of room, and checks that the lines are the same as without bounds and take no more.
fn within(bytes: usize, body: &[u8]) -> Result<usize, BadData> {
    let (mut room, mut segments) = (Bounded { left: bytes, taken: 0 }, Vec::new());
    let report =
        Transcoder::default().transcode_within(&mut room, (Signal::Traces, Encoding::Protobuf, body), &mut segments)?;
    let unbounded = check(Limits::default(), body);
    assert_eq!((segments.iter().map(|s| &s.lines).collect::<Vec<_>>(), &report), {
        (unbounded.0.iter().map(|s| &s.lines).collect(), &unbounded.1)
    });
    let (last, closed) = segments.split_last().unwrap();
    let held = last.lines.capacity() + closed.iter().map(Segment::held_bytes).sum::<usize>();
    assert!(held <= room.taken, "{held} bytes of {} taken", room.taken);
    Ok(room.taken)
}

#[test]
fn trace_ids_are_counted_beside_short_lines() {
    let ids = |n: u64| Span { trace_id: [[9; 8], n.to_be_bytes()].concat(), span_id: vec![1; 8], ..Span::default() };
    let spans: Vec<_> = (0..60_000).map(ids).collect();
    within(usize::MAX, &request(&[&spans])).unwrap();
    let segments = check(Limits::default(), &request(&[&spans])).0;
    assert!(segments.len() > 2, "only closed segments are counted by then");
}

#[test]
fn room_is_taken_before_it_is_used_and_lines_stay_the_same() {
    // Each control character becomes six bytes: far more than is expected.
    let grown = |len: usize| Span { name: "\u{1}".repeat(len), ..span(1) };
    let resource = |len: usize| {
        let service = text("long", &"\u{1}".repeat(len));
        let group = ResourceSpans {
            resource: Some(Resource { attributes: vec![service], ..Resource::default() }),
            scope_spans: vec![ScopeSpans { spans: vec![span(1), span(2)], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        };
        TracesData { resource_spans: vec![group] }.encode_to_vec()
    };
    let bodies = [
        request(&[&[span(1)]]),
        request(&[&[span(1), grown(1), span(2)]]),
        request(&[&[span(1), grown(250_000), span(2)]]),
        request(&[&vec![grown(20_000); 10]]),
        // Lines that are split between items, with hardly any room left.
        request(&[&vec![Span { name: "n".repeat(300_000), ..span(1) }; 8]]),
        resource(100),
        resource(10_000),
        resource(60_000),
    ];
    for (index, body) in bodies.iter().enumerate() {
        let taken = within(usize::MAX, body).unwrap();
        let lines: usize = check(Limits::default(), body).0.iter().map(|segment| segment.lines.len()).sum();
        assert!(taken <= 4 * lines + (1 << 20), "{index}: {taken} bytes for {lines} of lines");
        assert_eq!(within(taken, body), Ok(taken), "{index}");
        for part in [0, taken / 4, taken / 2, taken - 1] {
            assert_eq!(within(part, body), Err(BadData::NoRoom), "{index}: {part} of {taken}");
        }
    }
}

#[test]
fn a_long_value_in_one_piece_finds_room() {
    // As base64 a third longer than its body, and than what is taken for that.
    let bytes = AnyValue { value: Some(Value::BytesValue(vec![7; 4 << 20])) };
    let body =
        request(&[&[Span { attributes: vec![KeyValue { value: Some(bytes), ..text("bytes", "") }], ..span(1) }]]);
    let taken = within(usize::MAX, &body).unwrap();
    assert!(taken < 3 * body.len(), "{taken}");
    assert_eq!(within(taken - 1, &body), Err(BadData::NoRoom));
}

/// Puts a span into a request whose resource is `resource`.
fn below(resource: &[u8]) -> Vec<u8> {
    let scope = wrap(2, &wrap(2, &span(1).encode_to_vec()));
    wrap(1, &[wrap(1, resource), scope].concat())
}

#[test]
fn fields_that_come_many_times_are_kept_in_room_that_was_taken() {
    const TIMES: usize = 100_000;
    let ids = span(1).encode_to_vec();
    let kinds = [0x30, 1].repeat(TIMES);
    let statuses = [0x7a, 0].repeat(TIMES);
    // Two levels at once, each with half of them.
    let half = [0x10, 1].repeat(TIMES / 2);
    let inner = wrap(1, &[&half[..], &wrap(5, &wrap(1, &half))].concat());
    let bodies = [
        around(&[&ids[..], &kinds].concat()),
        around(&[&ids[..], &statuses].concat()),
        around(&[&ids[..], &wrap(9, &wrap(2, &wrap(5, &inner))), &[0x30, 1, 0x30, 1]].concat()),
        below(&kinds.iter().map(|&byte| if byte == 0x30 { 0x10 } else { byte }).collect::<Vec<_>>()),
    ];
    for (index, body) in bodies.iter().enumerate() {
        let taken = within(usize::MAX, body).unwrap();
        assert!(taken >= TIMES * 24, "{index}: {taken}");
        assert!(taken <= TIMES * 100, "{index}: {taken}");
        assert_eq!(within(taken, body), Ok(taken), "{index}");
        assert_eq!(within(taken - 1, body), Err(BadData::NoRoom), "{index}");
    }
}

#[test]
fn a_span_with_few_fields_out_of_order_takes_no_more_room_than_another() {
    let ids = span(1).encode_to_vec();
    let scattered = around(&[&ids[..], &[0x30, 1, 0x30, 2].repeat(50)].concat());
    let unknown = around(&[&ids[..], &[0x70, 1].repeat(100)].concat());
    assert_eq!(scattered.len(), unknown.len());
    assert_eq!(within(usize::MAX, &scattered), within(usize::MAX, &unknown));
}

#[test]
fn what_surrounds_spans_is_not_written_anew_for_each_that_is_left_out() {
    const TIMES: usize = 100_000;
    // Written for each, this would be 600 GB.
    let resource = wrap(1, &text("long", &"n".repeat(3_000_000)).encode_to_vec());
    let scope = wrap(2, &[0x12, 0].repeat(TIMES));
    let scopes = [0x12, 2, 0x12, 0].repeat(TIMES);
    let good = wrap(2, &wrap(2, &span(1).encode_to_vec()));
    let body = wrap(1, &[wrap(1, &resource), scope, scopes, good].concat());
    let (segments, report) = check(Limits::default(), &body);
    assert_eq!((report.rejected, report.accepted), (2 * TIMES as u64, 1));
    let lines: Vec<u8> = segments.into_iter().flat_map(|segment| segment.lines).collect();
    let name = br#""name":"span-1"}]}]}]}"#;
    assert!(lines.trim_ascii_end().ends_with(name) && lines.len() < 3_001_000, "{} bytes", lines.len());
}

#[test]
fn spans_that_are_left_out_leave_no_trace_wherever_they_stand() {
    let bad = || Span { trace_id: vec![], ..span(9) };
    let whole = |groups: &[&[Span]]| {
        let (segments, report) = check(Limits { max_line_bytes: 300, ..Limits::default() }, &request(groups));
        let lines: Vec<u8> = segments.into_iter().flat_map(|segment| segment.lines).collect();
        (String::from_utf8(lines).unwrap(), report.accepted)
    };
    let with: [&[Span]; 6] = [
        &[bad(), bad()],
        &[bad(), span(1), bad(), span(2)],
        &[bad()],
        &[span(3), bad()],
        &[bad(), span(4), span(5), bad()],
        &[bad()],
    ];
    let without: [&[Span]; 3] = [&[span(1), span(2)], &[span(3)], &[span(4), span(5)]];
    assert_eq!(whole(&with), whole(&without));
}

#[test]
fn a_resource_or_scope_in_very_many_pieces_is_bad_data() {
    let span = span(1).encode_to_vec();
    let pieces = |count| [0x0a, 0].repeat(count);
    let resource = |count| wrap(1, &[pieces(count), wrap(2, &wrap(2, &span))].concat());
    let scope = |count| wrap(1, &wrap(2, &[pieces(count), wrap(2, &span)].concat()));
    for body in [resource(1 << 16), scope(1 << 16)] {
        assert_eq!(check(Limits::default(), &body).1.accepted, 1);
    }
    for body in [resource((1 << 16) + 1), scope((1 << 16) + 1)] {
        assert!(matches!(refused(&body), BadData::Protobuf { what, .. } if what.contains("pieces")));
    }
}

#[test]
fn names_of_services_take_little_memory_beside_lines() {
    let group = |service: &str| ResourceSpans {
        resource: Some(Resource { attributes: vec![text("service.name", service)], ..Resource::default() }),
        scope_spans: vec![ScopeSpans { spans: vec![span(1)], ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    };
    let segment = |services: &[String]| {
        let resource_spans = services.iter().map(|service| group(service)).collect();
        let (mut segments, _) = check(Limits::default(), &TracesData { resource_spans }.encode_to_vec());
        segments.remove(0)
    };
    let too_long = segment(&["a".to_owned(), "b".repeat(20_000), "c".to_owned()]);
    assert_eq!(
        (too_long.services.as_slice(), too_long.has_other_services),
        (&["a".to_owned(), "c".to_owned()][..], true)
    );
    let too_many = segment(&(0..1_000).map(|n| format!("{n:0100}")).collect::<Vec<_>>());
    assert!((100..200).contains(&too_many.services.len()), "{}", too_many.services.len());
    assert!(too_many.has_other_services);
    let few = segment(&["a".to_owned(), String::new(), "b".repeat(16_000)]);
    assert_eq!((few.services.len(), few.has_other_services), (3, false));
}
