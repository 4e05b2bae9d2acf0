//! OTLP/gRPC.

use std::time::Duration;

use futures::future::join_all;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

use crate::grpc_client::{EXPORT, call, connect_to, endless, export, frame, request, whole};
use crate::samples::{self, MAX_BYTES, trace_id};
use crate::target::Target;

async fn client(target: &Target) -> TraceServiceClient<Channel> {
    let client = TraceServiceClient::connect(format!("http://{}", target.grpc())).await.unwrap();
    client.max_encoding_message_size(usize::MAX)
}

async fn check_refused(headers: &[(&str, &str)], body: Vec<u8>, status: i32, details: &[&str]) {
    let reply = export(headers, body).await;
    assert_eq!((reply.http_status, reply.status), (200, status), "{reply:?}");
    assert_eq!(reply.detail_types(), details, "{reply:?}");
}

#[tokio::test]
async fn r01_a_stock_client_sends_plain_and_gzip() {
    let target = Target::shared();
    let plain = client(&target).await;
    let clients = [
        plain.clone(),
        plain.clone().send_compressed(CompressionEncoding::Gzip),
        plain.send_compressed(CompressionEncoding::Zstd),
    ];
    for mut client in clients {
        let response = client.export(samples::request(vec![samples::span(&trace_id())])).await.unwrap();
        assert_eq!(response.into_inner().partial_success, None);
    }
}

#[tokio::test]
async fn r02_concurrent_calls_on_one_connection_all_succeed() {
    let target = Target::shared();
    let client = client(&target).await;
    let calls = (0..500).map(|_| {
        let mut client = client.clone();
        async move { client.export(samples::request(vec![samples::span(&trace_id())])).await.map(|_| ()) }
    });
    for result in join_all(calls).await {
        result.unwrap();
    }
}

#[tokio::test]
async fn r03_a_message_over_the_limit_is_refused_for_good() {
    let _large = samples::LARGE.lock().await;
    check_refused(&[], frame(0, &vec![0; MAX_BYTES + 1]), 8, &[]).await;
}

#[tokio::test]
async fn r03_a_message_that_announces_too_much_is_refused_at_once() {
    let target = Target::shared();
    let mut sender = connect_to(target.grpc()).await;
    let begin = [&[0], &u32::try_from(MAX_BYTES + 1).unwrap().to_be_bytes()[..]].concat();
    let reply = call(&mut sender, request(EXPORT, &[], endless(begin))).await;
    assert_eq!((reply.status, reply.detail_types()), (8, vec![]));
}

#[tokio::test]
async fn r03_a_message_just_below_the_limit_is_taken() {
    let target = Target::alone();
    let span = Span { name: "x".repeat(MAX_BYTES - 1024), ..samples::span(&trace_id()) };
    client(&target).await.export(samples::request(vec![span])).await.unwrap();
}

#[tokio::test]
async fn r05_empty_requests_succeed_with_partial_success_unset() {
    let reply = export(&[], frame(0, b"")).await;
    assert_eq!((reply.status, &*reply.body), (0, &[0; 5][..]));
    let target = Target::shared();
    let response = client(&target).await.export(ExportTraceServiceRequest::default()).await.unwrap();
    assert_eq!(response.into_inner().partial_success, None);
}

#[tokio::test]
async fn r06_partial_success_tells_the_rejected_spans() {
    let target = Target::shared();
    let bad = Span { span_id: vec![0; 8], ..samples::span(&trace_id()) };
    let request = samples::request(vec![bad.clone(), samples::span(&trace_id()), bad]);
    let partial = client(&target).await.export(request).await.unwrap().into_inner().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 2);
    assert!(!partial.error_message.is_empty());
}

#[tokio::test]
async fn r07_bad_data_is_invalid_argument_with_details() {
    check_refused(&[], frame(0, b"\xff\xff\xff no protobuf"), 3, &["google.rpc.BadRequest"]).await;
}

#[tokio::test]
async fn r09_calls_have_exactly_one_whole_message() {
    let message = frame(0, &samples::protobuf());
    let bodies = [
        vec![],
        message[..3].to_vec(),
        message[..5].to_vec(),
        message[..message.len() - 1].to_vec(),
        [&message[..], &message[..]].concat(),
        [&[2], &message[1..]].concat(),
    ];
    for body in bodies {
        check_refused(&[], body, 3, &["google.rpc.BadRequest"]).await;
    }
}

#[tokio::test]
async fn r09_other_methods_and_services_are_unimplemented() {
    let target = Target::shared();
    let mut sender = connect_to(target.grpc()).await;
    for path in [
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
        "/",
    ] {
        let reply = call(&mut sender, request(path, &[], whole(frame(0, b"")))).await;
        assert_eq!((reply.http_status, reply.status), (200, 12), "{path}");
    }
}

#[tokio::test]
async fn r09_an_unknown_encoding_is_unimplemented_and_the_known_ones_are_named() {
    let reply = export(&[("grpc-encoding", "banana")], frame(1, b"x")).await;
    assert_eq!(reply.status, 12);
    let accepted = reply.headers["grpc-accept-encoding"].to_str().unwrap();
    assert!(["identity", "gzip", "zstd", "snappy"].iter().all(|name| accepted.contains(name)), "{accepted}");
}

#[tokio::test]
async fn r09_a_compressed_flag_without_encoding_is_internal() {
    check_refused(&[], frame(1, &samples::protobuf()), 13, &[]).await;
    check_refused(&[("grpc-encoding", "identity")], frame(1, &samples::protobuf()), 13, &[]).await;
}

#[tokio::test]
async fn r09_a_plain_message_may_come_under_an_encoding() {
    assert_eq!(export(&[("grpc-encoding", "gzip")], frame(0, &samples::protobuf())).await.status, 0);
}

#[tokio::test]
async fn r09_another_content_type_is_415() {
    for media_type in ["application/json", "application/grpc-web", "application/grpcx"] {
        assert_eq!(export(&[("content-type", media_type)], frame(0, b"")).await.http_status, 415, "{media_type}");
    }
    assert_eq!(export(&[("content-type", "application/grpc+proto")], frame(0, b"")).await.status, 0);
}

#[tokio::test]
async fn r09_the_clients_deadline_is_kept() {
    let target = Target::shared();
    let mut sender = connect_to(target.grpc()).await;
    let half = frame(0, &samples::protobuf())[..20].to_vec();
    let reply = call(&mut sender, request(EXPORT, &[("grpc-timeout", "50m")], endless(half))).await;
    assert_eq!(reply.status, 4);
}

#[tokio::test]
async fn r09_many_pings_of_a_client_are_answered() {
    let target = Target::shared();
    let endpoint = Channel::from_shared(format!("http://{}", target.grpc())).unwrap();
    let endpoint = endpoint.http2_keep_alive_interval(Duration::from_millis(5)).keep_alive_while_idle(true);
    let mut client = TraceServiceClient::new(endpoint.connect().await.unwrap());
    for _ in 0..200 {
        client.export(samples::request(vec![samples::span(&trace_id())])).await.unwrap();
    }
}

#[tokio::test]
async fn r09_a_grpc_client_on_the_http_address_is_served() {
    let target = Target::shared();
    let mut sender = connect_to(target.http()).await;
    let reply = call(&mut sender, request(EXPORT, &[], whole(frame(0, &samples::protobuf())))).await;
    assert_eq!(reply.status, 0);
}

#[tokio::test]
async fn r10_otlp_http_works_over_http_2() {
    let target = Target::shared();
    let mut sender = connect_to(target.http()).await;
    let headers = [("content-type", "application/x-protobuf")];
    let reply = call(&mut sender, request("/v1/traces", &headers, whole(samples::protobuf()))).await;
    assert_eq!((reply.http_status, &*reply.body), (200, &b""[..]));
}

#[tokio::test]
async fn r16_messages_are_escaped_and_always_readable() {
    let target = Target::shared();
    let mut sender = connect_to(target.grpc()).await;
    let reply = call(&mut sender, request("/%E4%B8/%00", &[], whole(frame(0, b"")))).await;
    assert_eq!(reply.status, 12);
    assert!(reply.all["grpc-message"].to_str().is_ok());
}

#[tokio::test]
async fn r37_a_request_of_unknown_fields_alone_is_an_empty_one() {
    // Field 1000 with a length of two, field 1001 as a varint.
    let unknown = [0xc2, 0x3e, 0x02, 0x00, 0x00, 0xc8, 0x3e, 0x07];
    assert_eq!(export(&[], frame(0, &unknown)).await.status, 0);
    assert!(ExportTraceServiceRequest::decode(&unknown[..]).is_ok());
}
