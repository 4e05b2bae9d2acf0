//! Clients that do not behave: bounded, and the others do not notice.

use std::net::TcpStream;

use crate::grpc_client::{export, frame};
use crate::http_client::{Connection, post_protobuf, request};
use crate::samples;
use crate::target::Target;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Both transports take a request while `others` are there.
async fn check_served_beside<T>(others: T) {
    assert_eq!(post_protobuf(&[], &samples::protobuf()).status, 200);
    assert_eq!(export(&[], frame(0, &samples::protobuf())).await.status, 0);
    drop(others);
}

#[tokio::test]
async fn r02_many_idle_connections_do_not_hinder() {
    let target = Target::shared();
    let idle: Vec<_> = (0..1_000.min(max_files() / 2))
        .map(|i| TcpStream::connect(if i % 2 == 0 { target.http() } else { target.grpc() }).unwrap())
        .collect();
    check_served_beside(idle).await;
}

/// How many files a process may have open: both sides have the same limit, and other tests need some, too.
#[expect(clippy::disallowed_methods, reason = "a file of the system's")]
fn max_files() -> usize {
    let limits = std::fs::read("/proc/self/limits").map(|text| String::from_utf8(text).unwrap()).unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    // 256 where the system has no such file: the least there is.
    line.and_then(|line| line.split_whitespace().next()).map_or(256, |soft| soft.parse().unwrap_or(usize::MAX))
}

#[tokio::test]
async fn r02_half_sent_requests_do_not_hinder() {
    let target = Target::shared();
    let whole = request("POST", "/v1/traces", &[("content-type", "application/x-protobuf")], &[0; 1000]);
    let half_sent = |address: &str, begin: &[u8]| {
        let mut connection = Connection::open(address);
        connection.send(begin);
        connection
    };
    let mut open: Vec<_> = (0..100).map(|i| half_sent(target.http(), &whole[..10 + i * 10])).collect();
    open.extend((1..PREFACE.len()).map(|end| half_sent(target.grpc(), &PREFACE[..end])));
    check_served_beside(open).await;
}

#[tokio::test]
async fn r02_large_announcements_do_not_take_the_memory_of_others() {
    let target = Target::shared();
    let head =
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 67000000\r\n\r\n[";
    let open: Vec<_> = (0..50)
        .map(|_| {
            let mut connection = Connection::open(target.http());
            connection.send(head.as_bytes());
            connection
        })
        .collect();
    check_served_beside(open).await;
}

#[tokio::test]
async fn r09_a_flood_of_continuations_ends_the_connection() {
    let target = Target::shared();
    let mut connection = Connection::open(target.grpc());
    connection.send(PREFACE);
    // HEADERS on stream 1 without END_HEADERS, then CONTINUATION frames of one literal header each.
    let header = b"\0\x01x\x7f\x81\x01";
    let literal: Vec<u8> = [&header[..], &[b'y'; 256]].concat();
    connection.send(&h2_frame(1, 0, &literal));
    let flood: Vec<u8> = (0..1_000).flat_map(|_| h2_frame(9, 0, &literal)).collect();
    connection.send_ignoring_close(&flood);
    assert!(connection.closes());
    check_served_beside(()).await;
}

fn h2_frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&len[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
}

#[tokio::test]
async fn r10_what_is_no_http_is_closed() {
    let target = Target::shared();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n"[..],
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GARBAGE\r\n\r\n",
    ] {
        for address in [target.grpc(), target.http()] {
            let mut connection = Connection::open(address);
            connection.send(garbage);
            assert!(connection.closes());
        }
    }
    check_served_beside(()).await;
}

#[test]
fn r10_transfer_encoding_beside_content_length_is_answered_and_closed() {
    let target = Target::shared();
    for lengths in
        ["transfer-encoding: chunked\r\ncontent-length: 3\r\n", "content-length: 3\r\ntransfer-encoding: chunked\r\n"]
    {
        let mut connection = Connection::open(target.http());
        let head = format!("POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{lengths}\r\n");
        connection.send(head.as_bytes());
        connection.send(b"2\r\n{}\r\n0\r\n\r\n");
        assert_eq!(connection.answer().status, 200, "{lengths}");
        assert!(connection.closes(), "{lengths}");
    }
}

#[test]
fn r10_http_on_the_grpc_address_is_told_so() {
    let target = Target::shared();
    let mut connection = Connection::open(target.grpc());
    connection.send(&request("POST", "/v1/traces", &[("content-type", "application/x-protobuf")], b""));
    let answer = connection.answer();
    assert_eq!(answer.status, 415);
    assert!(answer.rpc_status().message.contains("grpc"));
}
