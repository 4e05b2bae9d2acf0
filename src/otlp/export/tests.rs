//! Lines in, typed requests out.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use super::*;

/// Two resources; the first has two scopes, of which the first has two spans.
const LINE: &str = r#"{"resourceSpans":[
{"resource":{"attributes":[{"key":"a","value":{"intValue":"7"}}]},"schemaUrl":"r","scopeSpans":[
 {"scope":{"name":"one"},"schemaUrl":"s","spans":[
  {"traceId":"0000000000000000000000000000000A","spanId":"0000000000000001","name":"x","startTimeUnixNano":"10","endTimeUnixNano":"20",
   "events":[{"timeUnixNano":"15","name":"e"},{"name":"no time"}],"links":[{"traceId":"0000000000000000000000000000000b","spanId":"0000000000000009"}]},
  {"traceId":"0000000000000000000000000000000a","spanId":"0000000000000002","startTimeUnixNano":"30","endTimeUnixNano":"40"}]},
 {"scope":{"name":"two"},"spans":[{"traceId":"0000000000000000000000000000000a","spanId":"0000000000000003"}]}]},
{"scopeSpans":[{"spans":[{"traceId":"0000000000000000000000000000000a","spanId":"0000000000000004"}]}]}]}"#;

fn export(line: &LineSpans, spans: Range<usize>) -> ExportTraceServiceRequest {
    let mut body = Vec::new();
    line.append(spans.clone(), &mut body);
    let mut after = None;
    let cost: usize = spans.map(|span| line.cost(span, after.replace(span))).sum();
    assert!(body.len() <= cost, "{} bytes cost {cost}", body.len());
    ExportTraceServiceRequest::decode(body.as_slice()).unwrap()
}

/// Returns the spans of a request as `scope/span id`, resources parted by `|`.
fn shape(request: &ExportTraceServiceRequest) -> String {
    let mut groups = Vec::new();
    for group in &request.resource_spans {
        let scopes = group.scope_spans.iter().flat_map(|scope| {
            let name = scope.scope.as_ref().map_or("-", |scope| scope.name.as_str());
            scope.spans.iter().map(move |span| format!("{name}/{}", span.span_id[7]))
        });
        groups.push(scopes.collect::<Vec<_>>().join(" "));
    }
    groups.join("|")
}

#[test]
fn spans_are_cut_anywhere_and_keep_what_they_share() {
    let line = LineSpans::read(LINE.as_bytes(), Shift::default()).unwrap();
    assert_eq!(line.len(), 4);
    let check = |spans, expected| assert_eq!(shape(&export(&line, spans)), expected);
    check(0..4, "one/1 one/2 two/3|-/4");
    check(0..1, "one/1");
    check(1..3, "one/2 two/3");
    check(2..4, "two/3|-/4");
    check(4..9, "");
    let cut = export(&line, 1..2);
    let group = &cut.resource_spans[0];
    assert_eq!((group.schema_url.as_str(), group.scope_spans[0].schema_url.as_str()), ("r", "s"));
    assert_eq!(group.resource.as_ref().unwrap().attributes[0].key, "a");
}

#[test]
fn span_and_event_times_move_together_and_absent_ones_stay_absent() {
    let times = |shift| {
        let line = LineSpans::read(LINE.as_bytes(), Shift(shift)).unwrap();
        let request = export(&line, 0..3);
        let scopes = &request.resource_spans[0].scope_spans;
        let (first, third) = (&scopes[0].spans[0], &scopes[1].spans[0]);
        let events: Vec<u64> = first.events.iter().map(|event| event.time_unix_nano).collect();
        let start = line.start(0).unwrap().as_unix_nanos();
        assert_eq!((start, line.start(2)), (first.start_time_unix_nano, None));
        (start, first.end_time_unix_nano, events, third.start_time_unix_nano)
    };
    assert_eq!(times(0), (10, 20, vec![15, 0], 0));
    assert_eq!(times(1_000), (1_010, 1_020, vec![1_015, 0], 0));
    assert_eq!(times(-12), (1, 8, vec![3, 0], 0), "no time becomes none");
}

#[test]
fn a_line_of_teleport_is_one_resource_spans_as_protojson_writes_it() {
    let line = r#"{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"teleport"}}]}, "scopeSpans":[{"scope":{"name":"proxy"}, "spans":[{"traceId":"AAAAAAAAAAAAAAAAAAAACg==", "spanId":"AAAAAAAAAAE=", "parentSpanId":"AAAAAAAAAAI=", "name":"web", "kind":"SPAN_KIND_SERVER", "startTimeUnixNano":"10", "status":{"code":"STATUS_CODE_ERROR"}}]}], "schemaUrl":"u"}"#;
    let request = export(&LineSpans::read(line.as_bytes(), Shift::default()).unwrap(), 0..1);
    let group = &request.resource_spans[0];
    let span = &group.scope_spans[0].spans[0];
    assert_eq!((group.schema_url.as_str(), span.kind, span.status.as_ref().unwrap().code), ("u", 2, 2));
    assert_eq!((span.trace_id.len(), span.trace_id[15], span.span_id[7], span.parent_span_id[7]), (16, 10, 1, 2));
}

proptest::proptest! {
    #[test]
    fn a_line_with_other_bytes_in_it_is_refused_or_exported_whole(
        changes in proptest::collection::vec((0..LINE.len(), proptest::prelude::any::<u8>()), 1..4),
        shift in proptest::prelude::any::<i64>(),
    ) {
        let mut line = LINE.as_bytes().to_vec();
        for (at, byte) in changes {
            line[at] = byte;
        }
        if let Ok(spans) = LineSpans::read(&line, Shift(i128::from(shift))) {
            let request = export(&spans, 0..spans.len());
            let scopes = request.resource_spans.iter().flat_map(|group| &group.scope_spans);
            assert_eq!(scopes.map(|scope| scope.spans.len()).sum::<usize>(), spans.len());
        }
    }
}

#[test]
fn lines_without_spans_are_empty() {
    for line in ["{}", r#"{"resourceSpans":[]}"#, r#"{"resource":{}}"#, r#" {"resourceSpans":[{"resource":{}}]}"#] {
        assert!(LineSpans::read(line.as_bytes(), Shift::default()).unwrap().is_empty(), "{line}");
    }
}

#[test]
fn what_is_no_line_of_spans_is_refused_with_what_was_expected() {
    let check = |line: &str, why: &str| {
        let error = LineSpans::read(line.as_bytes(), Shift::default()).unwrap_err();
        let text = crate::telemetry::chain(&error);
        assert!(text.contains("expected") && text.contains(why), "{line}: {text}");
    };
    check("hello", "no JSON object");
    check("[1]", "something else than an object");
    check(r#"{"resourceSpans":[{"#, "JSON body");
    check(r#"{"resourceMetrics":[]}"#, "it holds metrics");
    check(r#"{"resourceLogs":[]}"#, "it holds log records");
    check(r#"{"traceID":"1","spans":[]}"#, "none of the two");
    check(r#"{"resource_spans":[{}]}"#, "snake_case");
    check(r#"{"instrumentationLibrarySpans":[{}]}"#, "before OTLP 0.19");
}
