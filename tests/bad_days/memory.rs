//! What clients can cost: huge requests, many at once, cut ones; and that every span is counted.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::net::TcpStream;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::archive::{assert_holds, capture, capture_text};
use crate::client::{Client, get, message, metric, metric_sum, next_id, post_one, request, span, wait_until};
use crate::load::{Load, SMALL};
use crate::support::Run;

/// The default of `receiver.maxRequestBytes`.
const MAX_REQUEST: usize = 64 << 20;

/// The most that a process may have taken, whatever clients did: twice the budget of bytes in flight.
const MAX_RESIDENT_KIB: u64 = 512 << 10;

/// A request of exactly this many bytes: spans of a megabyte, the last one's name as long as it takes.
fn request_of(len: usize) -> (Vec<u64>, ExportTraceServiceRequest) {
    let named = |name_len: usize| Span { name: "n".repeat(name_len), ..span(next_id(), 0) };
    let mut spans: Vec<Span> = (0..len / (1 << 20)).map(|_| named((1 << 20) - 1_000)).collect();
    spans.push(named(10_000));
    let short = len - message(spans.clone()).encoded_len();
    let last = spans.last_mut().unwrap();
    last.name = "n".repeat(10_000 + short);
    // Lengths have lengths: what they grew by is taken off again.
    while message(spans.clone()).encoded_len() > len {
        spans.last_mut().unwrap().name.pop();
    }
    let request = message(spans);
    assert_eq!(request.encoded_len(), len);
    let ids = request.resource_spans[0].scope_spans[0].spans.iter();
    let ids = ids.map(|span| u64::from_be_bytes(span.span_id.clone().try_into().unwrap())).collect();
    (ids, request)
}

async fn grpc(run: &Run) -> TraceServiceClient<tonic::transport::Channel> {
    let client = TraceServiceClient::connect(run.grpc().to_owned()).await.unwrap();
    client.max_encoding_message_size(2 * MAX_REQUEST)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_is_exact_and_huge_requests_at_once_leave_memory_and_small_ones_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let run = Run::start(&["--data-dir", data_dir.to_str().unwrap()]);
    let (_, over) = request_of(MAX_REQUEST + 1);
    let refused = grpc(&run).await.export(over.clone()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused:?}");
    assert!(refused.details().is_empty(), "a client must not send it again");
    let over = over.encode_to_vec();
    let mut client = Client::connect(run.http()).unwrap();
    let len = over.len().to_string();
    // It may be refused by its announced length alone, so nobody waits for the body to be taken.
    let _ =
        client.begin("POST /v1/traces", &[("content-type", "application/x-protobuf"), ("content-length", &len)], &over);
    assert_eq!(client.head().unwrap().status, 413);

    let (ids, exact) = request_of(MAX_REQUEST);
    let small = Load::start(run.http(), 2, SMALL);
    let mut acknowledged: HashSet<u64> = HashSet::new();
    // The same request several times: what is sent twice may be stored twice.
    let calls = (0..3).map(|_| async { grpc(&run).await.export(exact.clone()).await });
    for answer in futures::future::join_all(calls).await {
        match answer {
            Ok(_) => acknowledged.extend(&ids),
            Err(status) => assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}"),
        }
    }
    assert!(!acknowledged.is_empty(), "one always gets through");
    small.wait_for_more(20);
    assert_eq!(small.retries(), 0, "huge requests leave room for small ones");
    acknowledged.extend(small.finish());
    let peak = run.peak_kib();
    println!("{peak} KiB resident at the most");
    assert!(peak <= MAX_RESIDENT_KIB, "{peak} KiB resident");
    wait_until("nothing is in flight", || metric(&run, "tracecapture_receive_in_flight_bytes") == 0);
    assert!(run.terminate().success());
    assert_holds(&data_dir, &acknowledged);
}

#[test]
fn clients_that_go_away_in_the_middle_leave_nothing_in_flight() {
    let run = Run::start(&[]);
    let authority = run.http().trim_start_matches("http://").to_owned();
    let head = "POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\n";
    let mut open = Vec::new();
    for n in 0..20 {
        let mut stream = TcpStream::connect(&authority).unwrap();
        let framing = if n % 2 == 0 { "content-length: 9000000\r\n\r\n" } else { "transfer-encoding: chunked\r\n\r\n" };
        stream.write_all(format!("{head}{framing}").as_bytes()).unwrap();
        if n % 2 == 1 {
            stream.write_all(b"80000\r\n").unwrap();
        }
        stream.write_all(&vec![0; 400_000]).unwrap();
        open.push(stream);
    }
    wait_until("the halves are counted", || metric(&run, "tracecapture_receive_in_flight_bytes") > 20 * 300_000);
    drop(open);
    // And some that send all of it, but do not stay for the answer.
    for _ in 0..20 {
        let body = request(&[next_id()], 100_000);
        let mut client = Client::connect(run.http()).unwrap();
        let len = body.len().to_string();
        client
            .begin("POST /v1/traces", &[("content-type", "application/x-protobuf"), ("content-length", &len)], &body)
            .unwrap();
    }
    wait_until("nothing is in flight", || metric(&run, "tracecapture_receive_in_flight_bytes") == 0);
    assert_eq!(post_one(&run).1.status, 200);
    wait_until("every span is accounted for", || {
        metric(&run, "tracecapture_receive_received_spans_total")
            == metric(&run, "tracecapture_receive_stored_spans_total")
                + metric_sum(&run, "tracecapture_receive_rejected_spans_total")
    });
}

#[test]
fn every_received_span_is_counted_as_stored_or_rejected() {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let file = capture(scratch.path(), "{recovery: {inactiveSeconds: 1}}");
    let run = Run::start(&["-f", &file, "--data-dir", data_dir.to_str().unwrap()]);
    let mut bare = Client::connect(run.web()).unwrap();
    bare.begin("GET /metrics", &[], b"").unwrap();
    assert_eq!(bare.head().unwrap().status, 401);
    let load = Load::start(run.http(), 3, SMALL);
    let mut client = Client::connect(run.http()).unwrap();
    for _ in 0..10 {
        let bad = Span { span_id: vec![0; 8], ..span(next_id(), 0) };
        let partial = client.post(&message(vec![span(next_id(), 0), bad.clone(), bad]).encode_to_vec()).unwrap();
        assert_eq!(partial.status, 200);
        assert_eq!(client.post(b"\x0a\xff not protobuf").unwrap().status, 400);
    }
    load.wait_for_more(100);
    fs::remove_dir_all(&data_dir).unwrap();
    wait_until("some cannot be stored", || load.retries() > 10);
    fs::create_dir(&data_dir).unwrap();
    load.wait_for_more(100);
    fs::write(&file, capture_text("{state: Stopped}")).unwrap();
    let refused = load.retries();
    wait_until("some are refused", || load.retries() > refused + 10);
    let stored = load.finish().len() as u64 + 10;
    let counted = |name: &str| metric_sum(&run, &format!("tracecapture_receive_{name}_total"));
    assert_eq!(counted("stored_spans"), stored);
    assert_eq!(metric(&run, "tracecapture_receive_rejected_spans_total{reason=\"InvalidId\"}"), 20);
    assert!(metric(&run, "tracecapture_receive_rejected_spans_total{reason=\"StorageFailed\"}") > 10);
    assert_eq!(counted("received_spans"), stored + counted("rejected_spans"));
    let summary = get(&run, "/api/v1/captures/default/local").json();
    assert_eq!(summary["received"]["stored"], stored);
    assert_eq!(summary["received"]["rejected"], counted("rejected_spans"));
}
