//! OTLP JSON: what is accepted, and what is stored of it.

use serde_json::{Value, json};

use crate::http_client::{Answer, post_json};
use crate::samples::{json_request, json_span, trace_id};
use crate::target::Target;

/// Sends a span with these fields; what stands at `pointer` of the stored span must be `expected` (`null`: nothing).
fn check_span(fields: &Value, pointer: &str, expected: &Value) {
    let trace_id = trace_id();
    check(&json_request(&[json_span(&trace_id, fields)]), &trace_id, "/scopeSpans/0/spans/0", pointer, expected);
}

/// The same for a whole request.
fn check(request: &Value, trace_id: &str, base: &str, pointer: &str, expected: &Value) {
    check_text(&request.to_string(), trace_id, &format!("/resourceSpans/0{base}{pointer}"), expected);
}

fn check_text(request: &str, trace_id: &str, pointer: &str, expected: &Value) {
    let target = Target::shared();
    let answer = post_json(request.as_bytes());
    assert_eq!((answer.status, answer.json()), (200, json!({})), "{request}");
    if let Some(line) = target.stored_line(trace_id) {
        let mut stored = line.pointer(pointer).cloned().unwrap_or(Value::Null);
        if let Some(fields) = stored.as_object_mut() {
            fields.retain(|key, value| key != "value" || *value != json!({}));
        }
        assert_eq!(&stored, expected, "{pointer} of {line} from {request}");
    }
}

/// Sends a span with one attribute of this value.
///
/// An empty value and an absent one mean the same, so both may stand for it.
fn check_value(value: &Value, expected: &Value) {
    check_span(&json!({ "attributes": [{ "key": "k", "value": value }] }), "/attributes/0", expected);
}

fn check_refused(body: &[u8]) {
    let answer = post_json(body);
    assert_eq!((answer.status, answer.json()["code"].clone()), (400, json!(3)), "{:?}", String::from_utf8_lossy(body));
}

fn rejected(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200);
    answer.json().pointer("/partialSuccess/rejectedSpans").cloned().unwrap_or(json!("0"))
}

#[test]
fn r21_ids_are_hexadecimal_in_any_case_and_stored_in_lower_case() {
    let trace_id = trace_id();
    let ids = json!({
        "traceId": trace_id.to_uppercase(), "spanId": "ABCDEF0123456789", "parentSpanId": "abcDEF0123456780",
        "links": [{ "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174" }],
    });
    let request = json_request(&[json_span(&trace_id, &ids)]);
    check(&request, &trace_id, "/scopeSpans/0/spans/0", "/spanId", &json!("abcdef0123456789"));
    let trace_id = self::trace_id();
    let request =
        json_request(&[json_span(&trace_id, &json!({ "parentSpanId": ids["parentSpanId"], "links": ids["links"] }))]);
    let link = json!({ "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174" });
    check(&request, &trace_id, "/scopeSpans/0/spans/0", "/links/0", &link);
}

#[test]
fn r21_bytes_are_base64_in_both_alphabets() {
    for text in ["+/+/AQ==", "-_-_AQ==", "+/+/AQ", "-_-_AQ"] {
        check_value(&json!({ "bytesValue": text }), &json!({ "key": "k", "value": { "bytesValue": "+/+/AQ==" } }));
    }
}

#[test]
fn r22_enums_are_integers() {
    check_span(&json!({ "kind": 3, "status": { "code": 2, "message": "m" } }), "/kind", &json!(3));
    check_span(&json!({ "status": { "code": 2, "message": "m" } }), "/status", &json!({ "code": 2, "message": "m" }));
}

#[test]
fn r23_unknown_fields_are_ignored_at_every_level() {
    let unknown = json!({ "a": [1, { "b": null }], "c": "d" });
    let trace_id = trace_id();
    let mut span = json_span(
        &trace_id,
        &json!({
            "attributes": [{ "key": "k", "value": { "unknown": unknown, "stringValue": "v" }, "unknown": 1 }],
            "events": [{ "name": "e", "unknown": unknown }],
            "status": { "unknown": true },
        }),
    );
    span["unknown"] = unknown.clone();
    let request = json!({
        "unknown": unknown,
        "resourceSpans": [{
            "unknown": unknown, "resource": { "unknown": 1.5 },
            "scopeSpans": [{ "unknown": unknown, "scope": { "name": "s", "unknown": "x" }, "spans": [span] }],
        }],
    });
    let expected = json!([{ "key": "k", "value": { "stringValue": "v" } }]);
    check(&request, &trace_id, "/scopeSpans/0/spans/0", "/attributes", &expected);
}

#[test]
fn r24_snake_case_keys_are_unknown_and_the_client_is_told() {
    let answer = post_json(br#"{"resource_spans":[{"scope_spans":[{"spans":[{"name":"x"}]}]}]}"#);
    assert_eq!((rejected(&answer), answer.status), (json!("0"), 200));
    assert!(answer.json()["partialSuccess"]["errorMessage"].as_str().unwrap().contains("lowerCamelCase"));
}

#[test]
fn r25_integers_are_strings_or_numbers_and_stored_as_the_mapping_says() {
    for time in [json!("1544712660300000001"), json!(1_544_712_660_300_000_001_u64)] {
        check_span(&json!({ "startTimeUnixNano": time }), "/startTimeUnixNano", &json!("1544712660300000001"));
    }
    for count in [json!("7"), json!(7), json!(7.0), json!(0.7e1)] {
        check_span(&json!({ "droppedAttributesCount": count }), "/droppedAttributesCount", &json!(7));
        check_value(&json!({ "intValue": count }), &json!({ "key": "k", "value": { "intValue": "7" } }));
    }
    let smallest = json!({ "intValue": i64::MIN.to_string() });
    check_value(&smallest, &json!({ "key": "k", "value": smallest }));
}

#[test]
fn r25_numbers_out_of_range_are_bad_data() {
    for count in ["-1", "4294967296", "1.5", "\"x\"", "true"] {
        let span = format!("{{\"traceId\":\"{}\",\"spanId\":\"0102030405060708\",\"flags\":{count}}}", trace_id());
        check_refused(format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{span}]}}]}}]}}").as_bytes());
    }
}

#[test]
fn r26_null_is_absent_for_every_type() {
    let nulls = json!({
        "name": null, "kind": null, "startTimeUnixNano": null, "attributes": null, "status": null, "parentSpanId": null,
        "links": null, "flags": null, "traceState": null, "events": null,
    });
    check_span(&nulls, "/name", &Value::Null);
    check_value(&json!({ "doubleValue": null }), &json!({ "key": "k" }));
}

#[test]
fn r27_doubles_that_are_no_numbers_are_strings() {
    for text in ["NaN", "Infinity", "-Infinity"] {
        let value = json!({ "doubleValue": text });
        check_value(&value, &json!({ "key": "k", "value": value }));
    }
    for number in [json!("1.5"), json!(1.5)] {
        check_value(&json!({ "doubleValue": number }), &json!({ "key": "k", "value": { "doubleValue": 1.5 } }));
    }
}

#[test]
fn r28_empty_and_nested_values_are_valid() {
    for value in [
        json!({ "arrayValue": { "values": [{ "stringValue": "a" }, {}, { "boolValue": true }] } }),
        json!({ "kvlistValue": { "values": [{ "key": "a", "value": { "kvlistValue": { "values": [{ "key": "b", "value": { "intValue": "1" } }] } } }] } }),
    ] {
        check_value(&value, &json!({ "key": "k", "value": value }));
    }
    check_value(&json!({}), &json!({ "key": "k" }));
}

#[test]
fn r29_empty_and_absent_messages_are_valid() {
    let trace_id = trace_id();
    let span = json_span(&trace_id, &json!({ "status": {}, "events": [], "links": [] }));
    let request = json!({ "resourceSpans": [{ "resource": {}, "scopeSpans": [{ "scope": {}, "spans": [span] }] }] });
    check(&request, &trace_id, "/scopeSpans/0/spans/0", "/name", &json!("GET /checkout"));
}

#[test]
fn r30_escapes_are_read() {
    let trace_id = trace_id();
    let name = r#""\u0000\u001f\"\\\/\b\f\n\r\t\ud83d\ude00é""#;
    let text = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{trace_id}","spanId":"0102030405060708","name":{name}}}]}}]}}]}}"#
    );
    let expected: Value = serde_json::from_str(name).unwrap();
    check_text(&text, &trace_id, "/resourceSpans/0/scopeSpans/0/spans/0/name", &expected);
}

#[test]
fn r30_nesting_is_accepted_to_a_depth_and_then_refused_cleanly() {
    let nested = |depth: usize| {
        let (open, close) = (r#"{"arrayValue":{"values":["#.repeat(depth), "]}}".repeat(depth));
        let id = trace_id();
        format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{id}","spanId":"0102030405060708","attributes":[{{"key":"k","value":{open}{{}}{close}}}]}}]}}]}}]}}"#
        )
    };
    assert_eq!(post_json(nested(20).as_bytes()).status, 200);
    for depth in [200, 100_000] {
        check_refused(nested(depth).as_bytes());
    }
    check_refused("[".repeat(100_000).as_bytes());
    check_refused(format!("{{\"unknown\":{}", "[".repeat(100_000)).as_bytes());
}

#[test]
fn r30_what_is_no_json_document_is_bad_data() {
    for body in
        ["", "x", "[]", "null x", "{} {}", "{},", "{\"resourceSpans\":{}}", "{'resourceSpans':[]}", "\u{feff}{}"]
    {
        check_refused(body.as_bytes());
    }
}

#[test]
fn r31_of_duplicate_keys_the_last_wins() {
    let id = trace_id();
    let text = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{id}","spanId":"0102030405060708","name":"first","name":"last"}}]}}]}}]}}"#
    );
    check_text(&text, &id, "/resourceSpans/0/scopeSpans/0/spans/0/name", &json!("last"));
}

#[test]
fn r32_todays_fields_are_kept() {
    check_span(&json!({ "flags": 4_294_967_040_u32 }), "/flags", &json!(4_294_967_040_u32));
    let link = json!({ "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "flags": 769, "droppedAttributesCount": 2 });
    check_span(&json!({ "links": [link] }), "/links/0", &link);
    let id = trace_id();
    let mut request = json_request(&[json_span(&id, &json!({ "droppedLinksCount": 3 }))]);
    let entity = json!({ "schemaUrl": "u", "type": "host", "idKeys": ["a"], "descriptionKeys": ["b"] });
    request["resourceSpans"][0]["resource"] = json!({ "entityRefs": [entity], "droppedAttributesCount": 1 });
    request["resourceSpans"][0]["schemaUrl"] = json!("https://a.example/1");
    request["resourceSpans"][0]["scopeSpans"][0]["schemaUrl"] = json!("https://b.example/2");
    check(&request, &id, "", "", &request["resourceSpans"][0]);
}

#[test]
fn r33_spans_with_invalid_ids_are_rejected_alone() {
    let good = trace_id();
    let zero = "0".repeat(32);
    for (key, bad) in [
        ("traceId", ""),
        ("traceId", "0102"),
        ("traceId", &*zero),
        ("traceId", "5b8efff798038103d269b633813fc60x"),
        ("spanId", ""),
        ("spanId", "010203040506070"),
        ("spanId", "0000000000000000"),
        ("spanId", "01020304050607zz"),
    ] {
        let bad = json_span(&good, &json!({ key: bad }));
        let request = json_request(&[json_span(&good, &json!({})), bad]);
        assert_eq!(rejected(&post_json(request.to_string().as_bytes())), json!("1"), "{request}");
    }
    let all_bad = json_request(&[json_span("00", &json!({})), json_span("", &json!({}))]);
    assert_eq!(rejected(&post_json(all_bad.to_string().as_bytes())), json!("2"));
}

#[test]
fn r33_an_invalid_parent_is_left_empty() {
    check_span(&json!({ "parentSpanId": "01" }), "/parentSpanId", &Value::Null);
}

#[test]
fn r34_invalid_utf_8_is_repaired() {
    let (target, id) = (Target::shared(), trace_id());
    let text = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{id}","spanId":"0102030405060708","name":"a?b"}}]}}]}}]}}"#
    );
    let body: Vec<u8> = text.bytes().map(|b| if b == b'?' { 0xff } else { b }).collect();
    assert_eq!(post_json(&body).status, 200);
    if let Some(line) = target.stored_line(&id) {
        assert_eq!(line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"], "a\u{fffd}b");
    }
}
