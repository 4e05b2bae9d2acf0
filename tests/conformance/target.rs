//! The endpoint under test: one process for all tests that run at a time.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Run, output};

/// An endpoint; the process behind it ends with the last test that holds it.
pub(crate) struct Target {
    grpc: String,
    http: String,
    run: Option<Run>,
    _capture: Option<TempDir>,
}

static SHARED: Mutex<Weak<Target>> = Mutex::new(Weak::new());

impl Target {
    /// Returns the endpoint that all tests share.
    ///
    /// A test that looks at what is stored holds it from its first request on: else the process may end between the two.
    pub(crate) fn shared() -> Arc<Self> {
        // A test that fails to start it must not fail the others by poison.
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = shared.upgrade() {
            return target;
        }
        let target = Arc::new(Self::given().unwrap_or_else(Self::started));
        *shared = Arc::downgrade(&target);
        target
    }

    /// Returns an endpoint for what would burden the other tests.
    pub(crate) fn alone() -> Self {
        Self::given().unwrap_or_else(Self::started)
    }

    #[expect(clippy::disallowed_methods, reason = "a test binary has no command line of its own")]
    fn given() -> Option<Self> {
        let grpc = std::env::var("OTLP_CONFORMANCE_GRPC").ok()?;
        let http = std::env::var("OTLP_CONFORMANCE_HTTP").ok()?;
        Some(Self { grpc, http, run: None, _capture: None })
    }

    fn started() -> Self {
        Self::of(Run::start(&[]), None)
    }

    /// Returns an endpoint of our own under a capture with this `spec`, `None` where another one is under test.
    #[expect(clippy::disallowed_methods, reason = "a file of the test's own")]
    pub(crate) fn under(spec: &str) -> Option<Self> {
        if Self::given().is_some() {
            return None;
        }
        let scratch = tempfile::tempdir().unwrap();
        let (file, data_dir) = (scratch.path().join("capture.yaml"), scratch.path().join("data"));
        let head =
            "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\nmetadata: {name: local, namespace: default}";
        std::fs::write(&file, format!("{head}\nspec: {spec}\n")).unwrap();
        let run = Run::start(&["-f", file.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()]);
        Some(Self::of(run, Some(scratch)))
    }

    fn of(run: Run, capture: Option<TempDir>) -> Self {
        Self { grpc: run.grpc().to_owned(), http: run.http().to_owned(), run: Some(run), _capture: capture }
    }

    /// `host:port` of OTLP/gRPC.
    pub(crate) fn grpc(&self) -> &str {
        self.grpc.trim_start_matches("http://").trim_end_matches('/')
    }

    /// `host:port` of OTLP/HTTP.
    pub(crate) fn http(&self) -> &str {
        self.http.trim_start_matches("http://").trim_end_matches('/')
    }

    /// The data directory of an endpoint of our own.
    pub(crate) fn data_dir(&self) -> &Path {
        self.run.as_ref().unwrap().data_dir()
    }

    /// Returns the stored lines that hold `trace_id` (lower-case hex), `None` where the endpoint is not ours.
    pub(crate) fn stored_lines(&self, trace_id: &str) -> Option<Vec<Value>> {
        let data_dir = self.run.as_ref()?.data_dir().to_str().unwrap().to_owned();
        let cat = output(&["cat", &data_dir]);
        assert!(cat.status.success(), "{}", String::from_utf8_lossy(&cat.stderr));
        let text = String::from_utf8(cat.stdout).unwrap();
        let ours = text.lines().filter(|line| line.contains(trace_id));
        Some(ours.map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// Returns the only stored line that holds `trace_id`.
    pub(crate) fn stored_line(&self, trace_id: &str) -> Option<Value> {
        let mut lines = self.stored_lines(trace_id)?;
        assert_eq!(lines.len(), 1, "lines of trace {trace_id}: {lines:?}");
        lines.pop()
    }
}
