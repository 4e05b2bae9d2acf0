//! Several processes on one directory: refused, beside each other, and one that slept too long.

use std::path::Path;

use crate::archive::{assert_holds, capture, chunks};
use crate::client::{post_one, wait_until};
use crate::load::{Load, SMALL};
use crate::support::{self, Run};

fn start(capture: &str, data_dir: &Path, writer: &str) -> Run {
    Run::start(&["-f", capture, "--data-dir", data_dir.to_str().unwrap(), "--writer-id", writer])
}

/// The chunks of a writer that are not sealed.
fn open_chunks(data_dir: &Path, writer: &str) -> usize {
    let of_writer =
        |ending: &str| chunks(data_dir, ending).iter().filter(|name| name.contains(&format!("_{writer}_"))).count();
    of_writer(".inprogress") + of_writer(".recovering")
}

#[test]
fn a_second_run_is_refused_with_the_owners_name_and_the_first_goes_on() {
    let first = Run::start(&[]);
    let dir = first.data_dir().to_str().unwrap();
    let free = ["--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--web-listen", "127.0.0.1:0"];
    let second = support::output(&[&["run", "--data-dir", dir], &free[..]].concat());
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    for part in [&format!("process {} on ", first.pid()), "--writer-id", "--data-dir"] {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
    assert_eq!(post_one(&first).1.status, 200);
}

#[test]
fn two_writers_that_are_killed_recover_their_own_at_start_and_the_others_later() {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let capture = capture(scratch.path(), "{chunk: {maxBytes: 64Ki}, recovery: {inactiveSeconds: 5}}");
    let runs = ["a", "b"].map(|writer| start(&capture, &data_dir, writer));
    let mut loads = runs.each_ref().map(|run| Load::start(run.http(), 3, SMALL));
    for load in &loads {
        load.wait_for_more(300);
    }
    // A chunk is open as long as it is not full: so late the kill meets one in either.
    wait_until("both have a chunk open", || ["a", "b"].iter().all(|writer| open_chunks(&data_dir, writer) > 0));
    runs.into_iter().for_each(Run::kill9);
    let mut acknowledged = loads[0].join();
    acknowledged.extend(loads[1].join());

    let b_left = open_chunks(&data_dir, "b");
    let a = start(&capture, &data_dir, "a");
    assert_eq!(open_chunks(&data_dir, "a"), 0, "{}", a.stderr());
    assert_eq!(open_chunks(&data_dir, "b"), b_left, "the chunk of the other may be written to: {}", a.stderr());
    wait_until("the other's is recovered", || open_chunks(&data_dir, "b") == 0);
    assert!(a.terminate().success());
    assert!(start(&capture, &data_dir, "b").terminate().success());
    let found = assert_holds(&data_dir, &acknowledged);
    assert!(found.values().all(|&count| count == 1), "a span is there twice");
}

#[test]
fn a_writer_that_slept_while_its_chunk_was_recovered_loses_and_damages_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let capture = capture(scratch.path(), "{recovery: {inactiveSeconds: 1}}");
    let (sleeper, other) = (start(&capture, &data_dir, "sleeper"), start(&capture, &data_dir, "other"));
    let load = Load::start(sleeper.http(), 6, SMALL);
    let mut others = 0;
    for round in 1..=3 {
        load.wait_for_more(200);
        sleeper.signal("STOP");
        wait_until("the chunk is recovered", || open_chunks(&data_dir, "sleeper") == 0);
        sleeper.signal("CONT");
        load.wait_for_more(200);
        let log = sleeper.stderr();
        let taken = log.matches("taken by recovery").count();
        assert!(taken >= round, "the writer does not know that its chunk was taken: {log}");
        // The other one receives all the while.
        others += u64::from(post_one(&other).1.status == 200);
    }
    assert_eq!(others, 3);
    let acknowledged = load.finish();
    assert!(sleeper.terminate().success());
    assert!(other.terminate().success());
    assert_eq!(chunks(&data_dir, ".inprogress"), Vec::<String>::new());
    assert_holds(&data_dir, &acknowledged);
}
