//! A run with settings of the test's own, and spans for it.
#![expect(clippy::disallowed_methods, reason = "writes a settings file of its own")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tempfile::TempDir;

use crate::client::Client;
use crate::support::Run;

pub(crate) const TOKEN: &str = "a-token-that-outlives-a-restart";
pub(crate) const CAPTURE: &str = "/api/v1/captures/default/local";
pub(crate) const BUNDLE: &str = "/api/v1/captures/default/local/bundle.tar";

/// The instant of span 0: 2026-11-21T10:00:00Z, in seconds.
pub(crate) const BEGIN: u64 = 1_795_255_200;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A data directory and the process that serves it, which can be ended and started again.
pub(crate) struct Site {
    scratch: TempDir,
    run: Option<Run>,
}

impl Site {
    /// Starts a run with this `spec`.
    pub(crate) fn start(spec: &str) -> Self {
        let mut site = Self { scratch: tempfile::tempdir().unwrap(), run: None };
        site.restart(spec);
        site
    }

    /// Ends the process as a power cut would, if it runs, and starts another one with this `spec`.
    pub(crate) fn restart(&mut self, spec: &str) {
        if let Some(run) = self.run.take() {
            run.kill9();
        }
        let path = self.scratch.path().join("capture.yaml");
        let text = format!(
            "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\nmetadata: {{name: local, namespace: default}}\nspec: {spec}\n"
        );
        std::fs::write(&path, text).unwrap();
        let args = ["-f", path.to_str().unwrap(), "--data-dir", self.data_dir().to_str().unwrap(), "--token", TOKEN]
            .map(ToOwned::to_owned);
        self.run = Some(Run::start(&args.each_ref().map(String::as_str)));
    }

    pub(crate) fn run(&self) -> &Run {
        self.run.as_ref().unwrap()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// Returns a path for a file of the test.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub(crate) fn web(&self) -> Client {
        Client::new(self.run().web(), Some(TOKEN))
    }

    pub(crate) fn otlp(&self) -> Client {
        Client::new(self.run().http(), None)
    }

    /// Sends spans until there are at least so many chunks.
    pub(crate) fn fill(&self, n_chunks: usize) {
        while self.chunks().len() < n_chunks {
            assert!(self.otlp().post(&load()));
        }
    }

    /// Lists the chunks as the API shows them.
    pub(crate) fn chunks(&self) -> Vec<serde_json::Value> {
        let listed = self.web().get(&format!("{CAPTURE}/chunks"), &[]);
        assert_eq!(listed.status, 200);
        listed.json()["chunks"].as_array().unwrap().clone()
    }

    /// Sends spans from a thread until the returned value is dropped.
    pub(crate) fn load(&self) -> Load {
        let (stop, otlp) = (Arc::new(AtomicBool::new(false)), self.otlp());
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                assert!(otlp.post(&load()), "spans were refused");
            }
        });
        Load { stop, thread: Some(thread) }
    }
}

/// Clients that go on sending.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A span by what filters look at.
pub(crate) fn span(trace: u128, start: u64, seconds: u64) -> Span {
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let start = (BEGIN + start) * 1_000_000_000;
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        name: format!("{:x}", id.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        start_time_unix_nano: start,
        end_time_unix_nano: start + seconds * 1_000_000_000,
        ..Span::default()
    }
}

/// A request with these spans of one service.
pub(crate) fn request(service: &str, spans: Vec<Span>) -> Vec<u8> {
    let value = Some(AnyValue { value: Some(Value::StringValue(service.to_owned())) });
    let attributes = vec![KeyValue { key: "service.name".to_owned(), value, ..KeyValue::default() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// A request whose spans hardly compress.
fn load() -> Vec<u8> {
    request("load", (0..150).map(|n| span(u128::from(NEXT_ID.load(Ordering::Relaxed)) << 64 | n | 1, 0, 1)).collect())
}
