//! OTLP/HTTP.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::http_client::{Connection, post, post_json, post_protobuf, request, send};
use crate::samples::{self, MAX_BYTES, json_request, json_span, trace_id};
use crate::target::Target;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

#[test]
fn r10_chunked_bodies_are_read() {
    let (target, body) = (Target::shared(), samples::protobuf());
    let mut connection = Connection::open(target.http());
    connection.send(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n");
    connection.send(b"transfer-encoding: chunked\r\n\r\n");
    for part in body.chunks(7) {
        connection.send(&[format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
    }
    connection.send(b"0\r\n\r\n");
    assert_eq!(connection.answer().status, 200);
}

#[test]
fn r10_a_client_that_expects_100_continue_gets_it() {
    let (target, body) = (Target::shared(), samples::protobuf());
    let mut connection = Connection::open(target.http());
    let whole = request("POST", "/v1/traces", &[PROTOBUF, ("expect", "100-continue")], &body);
    let (head, body) = whole.split_at(whole.len() - body.len());
    connection.send(head);
    assert!(connection.head().starts_with("HTTP/1.1 100 "));
    connection.send(body);
    assert_eq!(connection.answer().status, 200);
}

#[test]
fn r10_an_expected_body_that_is_too_large_is_refused_before_it_is_sent() {
    let target = Target::shared();
    let mut connection = Connection::open(target.http());
    let len = MAX_BYTES + 1;
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {len}\r\n\r\n"
    );
    connection.send(head.as_bytes());
    assert_eq!(connection.answer().status, 413);
}

#[test]
fn r11_the_media_type_is_read_as_one_and_the_answer_has_the_same() {
    for media_type in ["application/x-protobuf", "Application/X-Protobuf", "application/x-protobuf; charset=utf-8"] {
        let answer = post(media_type, &[], &samples::protobuf());
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/x-protobuf")),
            "{media_type}"
        );
    }
    let json = json_request(&[json_span(&trace_id(), &serde_json::json!({}))]).to_string();
    for media_type in ["application/json", "APPLICATION/JSON", "application/json;charset=UTF-8"] {
        let answer = post(media_type, &[], json.as_bytes());
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{media_type}");
    }
}

#[test]
fn r11_another_media_type_is_415_with_a_json_status() {
    for media_type in ["text/plain", "application/protobuf2", "", ";"] {
        let answer = post(media_type, &[], b"x");
        assert_eq!((answer.status, answer.header("content-type")), (415, Some("application/json")), "{media_type}");
        assert!(!answer.rpc_status().message.is_empty());
    }
}

#[test]
fn r12_a_body_over_the_limit_is_413() {
    let _large = samples::LARGE.blocking_lock();
    let answer = post_protobuf(&[], &vec![0; MAX_BYTES + 1]);
    assert_eq!((answer.status, answer.header("retry-after")), (413, None));
    assert!(!answer.rpc_status().message.is_empty());
}

#[test]
fn r12_a_body_at_the_limit_is_taken() {
    let spare = samples::protobuf_of(MAX_BYTES).len() - MAX_BYTES;
    let body = samples::protobuf_of(MAX_BYTES - spare);
    assert_eq!(body.len(), MAX_BYTES);
    let target = Target::alone();
    let mut connection = Connection::open(target.http());
    connection.send(&request("POST", "/v1/traces", &[PROTOBUF], &body));
    assert_eq!(connection.answer().status, 200);
}

#[test]
fn r12_a_chunked_body_over_the_limit_is_413() {
    let (target, _large) = (Target::shared(), samples::LARGE.blocking_lock());
    let mut connection = Connection::open(target.http());
    connection.send(
        b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    let chunk = [&b"100000\r\n"[..], &vec![b' '; 1 << 20], b"\r\n"].concat();
    for _ in 0..65 {
        connection.send(&chunk);
    }
    assert_eq!(connection.answer().status, 413);
}

#[test]
fn r13_an_unknown_content_encoding_is_415() {
    for encoding in ["br", "gzip, gzip", "banana"] {
        let answer = post_protobuf(&[("content-encoding", encoding)], &samples::protobuf());
        assert_eq!((answer.status, answer.header("content-type")), (415, Some("application/x-protobuf")), "{encoding}");
        assert!(answer.header("accept-encoding").unwrap().contains("gzip"));
        assert!(!answer.rpc_status().message.is_empty());
    }
}

#[test]
fn r15_full_success_is_200_with_an_empty_response() {
    let answer = post_protobuf(&[], &samples::protobuf());
    assert_eq!((answer.status, &*answer.body), (200, &b""[..]));
    let json = json_request(&[json_span(&trace_id(), &serde_json::json!({}))]);
    let answer = post_json(json.to_string().as_bytes());
    assert_eq!((answer.status, answer.json()), (200, serde_json::json!({})));
}

#[test]
fn r15_empty_requests_succeed() {
    assert_eq!(post_protobuf(&[], b"").status, 200);
    for body in ["{}", "{\"resourceSpans\":[]}", " {\n} "] {
        assert_eq!(post_json(body.as_bytes()).status, 200, "{body}");
    }
}

#[test]
fn r06_partial_success_tells_the_rejected_spans_in_both_encodings() {
    let bad = Span { trace_id: vec![1, 2, 3], ..samples::span(&trace_id()) };
    let body = samples::request(vec![samples::span(&trace_id()), bad]).encode_to_vec();
    let answer = post_protobuf(&[], &body);
    let partial = ExportTraceServiceResponse::decode(&*answer.body).unwrap().partial_success.unwrap();
    assert_eq!((answer.status, partial.rejected_spans, partial.error_message.is_empty()), (200, 1, false));

    let (good, bad) = (trace_id(), serde_json::json!({ "traceId": "0102" }));
    let spans = [json_span(&good, &serde_json::json!({})), json_span(&good, &bad)];
    let answer = post_json(json_request(&spans).to_string().as_bytes());
    assert_eq!((answer.status, &answer.json()["partialSuccess"]["rejectedSpans"]), (200, &"1".into()));
}

#[test]
fn r16_errors_of_routing_have_a_status_in_the_requests_encoding() {
    for (method, path, status) in
        [("POST", "/", 404), ("POST", "/v1/tracesx", 404), ("POST", "/v1/metrics", 404), ("GET", "/v1/traces", 405)]
    {
        for media_type in ["application/x-protobuf", "application/json"] {
            let answer = send(method, path, &[("content-type", media_type)], b"");
            assert_eq!((answer.status, answer.header("content-type")), (status, Some(media_type)), "{method} {path}");
            assert!(!answer.rpc_status().message.is_empty());
            assert_eq!(answer.header("allow").is_some(), status == 405);
        }
        assert_eq!(send(method, path, &[], b"").header("content-type"), Some("application/json"));
    }
}

#[test]
fn r18_bad_data_is_400_with_details() {
    let answer = post_protobuf(&[], b"\xff\xff\xff this is no protobuf");
    let status = answer.rpc_status();
    assert_eq!((answer.status, status.code), (400, 3));
    assert_eq!(status.details[0].type_url, "type.googleapis.com/google.rpc.BadRequest");
    let answer = post_json(b"{\"resourceSpans\": [");
    assert_eq!(
        (answer.status, &answer.json()["details"][0]["@type"]),
        (400, &status.details[0].type_url.clone().into())
    );
}

#[test]
fn r18_every_cut_of_a_protobuf_body_is_answered() {
    let whole = samples::protobuf();
    for end in 1..whole.len() {
        assert_eq!(post_protobuf(&[], &whole[..end]).status, 400, "cut at {end}");
    }
}

#[test]
fn r20_a_connection_is_kept_after_good_and_bad_requests() {
    let target = Target::shared();
    let mut connection = Connection::open(target.http());
    for (body, status) in [(samples::protobuf(), 200), (b"\xff".to_vec(), 400), (samples::protobuf(), 200)] {
        connection.send(&request("POST", "/v1/traces", &[PROTOBUF], &body));
        assert_eq!(connection.answer().status, status);
    }
}

#[test]
fn r20_browsers_may_ask_first() {
    let origin = ("origin", "https://shop.example");
    let ask = [origin, ("access-control-request-method", "POST"), ("access-control-request-headers", "content-type")];
    let answer = send("OPTIONS", "/v1/traces", &ask, b"");
    assert_eq!(answer.status, 204);
    assert!(answer.header("access-control-allow-headers").unwrap().contains("content-encoding"));
    assert!(answer.header("access-control-max-age").is_some());
    let answer = post_protobuf(&[origin], &samples::protobuf());
    assert!(answer.header("access-control-allow-origin").is_some());
}
