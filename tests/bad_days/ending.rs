//! The end of a process: SIGTERM under load, a second signal while it drains, and a terminal that is closed.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::archive::{assert_holds, capture, chunks};
use crate::client::{Client, post_one, wait_until};
use crate::load::{Load, SMALL, Shape};
use crate::support::Run;

#[test]
fn sigterm_under_load_answers_whatever_it_stores_and_seals() {
    for compression in ["Zstd", "None"] {
        let scratch = tempfile::tempdir().unwrap();
        let data_dir = scratch.path().join("data");
        let capture = capture(scratch.path(), &format!("{{chunk: {{compression: {compression}}}}}"));
        let run = Run::start(&["-f", &capture, "--data-dir", data_dir.to_str().unwrap()]);
        let mut loads =
            [Load::start(run.http(), 4, SMALL), Load::start(run.http(), 2, Shape { n_spans: 50, filler: 500 })];
        for load in &loads {
            load.wait_for_more(200);
        }
        assert!(run.terminate().success());
        let mut acknowledged = loads[0].join();
        acknowledged.extend(loads[1].join());
        assert_eq!(chunks(&data_dir, ".inprogress"), Vec::<String>::new());
        assert_eq!(chunks(&data_dir, ".tar").len(), 1);
        let found = assert_holds(&data_dir, &acknowledged);
        // A span that is stored but was not acknowledged is a request that was taken and not answered.
        assert_eq!(found.len(), acknowledged.len());
    }
}

#[test]
fn a_request_that_is_under_way_is_taken_to_its_end_before_the_process_ends() {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let run = Run::start(&["--data-dir", data_dir.to_str().unwrap()]);
    let id = crate::client::next_id();
    let body = crate::client::request(&[id], 0);
    let len = body.len().to_string();
    let mut client = Client::connect(run.http()).unwrap();
    let headers =
        [("content-type", "application/x-protobuf"), ("content-length", len.as_str()), ("expect", "100-continue")];
    client.begin("POST /v1/traces", &headers, b"").unwrap();
    assert_eq!(client.head().unwrap().status, 100, "now the request is being read");
    run.signal("TERM");
    wait_until("nobody is let in any more", || TcpStream::connect(run.http().trim_start_matches("http://")).is_err());
    client.send(&body).unwrap();
    let head = client.head().unwrap();
    assert_eq!(client.body(head).unwrap().status, 200);
    assert!(run.wait().success());
    assert_holds(&data_dir, &[id].into());
}

#[test]
fn a_second_signal_ends_it_at_once_and_nothing_acknowledged_is_lost() {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let args = ["--data-dir", data_dir.to_str().unwrap()];
    let run = Run::start(&args);
    let (id, stored) = post_one(&run);
    assert_eq!(stored.status, 200);
    // A client that never ends its request: the drain waits for it.
    let mut slow = TcpStream::connect(run.http().trim_start_matches("http://")).unwrap();
    slow.write_all(b"POST /v1/traces HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-protobuf\r\n").unwrap();
    slow.write_all(b"content-length: 100\r\nexpect: 100-continue\r\n\r\n").unwrap();
    let mut begun = [0; 12];
    std::io::Read::read_exact(&mut slow, &mut begun).unwrap();
    run.signal("TERM");
    wait_until("nobody is let in any more", || TcpStream::connect(run.http().trim_start_matches("http://")).is_err());
    let asked = std::time::Instant::now();
    run.signal("INT");
    let status = run.wait();
    assert_eq!(status.code(), Some(130));
    assert!(asked.elapsed().as_secs() < 5, "it took {:?}", asked.elapsed());
    assert!(Run::start(&args).terminate().success());
    assert_holds(&data_dir, &[id].into());
}

#[test]
fn a_terminal_that_is_closed_ends_it_as_sigterm_does() {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let (mut child, http) = start("", data_dir.to_str().unwrap());
    let id = post(&http);
    // Nobody reads stdout and stderr any more, as behind a terminal that is gone.
    drop((child.stdout.take(), child.stderr.take()));
    // Under `nohup` the tests themselves may not mind it, and no shell can undo that: then the other signal is left.
    signal(&child, if is_hangup_ignored() { "TERM" } else { "HUP" });
    assert!(child.wait().unwrap().success());
    assert_eq!(chunks(&data_dir, ".inprogress"), Vec::<String>::new());
    assert_holds(&data_dir, &[id].into());
}

#[test]
fn who_was_told_not_to_mind_the_terminal_goes_on_without_it() {
    let scratch = tempfile::tempdir().unwrap();
    // What `nohup` does.
    let (mut child, http) = start("trap '' HUP; ", scratch.path().join("data").to_str().unwrap());
    signal(&child, "HUP");
    post(&http);
    // Were it draining already, this would be the second signal, with another exit code.
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
}

/// Tells whether this process ignores SIGHUP, the first signal, and so what it starts does. Source: `proc_pid_status(5)`.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    u64::from_str_radix(mask, 16).unwrap() & 1 == 1
}

/// Starts the program from a shell; returns it with the address of OTLP over HTTP once it is ready.
fn start(before: &str, data_dir: &str) -> (Child, String) {
    let listen = "--grpc-listen 127.0.0.1:0 --http-listen 127.0.0.1:0 --web-listen 127.0.0.1:0";
    let script = format!("{before}exec \"$0\" run {listen} --data-dir \"$1\"");
    let mut child = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_tracecapture"), data_dir])
        .env_remove("TRACECAPTURE_TOKEN")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map_while(Result::ok);
    let http = lines.find_map(|line| line.strip_prefix("otlp/http ").map(|url| url.trim().to_owned())).unwrap();
    assert!(lines.any(|line| line.is_empty()));
    drop(lines);
    (child, http)
}

/// Sends one span and returns its id.
fn post(http: &str) -> u64 {
    let id = crate::client::next_id();
    let answer = Client::connect(http).unwrap().post(&crate::client::request(&[id], 0)).unwrap();
    assert_eq!(answer.status, 200);
    id
}

/// Sends a signal with the shell's own `kill`.
fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status().unwrap();
    assert!(sent.success());
}
