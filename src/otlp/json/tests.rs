use crate::ids::Signal;
use crate::otlp::batch::{BadData, Encoding, Limits, Report};
use crate::otlp::transcode::Transcoder;

const IDS: &str = r#""traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708""#;

fn transcode(body: &[u8]) -> Result<(String, Report), BadData> {
    let mut segments = Vec::new();
    let report = Transcoder::new(Limits::default()).transcode(Signal::Traces, Encoding::Json, body, &mut segments)?;
    let lines = segments.into_iter().flat_map(|segment| segment.lines).collect();
    Ok((String::from_utf8(lines).unwrap(), report))
}

fn request(span: &[u8]) -> Vec<u8> {
    [br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"#, span, b"}]}]}]}"].concat()
}

/// Returns the members of the written span that are not its own ids.
fn span(members: &str) -> String {
    let (line, report) = transcode(&request(format!("{IDS},{members}").as_bytes())).unwrap();
    assert_eq!((report.accepted, report.rejected), (1, 0), "{members}");
    let start = line.find(IDS).unwrap() + IDS.len();
    let end = line.rfind("}]}]}]}").unwrap();
    line[start..end].trim_start_matches(',').to_owned()
}

/// Returns the written value of an attribute.
pub(super) fn attribute(value: &str) -> String {
    let written = span(&format!(r#""attributes":[{{"key":"k","value":{value}}}]"#));
    let written = written.strip_prefix(r#""attributes":[{"key":"k""#).unwrap().strip_suffix("}]").unwrap();
    written.trim_start_matches(r#","value":"#).to_owned()
}

pub(super) fn refused(members: &str) {
    let result = transcode(&request(format!("{IDS},{members}").as_bytes()));
    assert!(matches!(result, Err(BadData::Json { .. })), "{members}: {result:?}");
}

#[test]
fn r21_ids_are_hexadecimal_in_either_case() {
    let written = span(r#""parentSpanId":"0a0B0c0D0E0f0A0b""#);
    assert_eq!(written, r#""parentSpanId":"0a0b0c0d0e0f0a0b""#);
}

#[test]
fn r21_bytes_are_base64_of_either_alphabet_padded_or_not() {
    for text in ["+/8=", "-_8=", "+/8", "-_8", r"\u002b/8="] {
        assert_eq!(attribute(&format!(r#"{{"bytesValue":"{text}"}}"#)), r#"{"bytesValue":"+/8="}"#);
    }
    refused(r#""attributes":[{"value":{"bytesValue":"?"}}]"#);
}

#[test]
fn r22_enums_are_written_as_numbers() {
    for kind in ["3", "\"3\"", "\"SPAN_KIND_CLIENT\"", "3.0"] {
        assert_eq!(span(&format!(r#""kind":{kind}"#)), r#""kind":3"#);
    }
    assert_eq!(span(r#""kind":77"#), r#""kind":77"#);
    assert_eq!(span(r#""status":{"code":"STATUS_CODE_ERROR"}"#), r#""status":{"code":2}"#);
    refused(r#""kind":"SERVER""#);
}

#[test]
fn r23_unknown_keys_are_ignored_at_every_level() {
    let unknown = r#""x":{"y":[1,-2.5e3,null,true,false,"\u00e9\n",{"z":{}},[],[[]]]}"#;
    let body = format!(
        r#"{{{unknown},"resourceSpans":[{{{unknown},"resource":{{{unknown}}},"scopeSpans":[{{{unknown},"scope":{{{unknown}}},"spans":[{{{unknown},{IDS},"attributes":[{{{unknown},"key":"k","value":{{{unknown},"boolValue":true,{unknown}}}}}],"events":[{{{unknown}}}]}}]}}]}}]}}"#
    );
    let (line, report) = transcode(body.as_bytes()).unwrap();
    assert_eq!(report.accepted, 1);
    assert!(line.contains(r#""attributes":[{"key":"k","value":{"boolValue":true}}],"events":[{}]"#), "{line}");
    assert!(!line.contains("\"x\""));
}

#[test]
fn r24_snake_case_keys_are_unknown_and_told() {
    let body = br#"{"resource_spans":[{"scope_spans":[{"spans":[{}]}]}]}"#;
    let (line, report) = transcode(body).unwrap();
    assert_eq!((line.as_str(), report.accepted, report.snake_case_keys), ("", 0, true));
    let (_, report) = transcode(&request(format!(r#"{IDS},"trace_state":"a""#).as_bytes())).unwrap();
    assert!(!report.snake_case_keys, "the span came all the same");
    let (_, report) = transcode(br#"{"some_thing":1}"#).unwrap();
    assert!(!report.snake_case_keys);
}

#[test]
fn r25_integers_come_as_numbers_or_strings() {
    for value in ["1000", "\"1000\"", "1000.0", "1e3", "\"1e3\""] {
        assert_eq!(span(&format!(r#""startTimeUnixNano":{value}"#)), r#""startTimeUnixNano":"1000""#);
        assert_eq!(span(&format!(r#""droppedLinksCount":{value}"#)), r#""droppedLinksCount":1000"#);
        assert_eq!(attribute(&format!(r#"{{"intValue":{value}}}"#)), r#"{"intValue":"1000"}"#);
    }
    assert_eq!(attribute(r#"{"intValue":"-9223372036854775808"}"#), r#"{"intValue":"-9223372036854775808"}"#);
    for bad in ["\"abc\"", "-1", "4294967296", "0.5", "\"\"", "[]", "true"] {
        refused(&format!(r#""flags":{bad}"#));
    }
}

#[test]
fn r26_null_is_absent_for_every_type() {
    let names = [
        "traceState",
        "parentSpanId",
        "flags",
        "name",
        "kind",
        "startTimeUnixNano",
        "endTimeUnixNano",
        "attributes",
        "droppedAttributesCount",
        "events",
        "droppedEventsCount",
        "links",
        "droppedLinksCount",
        "status",
    ];
    let all: Vec<_> = names.iter().map(|name| format!("\"{name}\":null")).collect();
    assert_eq!(span(&all.join(",")), "");
    for member in ["stringValue", "boolValue", "intValue", "doubleValue", "arrayValue", "kvlistValue", "bytesValue"] {
        assert_eq!(attribute(&format!("{{\"{member}\":null}}")), "", "{member}");
    }
    assert_eq!(
        attribute(r#"{"arrayValue":{"values":[null,{"boolValue":false}]}}"#),
        r#"{"arrayValue":{"values":[{},{"boolValue":false}]}}"#
    );
    assert_eq!(transcode(br#"{"resourceSpans":null}"#).unwrap().0, "");
}

#[test]
fn r27_doubles_json_cannot_write_come_as_strings() {
    for (value, written) in [
        ("\"NaN\"", "\"NaN\""),
        ("\"Infinity\"", "\"Infinity\""),
        ("\"-Infinity\"", "\"-Infinity\""),
        ("\"1.5\"", "1.5"),
        ("-2", "-2.0"),
        ("1e-7", "1e-7"),
        ("0", "0.0"),
    ] {
        assert_eq!(attribute(&format!(r#"{{"doubleValue":{value}}}"#)), format!(r#"{{"doubleValue":{written}}}"#));
    }
    for bad in ["\"inf\"", "\"nan\"", "1e999", "\"\"", "{}"] {
        refused(&format!(r#""attributes":[{{"value":{{"doubleValue":{bad}}}}}]"#));
    }
}

#[test]
fn r28_empty_and_nested_values_are_valid() {
    assert_eq!(attribute("{}"), "");
    assert_eq!(attribute(r#"{"stringValue":""}"#), r#"{"stringValue":""}"#);
    assert_eq!(attribute(r#"{"arrayValue":{}}"#), r#"{"arrayValue":{"values":[]}}"#);
    assert_eq!(attribute(r#"{"kvlistValue":{"values":[{}]}}"#), r#"{"kvlistValue":{"values":[{"key":""}]}}"#);
}

#[test]
fn r29_defaults_are_not_written() {
    assert_eq!(span(r#""name":"","kind":0,"flags":0,"status":{},"events":[],"endTimeUnixNano":"0""#), "");
    let body = format!(
        r#"{{"resourceSpans":[{{"resource":{{}},"schemaUrl":"","scopeSpans":[{{"scope":{{}},"spans":[{{{IDS}}}]}}]}}]}}"#
    );
    let (line, _) = transcode(body.as_bytes()).unwrap();
    assert_eq!(line, format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{{{IDS}}}]}}]}}]}}\n"));
}

#[test]
fn r30_escapes_are_read_and_surrogates_joined() {
    assert_eq!(
        span(r#""name":"\u0041\/\b\f\n\r\t\"\\\u00e9\ud83d\ude00""#),
        "\"name\":\"A/\\u0008\\u000c\\n\\r\\t\\\"\\\\é😀\""
    );
    let (line, report) =
        transcode(&request(format!(r#"{IDS},"name":"\ud83d!\ude00","traceState":"ok""#).as_bytes())).unwrap();
    assert!(line.contains("\u{fffd}!\u{fffd}"));
    assert_eq!(report.repaired_strings, 1);
    assert_eq!(span(r#""\u006eame":"n""#), r#""name":"n""#);
    for bad in [r#""name":"\x""#, r#""name":"\u12""#, "\"name\":\"\n\"", r#""name":"a"#, r#""\q":1"#] {
        refused(bad);
    }
}

#[test]
fn r30_what_follows_or_replaces_the_document_is_bad_data() {
    for bad in [
        "",
        " ",
        "[]",
        "null",
        "7",
        "{} {}",
        "{}x",
        "{",
        "{\"a\"}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":[1,]}",
        "{\"a\":01}",
        "{\"a\":tru}",
    ] {
        assert!(matches!(transcode(bad.as_bytes()), Err(BadData::Json { .. })), "{bad}");
    }
    assert!(transcode(b" {} \r\n\t").is_ok());
}

#[test]
fn r30_depth_is_limited_without_the_stack() {
    let nest = |levels: usize| {
        let open = r#"{"arrayValue":{"values":["#.repeat(levels);
        let close = "]}}".repeat(levels);
        request(format!(r#"{IDS},"attributes":[{{"key":"k","value":{open}{close}}}]"#).as_bytes())
    };
    assert!(transcode(&nest(20)).unwrap().0.contains("arrayValue"));
    for levels in [200, 100_000] {
        assert_eq!(transcode(&nest(levels)), Err(BadData::TooDeep { limit: 64 }));
    }
    let highest = Limits { max_depth: u32::MAX, ..Limits::default() };
    let nest_maps = |levels: usize| {
        let open = r#"{"kvlistValue":{"values":[{"value":"#.repeat(levels);
        let close = "}]}}".repeat(levels);
        request(format!(r#"{IDS},"attributes":[{{"key":"k","value":{open}{{}}{close}}}]"#).as_bytes())
    };
    let read = |levels| {
        Transcoder::new(highest).transcode(Signal::Traces, Encoding::Json, &nest_maps(levels), &mut Vec::new())
    };
    assert!(read(127).is_ok(), "the highest limit fits a thread's stack");
    assert_eq!(read(128), Err(BadData::TooDeep { limit: 128 }));
    let unknown = |bracket: &str| request(format!(r#"{IDS},"x":{}"#, bracket.repeat(100_000)).as_bytes());
    assert_eq!(transcode(&unknown("[")), Err(BadData::TooDeep { limit: 64 }));
    assert_eq!(transcode(&unknown(r#"{"a":"#)), Err(BadData::TooDeep { limit: 64 }));
}

#[test]
fn r31_of_duplicate_keys_the_last_wins() {
    assert_eq!(span(r#""name":"a","kind":1,"name":"b","kind":2,"name":"c""#), r#""kind":2,"name":"c""#);
    assert_eq!(span(r#""name":"a","name":null"#), "");
    assert_eq!(span(r#""status":{"message":"m"},"status":{"code":1}"#), r#""status":{"code":1}"#);
    assert_eq!(
        span(r#""events":[{"name":"a"}],"flags":1,"events":[{"name":"b"}]"#),
        r#""flags":1,"events":[{"name":"b"}]"#
    );
    assert_eq!(attribute(r#"{"stringValue":"a","intValue":7}"#), r#"{"intValue":"7"}"#);
    let twice = format!(
        r#"{{"resourceSpans":[{{}}],"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{IDS}}}],"spans":[{{{IDS}}}]}}]}}]}}"#
    );
    assert_eq!(transcode(twice.as_bytes()).unwrap().1.accepted, 1);
}

#[test]
fn r32_references_into_a_string_table_are_counted_and_absent() {
    let body =
        request(format!(r#"{IDS},"attributes":[{{"keyStrindex":3,"value":{{"stringValueStrindex":4}}}}]"#).as_bytes());
    let (line, report) = transcode(&body).unwrap();
    assert_eq!(report.string_references, 2);
    assert!(line.contains(r#""attributes":[{"key":""}]"#), "{line}");
}

#[test]
fn r33_invalid_ids_fall_alone() {
    let good = format!("{{{IDS}}}");
    for bad in ["", "00", "zz02030405060708090a0b0c0d0e0f10", "0102030405060708090a0b0c0d0e0f1", &"0".repeat(32)] {
        let spans = format!(r#"{{"traceId":"{bad}","spanId":"0102030405060708"}},{good}"#);
        let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#);
        let report = transcode(body.as_bytes()).unwrap().1;
        assert_eq!((report.accepted, report.rejected), (1, 1), "{bad}");
    }
    assert_eq!(span(r#""parentSpanId":"xyz""#), "");
    let link = r#"{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"q"}"#;
    assert_eq!(span(&format!(r#""links":[{link}]"#)), "");
}

#[test]
fn r34_invalid_utf_8_is_repaired_and_counted() {
    let body = request(&[IDS.as_bytes(), b",\"name\":\"a\xffb\",\"traceState\":\"\xc3\xa9\""].concat());
    let (line, report) = transcode(&body).unwrap();
    assert!(line.contains("\"name\":\"a\u{fffd}b\"") && line.contains("\"traceState\":\"é\""), "{line}");
    assert_eq!(report.repaired_strings, 1);
    assert!(transcode(b"{\xff}").is_err(), "outside of strings it is no JSON");
}
