//! A gateway, the API server that it asks, and the collector that it passes on from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tracecapture::api::grant::GrantKey;
use tracecapture::clock::{Clock, SystemClock, Timestamp};
use tracecapture::gateway::options::{Limits, Options};
use tracecapture::gateway::proxies::TrustedProxies;
use tracecapture::gateway::{Gateway, Parts, Tls};
use tracecapture::installation::Watched;

use crate::client::{Answer, Client, request, wait_until};
use crate::fake::FakeApi;
use crate::pod::{self, Pod};
use crate::reviewer::{AUDIENCE, Reviewer};

/// The namespace of the installation.
pub(crate) const SYSTEM: &str = "tracecapture-system";

/// Where the capture of all tests is.
pub(crate) const BASE: &str = "/api/v1/captures/shop/checkout";

/// A token, its user, its audience (`None` for the API server's), and a role bound in a namespace.
type Token = (&'static str, &'static str, Option<&'static str>, Option<(&'static str, &'static str)>);

/// The tokens that there are.
pub(crate) const TOKENS: [Token; 6] = [
    ("viewer-token", "vera", None, Some(("tracecapture-viewer", "shop"))),
    ("support-token", "sam", None, Some(("tracecapture-support", "shop"))),
    ("admin-token", "ada", None, Some(("tracecapture-admin", "shop"))),
    ("other-token", "otto", None, Some(("tracecapture-admin", "other"))),
    ("robot-token", "system:serviceaccount:shop:robot", Some(AUDIENCE), Some(("tracecapture-support", "shop"))),
    ("foreign-token", "frida", Some("vault"), Some(("tracecapture-admin", "shop"))),
];

/// A gateway and what is around it.
pub(crate) struct Site {
    pub(crate) api: FakeApi,
    pub(crate) reviewer: Arc<Reviewer>,
    pub(crate) clock: Arc<ShiftedClock>,
    pub(crate) address: String,
    gateway: Option<Gateway>,
    runtime: Runtime,
}

/// A capture's pod, and what is mounted into it.
pub(crate) struct Captured {
    pub(crate) site: pod::Site,
    pub(crate) pod: Pod,
    /// The collector's URL for the gateway.
    pub(crate) web: String,
}

/// The machine's clocks, moved forward.
#[derive(Default)]
pub(crate) struct ShiftedClock {
    system: SystemClock,
    seconds: AtomicU64,
}

impl ShiftedClock {
    pub(crate) fn advance(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }

    fn shift(&self) -> Duration {
        Duration::from_secs(self.seconds.load(Ordering::SeqCst))
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        self.system.now().saturating_add(self.shift())
    }

    fn monotonic(&self) -> Duration {
        self.system.monotonic() + self.shift()
    }
}

/// Makes an API server with one capture, and with the key of the installation.
pub(crate) fn cluster() -> (FakeApi, GrantKey) {
    let api = FakeApi::new();
    api.put("tracecaptures", capture("shop", "checkout"));
    let (key, document) = GrantKey::draw().unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "tracecapture-keys", "namespace": SYSTEM },
        "data": { "grant.pkcs8": k8s_openapi::ByteString(document) },
    });
    api.put("secrets", secret);
    (api, key)
}

/// Returns a capture as somebody applies it.
pub(crate) fn capture(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "tracecapture.dev/v1alpha1", "kind": "TraceCapture",
        "metadata": { "name": name, "namespace": namespace }, "spec": {},
        "status": { "bundle": { "sizeBytes": 12_345_678, "chunks": 3 } },
    })
}

impl Captured {
    /// Starts the capture's pod and sends it so many requests of about half a megabyte each.
    pub(crate) fn start(api: &FakeApi, key: GrantKey, n_requests: u64) -> Self {
        let uid = api.get("tracecaptures", "shop", "checkout").unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
        let mut site = pod::Site::new("{}");
        site.key = key;
        let text = pod::capture(1, "{}").replace(pod::UID, &uid);
        site.publish_files(&[("capture.yaml", &text), ("grant-keys", &pod::key_line(&site.key))]);
        let pod = site.start("checkout-collector-0");
        let web = web(&pod);
        let captured = Self { site, pod, web };
        captured.send(n_requests);
        captured
    }

    /// Sends more spans.
    pub(crate) fn send(&self, n_requests: u64) {
        let mut client = Client::connect(self.pod.http()).unwrap();
        for _ in 0..n_requests {
            let answer = client.post(&request(&[crate::client::next_id()], 1 << 20)).unwrap();
            assert_eq!(answer.status, 200);
        }
    }
}

/// Returns where a pod answers, as its log says.
pub(crate) fn web(pod: &Pod) -> String {
    let ready = pod.log().into_iter().find(|line| line["message"] == "collector ready").unwrap();
    format!("http://{}", ready["web"].as_str().unwrap())
}

/// Returns what a gateway is told by default; its collectors are at `web`.
pub(crate) fn options(web: &str) -> Options {
    Options {
        namespace: SYSTEM.to_owned(),
        watched: Watched::All,
        public_url: Some("https://captures.example.com".to_owned()),
        audience: AUDIENCE.to_owned(),
        collector_url: web.to_owned(),
        trusted_proxies: TrustedProxies::default(),
        max_link_ttl: Duration::from_hours(168),
        limits: Limits { drain: Duration::from_millis(100), ..Limits::default() },
    }
}

impl Site {
    /// Starts a gateway beside an API server and waits until it is ready.
    pub(crate) fn start(api: FakeApi, options: Options) -> Self {
        Self::with(api, options, None)
    }

    /// As [`Site::start`], with TLS.
    pub(crate) fn with(api: FakeApi, options: Options, tls: Option<Tls>) -> Self {
        let reviewer = Arc::new(Reviewer::default());
        for (token, name, audience, role) in TOKENS {
            reviewer.know(token, name, audience, role);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let clock = Arc::new(ShiftedClock::default());
        let (gateway, address) = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let (client, clock) = (reviewer.client(&api), Arc::clone(&clock) as Arc<dyn Clock>);
            (Gateway::start(Parts { client, clock, options, listener, tls }), address)
        });
        let admin = gateway.admin();
        wait_until("the gateway is ready", || (admin.ready)().is_ok());
        Self { api, reviewer, clock, address, gateway: Some(gateway), runtime }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(method, path, headers, b"")
    }

    /// As [`Site::ask`], with a body.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut client = Client::connect(&self.address).unwrap();
        let len = body.len().to_string();
        let headers = [headers, &[("content-length", &len)]].concat();
        client.begin(&format!("{method} {path}"), &headers, body).unwrap();
        let head = client.head().unwrap();
        if method == "HEAD" || head.status == 304 { head } else { client.body(head).unwrap() }
    }

    /// Asks with a token.
    pub(crate) fn get(&self, token: &str, path: &str) -> Answer {
        self.ask("GET", path, &[("authorization", &format!("Bearer {token}"))])
    }

    /// Makes a link as the admin; returns what is answered.
    pub(crate) fn link(&self, wanted: &Value) -> Value {
        let bearer = [("authorization", "Bearer admin-token")];
        let answer = self.send("POST", &format!("{BASE}/links"), &bearer, wanted.to_string().as_bytes());
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// Returns the metrics.
    pub(crate) fn metrics(&self) -> String {
        (self.gateway.as_ref().unwrap().admin().render_metrics)()
    }

    /// Ends the gateway, and tells whether everything ended in time.
    pub(crate) fn stop(mut self) -> bool {
        let gateway = self.gateway.take().unwrap();
        self.runtime.block_on(gateway.stop())
    }
}

impl Answer {
    /// Checks that this is a problem document of this status, and returns its reason.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let document = self.json();
        assert!(document["status"] == status && document["detail"].is_string(), "{document}");
        document["reason"].as_str().unwrap().to_owned()
    }
}
