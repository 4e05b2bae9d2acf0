//! An operator at work, on a clock that moves only while everybody waits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tracecapture::api::report::CollectorReport;
use tracecapture::clock::{Clock, Timestamp};
use tracecapture::operator::options::{Options, Watched};
use tracecapture::operator::reports::{Question, Reports};
use tracecapture::operator::{Operator, Parts};

use crate::fake::FakeApi;

/// The namespace of the captures.
pub(crate) const SHOP: &str = "shop";

/// The namespace of the installation.
pub(crate) const SYSTEM: &str = "tracecapture-system";

/// What the operator makes of a capture with one pod: resource and name.
pub(crate) const CHILDREN: [(&str, &str); 8] = [
    ("serviceaccounts", "checkout-collector"),
    ("configmaps", "checkout-settings"),
    ("configmaps", "checkout-otlp-env"),
    ("services", "checkout-otlp"),
    ("services", "checkout-collector"),
    ("networkpolicies", "checkout-collector"),
    ("persistentvolumeclaims", "checkout-chunks"),
    ("statefulsets", "checkout-collector"),
];

/// An API server and an operator.
pub(crate) struct Site {
    pub(crate) api: FakeApi,
    pub(crate) reports: Arc<FakeReports>,
    pub(crate) operator: Operator,
}

/// Collectors that tell what they are told to.
#[derive(Default)]
pub(crate) struct FakeReports(pub Mutex<CollectorReport>);

/// The clock of the test's runtime, with a wall time to it.
struct RuntimeClock {
    start: tokio::time::Instant,
}

impl Site {
    /// Starts an operator beside a server that has `captures`.
    pub(crate) fn start(captures: impl IntoIterator<Item = Value>) -> Self {
        let api = FakeApi::new();
        for capture in captures {
            api.put("tracecaptures", capture);
        }
        Self::with(api, options("operator-0"))
    }

    /// Starts an operator beside a server.
    pub(crate) fn with(api: FakeApi, options: Options) -> Self {
        // They work by the settings of a capture that nobody changed.
        let reports = Arc::new(FakeReports::default());
        reports.0.lock().unwrap().generation = Some(1);
        let parts = Parts {
            client: api.client(),
            clock: Arc::new(RuntimeClock { start: tokio::time::Instant::now() }),
            options,
            reports: Some(Arc::clone(&reports) as Arc<dyn Reports>),
        };
        let operator = Operator::start(parts);
        Self { api, reports, operator }
    }

    /// Starts an operator and lets it and the cluster come to rest.
    pub(crate) async fn at_rest(capture: Value) -> Self {
        let site = Self::start([capture]);
        pass(seconds(5)).await;
        site.api.settle(SHOP, "checkout");
        pass(minutes(5)).await;
        site
    }

    /// Returns a condition: its status, reason and message.
    pub(crate) fn condition(&self, name: &str, condition: &str) -> (String, String, String) {
        let capture = self.api.get("tracecaptures", SHOP, name).expect("the capture");
        let conditions = capture["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|found| found["type"] == condition).unwrap_or_default();
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"), text("message"))
    }

    /// Returns what the operator exposes as a metric.
    pub(crate) fn metrics(&self) -> String {
        (self.operator.admin().render_metrics)()
    }

    /// Tells whether the children of `checkout` are all there.
    pub(crate) fn has_children(&self) -> bool {
        CHILDREN.iter().all(|(resource, name)| self.api.get(resource, SHOP, name).is_some())
    }
}

impl Reports for FakeReports {
    fn ask(&self, question: Question) -> BoxFuture<'static, Result<CollectorReport, String>> {
        let mut report = self.0.lock().unwrap().clone();
        report.writer = question.pod;
        Box::pin(async move { Ok(report) })
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        // Later than anything that the server dates.
        let start: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        start.saturating_add(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Returns what an operator is told by default.
pub(crate) fn options(identity: &str) -> Options {
    Options {
        image: "registry.example.com/tracecapture:1".to_owned(),
        image_pull_policy: None,
        image_pull_secrets: Vec::new(),
        namespace: SYSTEM.to_owned(),
        watched: Watched::All,
        public_url: Some("https://captures.example.com".to_owned()),
        identity: identity.to_owned(),
        collector_url: "http://{pod}.{service}.{namespace}.svc:4319".to_owned(),
        max_link_ttl: Duration::from_hours(24 * 7),
        revisit: seconds(30),
        concurrency: 4,
    }
}

/// Returns a capture named `checkout`.
pub(crate) fn capture(spec: Value) -> Value {
    named("checkout", spec)
}

/// Returns a capture.
#[expect(clippy::needless_pass_by_value, reason = "specs are written where they are used")]
pub(crate) fn named(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "tracecapture.dev/v1alpha1",
        "kind": "TraceCapture",
        "metadata": { "name": name, "namespace": SHOP },
        "spec": spec,
    })
}

/// Lets time pass: the paused clock moves on once every task waits for it.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

pub(crate) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn minutes(n: u64) -> Duration {
    Duration::from_mins(n)
}
