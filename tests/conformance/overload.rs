//! Answers that ask a client to come back: the capture is stopped, too much is in flight, the storage is gone.
//!
//! These causes cannot be brought about at an endpoint that is not ours, so only ours is looked at.

use std::fs::remove_dir_all;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use prost::Message;

use crate::grpc_client::{Reply, endless, export_to, frame, whole};
use crate::http_client::{Answer, Connection, post_to};
use crate::samples::{self, MAX_BYTES, json_request, json_span, trace_id};
use crate::target::Target;

const UNAVAILABLE: i32 = 14;

/// Longer than socket buffers and half of what is announced, so that the receiver holds room for all of it.
const HELD_BYTES: usize = 48 << 20;

/// How long a slow client waits before its next byte; far shorter than a receiver's patience.
const PACE: Duration = Duration::from_millis(100);

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// A call that should come again, and says when.
#[track_caller]
fn check_reply(reply: &Reply) {
    assert_eq!((reply.http_status, reply.status), (200, UNAVAILABLE), "{reply:?}");
    let status = reply.details().unwrap();
    assert_eq!((status.code, status.message.is_empty()), (UNAVAILABLE, false), "{reply:?}");
    assert_eq!(reply.detail_types(), ["google.rpc.RetryInfo"]);
    let delay = RetryInfo::decode(&*status.details[0].value).unwrap().retry_delay.unwrap();
    assert!(delay.seconds >= 0 && delay.nanos >= 0 && (delay.seconds, delay.nanos) != (0, 0), "{delay:?}");
}

/// An answer over HTTP that should come again, and says when.
#[track_caller]
fn check_answer(answer: &Answer, media_type: &str) {
    assert_eq!((answer.status, answer.header("content-type")), (503, Some(media_type)), "{answer:?}");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds >= 1, "{answer:?}");
    let status = answer.rpc_status();
    assert_eq!((status.code, status.message.is_empty()), (UNAVAILABLE, false), "{answer:?}");
}

async fn check_over_grpc(target: &Target) {
    for body in [samples::protobuf(), samples::protobuf_of(1 << 20)] {
        check_reply(&export_to(target, &[], whole(frame(0, &body))).await);
    }
}

fn check_over_http(target: &Target) {
    let json = json_request(&[json_span(&trace_id(), &serde_json::json!({}))]).to_string();
    for (media_type, body) in [
        ("application/x-protobuf", samples::protobuf()),
        ("application/x-protobuf", samples::protobuf_of(1 << 20)),
        ("application/json", json.into_bytes()),
    ] {
        check_answer(&post_to(target, media_type, &body), media_type);
    }
}

#[tokio::test]
async fn r08_a_stopped_capture_is_unavailable_for_a_while() {
    let Some(target) = Target::under("{state: Stopped}") else { return };
    check_over_grpc(&target).await;
}

#[test]
fn r19_a_stopped_capture_is_503_with_retry_after() {
    let Some(target) = Target::under("{state: Stopped}") else { return };
    check_over_http(&target);
}

#[tokio::test]
async fn r08_r19_too_much_in_flight_is_asked_to_come_back() {
    let Some(target) = Target::under("{}") else { return };
    let slow: Vec<_> = (0..4).map(|_| slow_client(target.http())).collect();
    for (sent, _) in &slow {
        sent.recv().unwrap();
    }
    check_answer(&refused_announcement(&target), "application/json");
    let begin = [&[0], &u32::try_from(MAX_BYTES).unwrap().to_be_bytes()[..]].concat();
    check_reply(&export_to(&target, &[], endless(begin)).await);
    // Small ones get through all the same.
    assert_eq!(post_to(&target, "application/x-protobuf", &samples::protobuf()).status, 200);
    drop(slow);
}

#[test]
fn r17_a_body_that_stops_is_asked_to_come_back() {
    let Some(target) = Target::under("{}") else { return };
    let bodies = [("application/x-protobuf", samples::protobuf()), ("application/json", b"{}".to_vec())];
    // Both first, so that the receiver's patience is waited for once.
    let open = bodies.map(|(media_type, body)| {
        let mut connection = Connection::open(target.http());
        let head = format!("POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {media_type}");
        connection.send(format!("{head}\r\ncontent-length: {}\r\n\r\n", body.len() + 1).as_bytes());
        connection.send(&body);
        (media_type, connection)
    });
    for (media_type, mut connection) in open {
        check_answer(&connection.answer(), media_type);
        assert!(connection.closes(), "the rest of the body would be taken for a request");
    }
}

/// Announces a body of the largest size, and sends most of it, then a byte at a time, until the sender is dropped.
fn slow_client(address: &str) -> (Receiver<()>, Sender<()>) {
    let (mut connection, (has_sent, sent), (holder, released)) =
        (Connection::open(address), channel(), channel::<()>());
    thread::spawn(move || {
        let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json";
        connection.send(format!("{head}\r\ncontent-length: {MAX_BYTES}\r\n\r\n").as_bytes());
        // The last of them is refused itself, and its connection closed.
        connection.send_ignoring_close(&vec![b' '; HELD_BYTES]);
        has_sent.send(()).unwrap();
        while released.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
            connection.send_ignoring_close(b" ");
        }
    });
    (sent, holder)
}

/// Announces large bodies, none of which is sent, until one is refused.
fn refused_announcement(target: &Target) -> Answer {
    let head = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue";
    // More than one, because what was sent may not all be read yet.
    let answers = (0..10_000).map(|_| {
        let mut connection = Connection::open(target.http());
        connection.send(format!("{head}\r\ncontent-length: {MAX_BYTES}\r\n\r\n").as_bytes());
        connection.answer()
    });
    answers.into_iter().find(|answer| answer.status != 100).unwrap()
}

/// What may become of a data directory while a chunk in it is written.
const LOSSES: [fn(&Path); 3] = [
    |data_dir| remove_dir_all(data_dir).unwrap(),
    |data_dir| {
        // Nobody can make files there, whoever the test runs as.
        remove_dir_all(data_dir).unwrap();
        symlink("/proc", data_dir).unwrap();
    },
    |data_dir| {
        remove_dir_all(data_dir.join("chunks")).unwrap();
        symlink("/nowhere", data_dir.join("chunks")).unwrap();
    },
];

#[tokio::test]
async fn r17_storage_that_is_gone_is_never_a_final_error() {
    for lose in LOSSES {
        let Some(target) = Target::under("{}") else { return };
        assert_eq!(post_to(&target, "application/x-protobuf", &samples::protobuf()).status, 200);
        lose(target.data_dir());
        check_over_http(&target);
        check_over_grpc(&target).await;
    }
}
