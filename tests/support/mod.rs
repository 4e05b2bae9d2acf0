//! Starts `tracecapture run` as its users do, and knows where it listens.
//!
//! Every test file that declares this module uses a part of it.
#![expect(dead_code, reason = "each test binary compiles this module and uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a file of the test's own")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// How long a start may take, recovery included, on a machine that does other things too.
const START_DEADLINE: Duration = Duration::from_mins(1);

/// A running `tracecapture run` with addresses of its own; dropped, it is killed.
pub(crate) struct Run {
    child: Child,
    grpc: String,
    http: String,
    web: String,
    token: String,
    bundle: String,
    data_dir: PathBuf,
    scratch: TempDir,
}

impl Run {
    /// Starts the binary with `args` after `run`, on free ports, and waits until it is ready.
    ///
    /// Without `--data-dir` in `args` it works in a directory that goes away with this value.
    pub(crate) fn start(args: &[&str]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let own_dir = scratch.path().join("data");
        let mut command = tracecapture(&["run"]);
        for listen in ["--grpc-listen", "--http-listen", "--web-listen"] {
            command.args([listen, "127.0.0.1:0"]);
        }
        if !args.contains(&"--data-dir") {
            command.arg("--data-dir").arg(&own_dir);
        }
        let log = File::create(scratch.path().join("stderr")).unwrap();
        let mut child = command.args(args).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        match Addresses::wait(&lines) {
            Ok(Addresses { grpc, http, web, token, bundle, data_dir }) => {
                Self { child, grpc, http, web, token, bundle, data_dir, scratch }
            }
            Err(printed) => {
                let _ = child.kill();
                let _ = child.wait();
                let log = std::fs::read_to_string(scratch.path().join("stderr")).unwrap();
                panic!("`tracecapture run` did not get ready; stdout: {printed:?}; stderr:\n{log}");
            }
        }
    }

    /// The address of OTLP/gRPC, as `http://host:port`.
    pub(crate) fn grpc(&self) -> &str {
        &self.grpc
    }

    /// The address of OTLP/HTTP, as `http://host:port`, without a path.
    pub(crate) fn http(&self) -> &str {
        &self.http
    }

    /// The web address, as `http://host:port`, without the token.
    pub(crate) fn web(&self) -> &str {
        &self.web
    }

    /// The bearer token of this run.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The URL of the bundle.
    pub(crate) fn bundle(&self) -> &str {
        &self.bundle
    }

    /// The data directory, as the process printed it.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the process has written to stderr so far.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.scratch.path().join("stderr")).unwrap()
    }

    /// Ends the process as a power cut would, without any notice, and waits for it.
    pub(crate) fn kill9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM and waits for the end; the data directory must not be one of this value's own.
    pub(crate) fn terminate(self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for the end of a process that was told to end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Sends the named signal (`TERM`, `INT`, `STOP` …).
    pub(crate) fn signal(&self, name: &str) {
        // The shell's own `kill`: the program of that name is not on every machine.
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid())]).status().unwrap();
        assert!(sent.success(), "cannot send SIG{name}");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A call of the binary with `args`, free of settings inherited from the caller's environment.
pub(crate) fn tracecapture(args: &[&str]) -> Command {
    // Figures are taken with an optimised program.
    let program = std::env::var_os("TRACECAPTURE_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_tracecapture").into());
    let mut command = Command::new(program);
    command.args(args).env_remove("TRACECAPTURE_TOKEN").env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Runs the binary to its end and returns what it printed.
pub(crate) fn output(args: &[&str]) -> Output {
    tracecapture(args).output().unwrap()
}

/// Where a run listens, out of the lines that it prints when it is ready.
struct Addresses {
    grpc: String,
    http: String,
    web: String,
    token: String,
    bundle: String,
    data_dir: PathBuf,
}

impl Addresses {
    /// Waits for the five lines and the blank one; fails with what came instead.
    fn wait(lines: &Receiver<String>) -> Result<Self, Vec<String>> {
        let mut printed = Vec::new();
        loop {
            match lines.recv_timeout(START_DEADLINE) {
                Ok(line) if line.is_empty() => break,
                Ok(line) => printed.push(line),
                Err(_) => return Err(printed),
            }
        }
        Self::parse(&printed).ok_or(printed)
    }

    fn parse(printed: &[String]) -> Option<Self> {
        let value = |index: usize, key: &str| -> Option<String> {
            Some(printed.get(index)?.strip_prefix(key)?.trim_start().to_owned())
        };
        let page = value(2, "web ")?;
        let (web, token) = page.split_once("/#token=")?;
        Some(Self {
            grpc: value(0, "otlp/grpc ")?,
            http: value(1, "otlp/http ")?,
            web: web.to_owned(),
            token: token.to_owned(),
            bundle: value(3, "bundle ")?,
            data_dir: value(4, "data ")?.into(),
        })
    }
}

/// Reads a child's lines on a thread of its own, so that waiting for one can have a deadline.
fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        // Reads on after the receiver is gone: a full pipe would stop the child.
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}
