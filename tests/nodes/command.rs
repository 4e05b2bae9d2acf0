//! Running programs as a person does, and waiting.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything takes on a machine that is slow and has others to serve; nothing is asserted of it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(10);

/// As [`PATIENCE`], as `kubectl` and `helm` take it.
pub(crate) const TIMEOUT: &str = "--timeout=10m";

/// After so many seconds a program is ended that does not end by itself: it would hold up the run for ever.
const HANGS: &str = "1200";

/// Between two looks at what tells nobody when it changes.
const PULSE: Duration = Duration::from_millis(300);

/// Between two looks that start no program.
const QUICK_PULSE: Duration = Duration::from_millis(20);

/// Runs a program, and returns what it printed; the error is what it said.
pub(crate) fn attempt<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Result<String, String> {
    let bounded = ["--verbose", "--kill-after=10", HANGS, program];
    said(Command::new("timeout").args(bounded).args(args).stdin(Stdio::null()).output().unwrap())
}

/// Runs a program that must succeed, and returns what it printed.
#[track_caller]
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, args: &[S]) -> String {
    attempt(program, args).unwrap_or_else(|said| panic!("{} fails: {said}", typed(program, args)))
}

/// Runs `kubectl`, which must succeed.
#[track_caller]
pub(crate) fn kubectl(args: &[&str]) -> String {
    run("kubectl", args)
}

/// Returns an object, or a list of them, as the API server has it; `null` where there is none.
#[track_caller]
pub(crate) fn get(args: &[&str]) -> Value {
    let text = kubectl(&[&["get", "--ignore-not-found", "-o", "json"], args].concat());
    if text.trim().is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
}

/// Applies a manifest, as `kubectl apply -f -` does.
#[track_caller]
pub(crate) fn apply(args: &[&str], manifest: &str) {
    let mut child = Command::new("kubectl")
        .args(["apply", "-f", "-"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
    said(child.wait_with_output().unwrap()).unwrap_or_else(|said| panic!("{manifest} is not applied: {said}"));
}

/// Looks again and again until there is something to see.
#[track_caller]
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// As [`until`], with a time of its own.
#[track_caller]
pub(crate) fn within<T>(patience: Duration, what: &str, look: impl FnMut() -> Option<T>) -> T {
    poll((PULSE, patience), what, look)
}

/// As [`until`], for what is cheap to look at and changes fast.
#[track_caller]
pub(crate) fn closely_until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    poll((QUICK_PULSE, PATIENCE), what, look)
}

#[track_caller]
fn poll<T>((pulse, patience): (Duration, Duration), what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "not within {} s: {what}", patience.as_secs());
        thread::sleep(pulse);
    }
}

fn said(output: Output) -> Result<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stdout) + &text(output.stderr)) }
}

fn typed<S: AsRef<OsStr>>(program: &str, args: &[S]) -> String {
    let words = args.iter().map(|arg| arg.as_ref().to_string_lossy());
    std::iter::once(program.into()).chain(words).collect::<Vec<_>>().join(" ")
}
