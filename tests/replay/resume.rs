//! Killed, interrupted and started again: what arrives twice, and that nothing is missing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tracecapture::archive::frame::Compression;

use crate::chunks::{Built, SPAN, Span, bundle};
use crate::endpoint::{Endpoint, Said, Seen};
use crate::support::{output, tracecapture};

/// Spans in the bundle.
const SPANS: usize = 60;

struct Site {
    files: TempDir,
    endpoint: Endpoint,
}

impl Site {
    fn new(answers: &[Said]) -> Self {
        let files = TempDir::new().unwrap();
        let names: Vec<String> = (0..SPANS).map(|n| format!("span {n}")).collect();
        let spans: Vec<Span<'_>> =
            names.iter().zip(1..).map(|(name, trace)| Span { name, trace, start: 1, ..SPAN }).collect();
        let chunk = |n: u32, spans: &[Span<'_>]| {
            let groups: Vec<&[Span<'_>]> = spans.chunks(7).collect();
            Built::new(n, Compression::Zstd, &groups).members()
        };
        std::fs::write(files.path().join("a.tar"), bundle(&[chunk(1, &spans[..20]), chunk(2, &spans[20..40])]))
            .unwrap();
        let lines: String = spans[40..].iter().map(Span::line).collect();
        std::fs::write(files.path().join("b.jsonl"), lines).unwrap();
        Self { files, endpoint: Endpoint::start(answers) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn command(&self) -> Command {
        let [a, b, checkpoint] = ["a.tar", "b.jsonl", "checkpoint"].map(|name| self.path(name));
        let mut command = tracecapture(&["replay"]);
        command.args([a, b]).args(["--to", self.endpoint.url(), "--batch-spans", "4", "--checkpoint"]).arg(checkpoint);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Waits for `n` requests and returns them.
    fn requests(&self, n: usize) -> Vec<Seen> {
        (0..n).map(|_| self.endpoint.next()).collect()
    }
}

/// How often each span was seen.
fn counts(seen: &[Seen]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in seen.iter().flat_map(Seen::names) {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

#[test]
fn killed_anywhere_it_goes_on_and_doubles_one_batch_at_most() {
    for n_answered in [0, 1, 4, 5, 9, 10, 12, 14] {
        let mut answers = vec![Said::Taken(b""); n_answered];
        answers.push(Said::Nothing);
        let site = Site::new(&answers);
        let mut child = site.command().spawn().unwrap();
        let mut seen = site.requests(n_answered + 1);
        child.kill().unwrap();
        child.wait().unwrap();

        let done = site.command().output().unwrap();
        let said = String::from_utf8(done.stdout).unwrap();
        assert_eq!(said, "read 60 spans: sent 60, rejected 0, failed 0\n", "{n_answered}");
        assert_eq!(done.status.code(), Some(0));
        seen.extend(site.endpoint.all());
        let counts = counts(&seen);
        let in_flight = seen[n_answered].names();
        assert_eq!(counts.len(), SPANS, "{n_answered}: none is lost");
        for (name, count) in counts {
            assert_eq!(count, 1 + usize::from(in_flight.contains(&name)), "{n_answered}: {name}");
        }
    }
}

#[test]
fn interrupted_it_waits_for_the_answer_and_tells_how_to_go_on() {
    let site = Site::new(&[Said::Taken(b""), Said::Status(503, Some(60))]);
    let child = site.command().spawn().unwrap();
    let mut seen = site.requests(2);
    let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    assert!(sent.success());
    let done = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    assert_eq!((done.status.code(), stdout.as_str()), (Some(130), "read 4 spans: sent 4, rejected 0, failed 0\n"));
    let go_on = format!("go on with `tracecapture replay {} ", site.path("a.tar").display());
    assert!(stderr.contains(&go_on) && stderr.contains("--checkpoint"), "{stderr}");

    assert_eq!(site.command().output().unwrap().status.code(), Some(0));
    seen.retain(|seen| seen.said == 200);
    seen.extend(site.endpoint.all());
    let counts = counts(&seen);
    assert!(counts.len() == SPANS && counts.values().all(|count| *count == 1), "{counts:?}");
}

#[test]
fn the_plugins_user_is_told_the_plugins_command() {
    let site = Site::new(&[Said::Status(503, Some(60))]);
    let plugin = site.path("kubectl-tracecapture");
    let command = site.command();
    std::os::unix::fs::symlink(command.get_program(), &plugin).unwrap();
    let done = Command::new(&plugin).args(command.get_args()).args(["--give-up-after", "2s"]).output().unwrap();
    let stderr = String::from_utf8(done.stderr).unwrap();
    let go_on = format!("go on with `kubectl tracecapture replay {} ", site.path("a.tar").display());
    assert_eq!(done.status.code(), Some(8), "{stderr}");
    assert!(stderr.contains(&go_on) && stderr.contains(" --give-up-after 2s "), "{stderr}");
}

#[test]
fn what_is_done_is_not_sent_again_and_a_checkpoint_is_of_one_replay() {
    let site = Site::new(&[]);
    assert_eq!(site.command().output().unwrap().status.code(), Some(0));
    assert_eq!(site.endpoint.taken().len(), SPANS);
    let again = site.command().output().unwrap();
    assert_eq!((again.status.code(), site.endpoint.taken().len()), (Some(0), 0));
    assert_eq!(again.stdout, b"read 60 spans: sent 60, rejected 0, failed 0\n");

    let mut grown = std::fs::read(site.path("b.jsonl")).unwrap();
    grown.extend_from_slice(Span { name: "later", ..SPAN }.line().as_bytes());
    std::fs::write(site.path("b.jsonl"), grown).unwrap();
    assert_eq!(site.command().output().unwrap().status.code(), Some(0));
    assert_eq!(site.endpoint.taken(), ["later"]);

    let checkpoint = site.path("checkpoint");
    let typed = |path: &str, to: &str| {
        let done = output(&["replay", path, "--to", to, "--checkpoint", checkpoint.to_str().unwrap()]);
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    let (code, stderr) = typed("other.tar", site.endpoint.url());
    assert!(code == Some(2) && stderr.contains("is of another replay: it has the paths"), "{stderr}");
    let (code, stderr) = typed("other.tar", "http://127.0.0.1:1");
    assert!(code == Some(2) && stderr.contains("it has the endpoint"), "{stderr}");
    std::fs::write(&checkpoint, b"{").unwrap();
    let (code, stderr) = typed("other.tar", "http://127.0.0.1:1");
    assert!(code == Some(2) && stderr.contains("is no checkpoint"), "{stderr}");
}

#[test]
fn a_path_that_cannot_be_read_is_neither_passed_over_nor_forgotten() {
    let site = Site::new(&[]);
    let away = site.path("away");
    std::fs::rename(site.path("a.tar"), &away).unwrap();
    assert_eq!((site.command().output().unwrap().status.code(), site.endpoint.taken().len()), (Some(3), 0));
    std::fs::rename(&away, site.path("a.tar")).unwrap();
    assert_eq!((site.command().output().unwrap().status.code(), site.endpoint.taken().len()), (Some(0), SPANS));
}

#[test]
fn nothing_is_sent_where_no_checkpoint_can_be_kept() {
    let site = Site::new(&[]);
    std::fs::create_dir(site.path("checkpoint.part")).unwrap();
    let done = site.command().output().unwrap();
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.code() == Some(1) && stderr.contains("cannot write the checkpoint"), "{stderr}");
    assert!(site.endpoint.taken().is_empty());
}
