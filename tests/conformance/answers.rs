//! The size and the form of answers, whatever a request provokes.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use prost::Message;
use serde_json::json;

use crate::grpc_client::{Reply, call, connect_to, export, frame, request, whole};
use crate::http_client::{Answer, post_json, post_protobuf, send};
use crate::samples::{self, json_request, json_span, trace_id};
use crate::target::Target;

/// Far below the 4 MiB that an answer may have, and below what clients take as headers by default.
const MAX_ANSWER_BYTES: usize = 8 << 10;

/// Spans of which none is valid, in many ways.
const N_BAD: usize = 30_000;

fn bad_spans() -> Vec<u8> {
    let bad = |n: usize| {
        let links = vec![Link { trace_id: vec![1; n % 16], ..Link::default() }];
        Span { trace_id: vec![7; n % 16], name: format!("bad {n}"), links, ..samples::span(&trace_id()) }
    };
    samples::request((0..N_BAD).map(bad).collect()).encode_to_vec()
}

fn bad_json_spans() -> String {
    let bad = |n: usize| json_span(&trace_id(), &json!({ "spanId": "g".repeat(n % 40), "links": [{ "spanId": "x" }] }));
    json_request(&(0..N_BAD).map(bad).collect::<Vec<_>>()).to_string()
}

#[track_caller]
fn check_small(answer: &Answer) {
    let headers: usize = answer.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(headers + answer.body.len() < MAX_ANSWER_BYTES, "{} bytes of body", answer.body.len());
}

#[track_caller]
fn check_small_reply(reply: &Reply) {
    let headers: usize = reply.all.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    assert!(headers + reply.body.len() < MAX_ANSWER_BYTES, "{headers} bytes of headers, {} of body", reply.body.len());
}

#[tokio::test]
async fn r04_thousands_of_bad_spans_get_a_small_reply() {
    let reply = export(&[], frame(0, &bad_spans())).await;
    assert_eq!(reply.status, 0, "{reply:?}");
    let partial = ExportTraceServiceResponse::decode(&reply.body[5..]).unwrap().partial_success.unwrap();
    assert_eq!(usize::try_from(partial.rejected_spans).unwrap(), N_BAD);
    check_small_reply(&reply);
}

#[test]
fn r14_thousands_of_bad_spans_get_a_small_answer() {
    let answer = post_protobuf(&[], &bad_spans());
    let partial = ExportTraceServiceResponse::decode(&*answer.body).unwrap().partial_success.unwrap();
    assert_eq!((answer.status, usize::try_from(partial.rejected_spans).unwrap()), (200, N_BAD));
    check_small(&answer);
    let answer = post_json(bad_json_spans().as_bytes());
    let rejected = answer.json()["partialSuccess"]["rejectedSpans"].clone();
    assert_eq!((answer.status, rejected), (200, json!(N_BAD.to_string())));
    check_small(&answer);
}

#[tokio::test]
async fn r04_what_is_quoted_into_a_reply_is_cut() {
    let target = Target::shared();
    let long = "%C3%BC\u{1}%".repeat(1_000).replace('\u{1}', "%01");
    let reply = call(&mut connect_to(target.grpc()).await, request(&format!("/{long}"), &[], whole(vec![]))).await;
    assert_eq!(reply.status, 12);
    check_small_reply(&reply);
    let reply = export(&[("grpc-encoding", &long)], frame(1, b"x")).await;
    assert_eq!(reply.status, 12);
    check_small_reply(&reply);
}

#[test]
fn r14_what_is_quoted_into_an_answer_is_cut() {
    let long = "%C3%BC\\\"%".repeat(5_000).replace("\\\"", "%22");
    for media_type in ["application/x-protobuf", "application/json"] {
        let answer = send("POST", &format!("/{long}"), &[("content-type", media_type)], b"");
        assert_eq!(answer.status, 404);
        check_small(&answer);
        let headers = [("content-type", media_type), ("content-encoding", &*long)];
        let answer = send("POST", "/v1/traces", &headers, b"");
        assert_eq!(answer.status, 415);
        check_small(&answer);
    }
}

#[test]
fn r14_a_client_that_takes_gzip_gets_an_answer_as_it_is() {
    let accept = ("accept-encoding", "gzip");
    let bad = Span { span_id: vec![], ..samples::span(&trace_id()) };
    let answer = post_protobuf(&[accept], &samples::request(vec![bad]).encode_to_vec());
    let partial = ExportTraceServiceResponse::decode(&*answer.body).unwrap().partial_success.unwrap();
    assert_eq!((answer.status, partial.rejected_spans, answer.header("content-encoding")), (200, 1, None));
    let answer = post_protobuf(&[accept], b"\xff");
    assert_eq!((answer.status, answer.rpc_status().code, answer.header("content-encoding")), (400, 3, None));
}

#[tokio::test]
async fn r04_a_client_that_takes_gzip_gets_a_reply_as_it_is() {
    let bad = Span { span_id: vec![], ..samples::span(&trace_id()) };
    let body = frame(0, &samples::request(vec![bad]).encode_to_vec());
    let reply = export(&[("grpc-accept-encoding", "gzip")], body).await;
    assert_eq!((reply.status, reply.body[0], reply.headers.get("grpc-encoding")), (0, 0, None));
    let partial = ExportTraceServiceResponse::decode(&reply.body[5..]).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
}

#[test]
fn r16_a_head_without_bounds_ends_the_connection() {
    // Such a head never becomes a request, so there is no encoding to answer in: a bare status, and the end.
    let target = Target::shared();
    for (line, status) in [
        (format!("x-long: {}", "y".repeat(70_000)), 431),
        ("a: b\r\n".repeat(200) + "c: d", 431),
        ("no header at all".to_owned(), 400),
    ] {
        let mut connection = crate::http_client::Connection::open(target.http());
        connection.send_ignoring_close(format!("POST /v1/traces HTTP/1.1\r\nhost: x\r\n{line}\r\n\r\n").as_bytes());
        assert_eq!(connection.answer().status, status);
        assert!(connection.closes());
    }
}
