use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::archive::Durable;
use crate::archive::frame::MAX_RAW;
use crate::collector::outcome::Refusal;
use crate::collector::queue::{QueueReceiver, queue};
use crate::ids::Signal;
use crate::otlp::Encoding;
use crate::units::ByteSize;

fn intake(settings: ReceiveSettings) -> (Intake, QueueReceiver) {
    let (sender, receiver) = queue(1 << 20);
    let settings = Arc::new(ArcSwap::from_pointee(settings));
    (Intake::new(settings, sender, ReceiveMetrics::default(), Shutdown::new()), receiver)
}

fn request(intake: &Intake, compression: Compression, body: Vec<u8>) -> Request {
    let permit = intake.admit().unwrap();
    let (signal, encoding) = (Signal::Traces, Encoding::Protobuf);
    Request { signal, encoding, compression, body: Bytes::from(body), permit }
}

fn segment() -> Segment {
    Segment { lines: b"{}\n".to_vec(), line_count: 1, items: 1, ..Segment::default() }
}

/// Answers the first group with `result`, as an appender does.
fn answer_with(receiver: QueueReceiver, result: Result<(), NotStored>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for submission in receiver.recv_group(usize::MAX, Duration::from_mins(1)).unwrap() {
            submission.reply.resolve(result.map(|()| Durable::after_sync()));
        }
    })
}

#[tokio::test]
async fn an_empty_request_is_accepted_without_the_disk() {
    let (intake, _receiver) = intake(ReceiveSettings::default());
    let request = request(&intake, Compression::Identity, Vec::new());
    assert_eq!(intake.submit(request).await, Outcome::Accepted);
    assert_eq!(intake.budget.used(), 0);
}

#[tokio::test]
async fn what_the_appender_says_is_the_outcome() {
    for (result, expected) in
        [(Ok(()), Ok(())), (Err(NotStored::VolumeFull), Err(RetryReason::NotStored(NotStored::VolumeFull)))]
    {
        let (intake, receiver) = intake(ReceiveSettings::default());
        let appender = answer_with(receiver, result);
        assert_eq!(intake.store(vec![segment()], intake.admit().unwrap(), 1).await, expected);
        appender.join().unwrap();
    }
}

#[tokio::test]
async fn an_appender_that_is_gone_is_retryable() {
    let (intake, receiver) = intake(ReceiveSettings::default());
    drop(receiver);
    let stored = intake.store(vec![segment()], intake.admit().unwrap(), 1).await;
    assert_eq!(stored, Err(RetryReason::NotStored(NotStored::Draining)));
}

#[tokio::test]
async fn a_stopped_capture_takes_nothing_and_a_running_one_again() {
    let (intake, _receiver) = intake(ReceiveSettings::default());
    let stopped = ReceiveSettings { state: ReceiveState::Stopped, ..ReceiveSettings::default() };
    intake.settings.store(Arc::new(stopped));
    assert_eq!(intake.admit().unwrap_err(), Outcome::retry(RetryReason::Stopped));
    intake.settings.store(Arc::default());
    assert!(intake.admit().is_ok());
}

#[tokio::test]
async fn a_bomb_is_too_large_whether_it_is_inflated_here_or_on_a_thread() {
    for max in [100 << 10, 1 << 20] {
        let (intake, _receiver) =
            intake(ReceiveSettings { max_request_bytes: ByteSize(max), ..ReceiveSettings::default() });
        let bomb = zstd::encode_all(&vec![0; 4 << 20][..], 1).unwrap();
        let outcome = intake.submit(request(&intake, Compression::Zstd, bomb)).await;
        assert!(matches!(outcome, Outcome::Refused { refusal: Refusal::TooLarge, .. }), "{max}: {outcome:?}");
        assert_eq!(intake.budget.used(), 0);
    }
}

#[tokio::test]
async fn what_does_not_inflate_is_bad_data() {
    let (intake, _receiver) = intake(ReceiveSettings::default());
    let outcome = intake.submit(request(&intake, Compression::Gzip, b"no gzip".to_vec())).await;
    assert!(matches!(outcome, Outcome::Refused { refusal: Refusal::BadData, .. }), "{outcome:?}");
}

/// A protobuf field of a length.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(to_u64(value.len()), &mut bytes);
    bytes.extend_from_slice(value);
    bytes
}

/// A span with these fields besides its ids.
fn span(more: &[u8]) -> Vec<u8> {
    [field(1, &[1; 16]), field(2, &[2; 8]), more.to_vec()].concat()
}

async fn check_too_large(what: &str, body: Vec<u8>) {
    let settings = ReceiveSettings { max_request_bytes: ByteSize(256 << 20), ..ReceiveSettings::default() };
    let (intake, receiver) = intake(settings);
    // What got as far as the queue would be told to come back.
    drop(receiver);
    let outcome = intake.submit(request(&intake, Compression::Identity, body)).await;
    assert!(matches!(outcome, Outcome::Refused { refusal: Refusal::TooLarge, .. }), "{what}: {outcome:?}");
    assert_eq!(intake.budget.used(), 0, "{what}");
}

#[tokio::test]
async fn what_would_not_fit_into_a_frame_or_grows_without_measure_is_too_large() {
    // Control characters become six bytes each, so one span has more than a frame takes.
    let long_name = span(&field(5, &vec![1; (MAX_RAW / 6) + 1]));
    check_too_large("a long span", field(1, &field(2, &field(2, &long_name)))).await;
    // The resource stands in every line, and next to it a line has room for one span alone.
    let resource = field(1, &field(1, &[field(1, &vec![b'k'; 1 << 20]), field(2, &[])].concat()));
    let spans = field(2, &span(&[])).repeat(1_000);
    check_too_large("a repeated resource", field(1, &[resource, field(2, &spans)].concat())).await;
}

/// Sends a span name of so many control characters, six bytes each as JSON, beside `held` bytes of other requests.
async fn grown(len: usize, held: usize) -> Outcome {
    let (max_request_bytes, in_flight_bytes) = (ByteSize(256 << 10), ByteSize(1 << 20));
    let settings = ReceiveSettings { max_request_bytes, in_flight_bytes, ..ReceiveSettings::default() };
    let (intake, receiver) = intake(settings);
    // What gets as far as the queue is told so.
    drop(receiver);
    let mut other = intake.admit().unwrap();
    other.grow(held).unwrap();
    let body = field(1, &field(2, &field(2, &span(&field(5, &vec![1; len])))));
    let outcome = intake.submit(request(&intake, Compression::Identity, body)).await;
    assert_eq!(intake.budget.used(), to_u64(held));
    outcome
}

#[tokio::test]
async fn lines_are_counted_as_they_grow() {
    let queued = Outcome::retry(RetryReason::NotStored(NotStored::Draining));
    assert_eq!(grown(50_000, 0).await, queued);
    assert_eq!(grown(50_000, 900 << 10).await, Outcome::retry(RetryReason::Overloaded));
    // It would never fit, so it must not come again.
    let outcome = grown(200_000, 0).await;
    assert!(matches!(outcome, Outcome::Refused { refusal: Refusal::TooLarge, .. }), "{outcome:?}");
}

#[tokio::test]
async fn trace_ids_are_counted_while_lines_wait() {
    let (intake, receiver) = intake(ReceiveSettings::default());
    let of_trace = |n: u64| field(2, &[field(1, &[[9; 8], n.to_be_bytes()].concat()), field(2, &[2; 8])].concat());
    let spans: Vec<u8> = (0..10_000).flat_map(of_trace).collect();
    let request = request(&intake, Compression::Identity, field(1, &field(2, &spans)));
    let submitted = intake.submit(request);
    futures::pin_mut!(submitted);
    assert!(futures::poll!(&mut submitted).is_pending());
    let group = receiver.recv_group(usize::MAX, Duration::from_mins(1)).unwrap();
    let lines: usize = group.iter().flat_map(|of| &of.segments).map(|segment| segment.lines.capacity()).sum();
    assert!(intake.budget.used() >= to_u64(lines + 10_000 * 16), "{} for {lines}", intake.budget.used());
}

#[test]
fn clients_are_told_what_was_left_out() {
    let report = Report { accepted: 5, rejected: 2, ..Report::default() };
    assert!(matches!(outcome_of(&report), Outcome::Partial { rejected: 2, .. }));
    let warning = Report { accepted: 5, snake_case_keys: true, ..Report::default() };
    assert!(matches!(outcome_of(&warning), Outcome::Partial { rejected: 0, .. }));
    assert_eq!(outcome_of(&Report { accepted: 5, repaired_strings: 1, ..Report::default() }), Outcome::Accepted);
}
