//! An endpoint that says what a test wants, on a clock that a test moves.

use std::collections::VecDeque;
use std::path::PathBuf;

use bytes::Bytes;
use clap::Parser as _;
use tokio::sync::mpsc;

use super::*;
use crate::otlp::export::Shift;
use crate::tools::replay::args::ReplayArgs;
use crate::tools::replay::checkpoint::Tally;
use crate::tools::replay::position::{Place, Position};

/// Gives one answer after the other, then only takes; notes what came when.
#[derive(Default)]
struct Fake {
    answers: VecDeque<Option<Answer>>,
    /// Seconds since the beginning, and the first byte of the body.
    seen: Vec<(u64, u8)>,
    begun: Option<Instant>,
}

impl Endpoint for Fake {
    async fn export(&mut self, body: Bytes) -> Answer {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        self.seen.push((begun.elapsed().as_secs(), body[0]));
        match self.answers.pop_front() {
            Some(Some(answer)) => answer,
            // An endpoint that never answers.
            Some(None) => std::future::pending().await,
            None => accepted(0, ""),
        }
    }
}

fn accepted(rejected: u64, message: &str) -> Answer {
    Answer::Accepted { rejected, message: message.to_owned() }
}

fn retry(after: Option<u64>) -> Answer {
    Answer::Retry { after: after.map(Duration::from_secs), what: "busy".to_owned() }
}

fn batch(number: u8) -> Batch {
    let place = Place { line: u64::from(number), ..Place::default() };
    let upto = Position { place, ..Position::default() };
    Batch {
        body: Bytes::from(vec![number]),
        spans: 10,
        upto: vec![upto],
        elapsed: Duration::from_secs(u64::from(number)),
    }
}

#[derive(Debug, clap::Parser)]
struct Typed {
    #[command(flatten)]
    replay: ReplayArgs,
}

fn delivery(answers: Vec<Option<Answer>>, file: Option<PathBuf>) -> Delivery<Fake> {
    let args = Typed::parse_from(["replay", "x", "--to", "http://h"]).replay;
    Delivery {
        endpoint: Fake { answers: answers.into(), ..Fake::default() },
        pace: Pace::new(None, None),
        patience: Duration::from_mins(5),
        checkpoint: Checkpoint::new(&args, Shift(7)),
        file: file.map(CheckpointFile::new),
        tasks: Shutdown::new(),
        stop: CancellationToken::new(),
    }
}

async fn run(delivery: &mut Delivery<Fake>, batches: u8) -> Ended {
    let (sender, receiver) = mpsc::channel(usize::from(batches.max(1)));
    for number in 1..=batches {
        sender.send(batch(number)).await.unwrap();
    }
    drop(sender);
    delivery.run(receiver).await
}

/// Sends two batches of ten spans; checks how it ends, and the spans sent, rejected and failed.
async fn check(
    answers: Vec<Option<Answer>>,
    ended: Ended,
    (sent, rejected, failed): (u64, u64, u64),
) -> Vec<(u64, u8)> {
    let mut delivery = delivery(answers, None);
    assert_eq!(run(&mut delivery, 2).await, ended);
    let read = sent + rejected + failed;
    assert_eq!(delivery.checkpoint.tally, Tally { read, sent, rejected, failed });
    delivery.endpoint.seen
}

#[tokio::test(start_paused = true)]
async fn every_span_is_sent_rejected_or_failed() {
    assert_eq!(check(vec![], Ended::Drained, (20, 0, 0)).await, [(0, 1), (0, 2)]);
    check(vec![Some(accepted(3, "too old"))], Ended::Drained, (17, 3, 0)).await;
    check(vec![Some(accepted(99, "more than there are"))], Ended::Drained, (10, 10, 0)).await;
    let refused = || Some(Answer::Refused { what: "bad data".to_owned() });
    check(vec![refused()], Ended::Drained, (10, 0, 10)).await;
    check(vec![refused(), refused()], Ended::Drained, (0, 0, 20)).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_retried_until_it_is_taken_and_before_the_next_one() {
    let seen = check(vec![Some(retry(None)), Some(retry(None))], Ended::Drained, (20, 0, 0)).await;
    assert_eq!(seen.iter().map(|(_, batch)| *batch).collect::<Vec<_>>(), [1, 1, 1, 2]);
    let seen = check(vec![Some(retry(Some(20))), Some(retry(Some(7)))], Ended::Drained, (20, 0, 0)).await;
    let [(0, 1), (first @ 20..=22, 1), (second, 1), (_, 2)] = seen[..] else { panic!("{seen:?}") };
    assert!((first + 7..=first + 8).contains(&second), "never before the endpoint asks for it: {seen:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_never_answers_is_asked_again() {
    let seen = check(vec![None], Ended::Drained, (20, 0, 0)).await;
    assert!(matches!(seen[..], [(0, 1), (30 | 31, 1), (_, 2)]), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn patience_ends() {
    let what = "the endpoint did not take a batch in time: busy".to_owned();
    let answers = (0..200).map(|_| Some(retry(None))).collect();
    let seen = check(answers, Ended::GaveUp(what.clone()), (0, 0, 0)).await;
    let last = seen.last().unwrap().0;
    assert!((269..=300).contains(&last) && seen.len() < 30, "{last} s, {} attempts", seen.len());
    let seen = check(vec![Some(retry(Some(301)))], Ended::GaveUp(what), (0, 0, 0)).await;
    assert_eq!(seen, [(0, 1)], "nobody waits for what comes too late");
    let what = "the endpoint did not take a batch in time: busy".to_owned();
    check(vec![Some(retry(Some(u64::MAX)))], Ended::GaveUp(what), (0, 0, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_asks_for_no_wait_is_not_hammered() {
    let what = "the endpoint did not take a batch in time: busy".to_owned();
    let answers = (0..200).map(|_| Some(retry(Some(0)))).collect();
    let seen = check(answers, Ended::GaveUp(what), (0, 0, 0)).await;
    assert!(seen.len() < 30, "{} attempts", seen.len());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_takes_nothing_ends_it() {
    let unusable = Answer::Unusable { code: ExitCode::Denied, what: "no".to_owned() };
    let ended = Ended::Refused { code: ExitCode::Denied, what: "no".to_owned() };
    check(vec![Some(accepted(0, "")), Some(unusable)], ended, (10, 0, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn batches_leave_at_the_pace_of_the_capture() {
    let mut delivery = delivery(vec![], None);
    delivery.pace = Pace::new(None, Some(0.5));
    assert_eq!(run(&mut delivery, 3).await, Ended::Drained);
    assert_eq!(delivery.endpoint.seen, [(0, 1), (2, 2), (4, 3)]);
}

#[tokio::test(start_paused = true)]
async fn the_checkpoint_is_what_has_an_outcome_whatever_is_in_flight() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    let mut delivery = delivery(vec![Some(accepted(1, "")), None], Some(path.clone()));
    // As if the process was killed while the second batch was in flight.
    let cut = timeout(Duration::from_secs(20), run(&mut delivery, 3)).await;
    assert!(cut.is_err() && delivery.endpoint.seen.len() == 2);
    let known = CheckpointFile::new(path).read().unwrap().unwrap();
    assert_eq!(known.tally, Tally { read: 10, sent: 9, rejected: 1, failed: 0 });
    assert_eq!((known.done.last().unwrap().place.line, known.shift()), (1, Shift(7)));
}

#[tokio::test(start_paused = true)]
async fn who_ends_it_waits_for_the_batch_in_flight_but_not_for_ever() {
    let mut delivery = delivery(vec![None], None);
    let (stop, begun) = (delivery.stop.clone(), Instant::now());
    let stopping = async {
        sleep(Duration::from_secs(10)).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(run(&mut delivery, 2), stopping);
    assert_eq!((ended, begun.elapsed()), (Ended::Interrupted, Duration::from_secs(10) + GRACE));
    assert_eq!(delivery.checkpoint.done.last(), None);
}

#[test]
fn waits_double_and_are_spread_and_an_endpoint_is_never_asked_too_early() {
    let least = |n| back_off(n, None, 0).as_millis();
    assert_eq!([0, 1, 2, 5, 6, 60].map(least), [250, 500, 1_000, 8_000, 15_000, 15_000]);
    assert_eq!(back_off(0, None, u16::MAX), FIRST_WAIT);
    let asked = Duration::from_mins(1);
    assert_eq!(back_off(5, Some(Duration::from_secs(1)), 0), Duration::from_secs(8));
    assert_eq!((back_off(3, Some(asked), 0), back_off(3, Some(asked), u16::MAX)), (asked, Duration::from_secs(63)));
}
