//! A capture behind a gateway, and everybody who knocks.

use std::cell::RefCell;
use std::net::{IpAddr, UdpSocket};

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::client::Body;
use serde_json::{Value, json};

use crate::cluster::{Cluster, capture, on_cluster};
use crate::collector::{self, Collector, bring_up_at};
use crate::gateway::{Answer, Gateway, Started, ask, ask_with};
use crate::operator::{IMAGE, Operator};
use crate::people::{Person, everybody};
use crate::rights::{GATEWAY, apply};
use crate::valve::Valve;

/// The header that carries a token through the API server's service proxy.
const TOKEN_HEADER: &str = "x-tracecapture-token";

/// A capture, its collector and its operator; a gateway; and everybody.
pub(crate) struct Site {
    pub(crate) cluster: Cluster,
    /// The other namespace, whose capture has no collector.
    pub(crate) other: String,
    pub(crate) collector: Collector,
    pub(crate) operator: Operator,
    pub(crate) gateway: Gateway,
    /// What lies between the gateway and the collector.
    pub(crate) wire: Valve,
    pub(crate) people: Vec<Person>,
    /// The whole links that were made.
    pub(crate) links: RefCell<Vec<String>>,
}

/// What a site is started with.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) spec: &'a str,
    pub(crate) public_url: &'a str,
    /// From which level on collector and gateway log.
    pub(crate) level: &'a str,
    pub(crate) gateway_flags: &'a [&'a str],
}

impl Default for Setup<'_> {
    fn default() -> Self {
        let (spec, public_url) = (collector::SPEC, "https://captures.example.com/");
        Self { spec, public_url, level: "info", gateway_flags: &[] }
    }
}

/// Runs a test in a namespace of its own, unless a kubelet writes there what becomes of pods.
pub(crate) fn without_nodes(test: impl AsyncFnOnce(Cluster)) {
    on_cluster(async |cluster| {
        if cluster.has_nodes().await {
            return eprintln!("a kubelet writes the status of pods here: not checked by hand");
        }
        Box::pin(test(cluster)).await;
    });
}

impl Site {
    /// Starts everything, and waits until everybody may what they may.
    pub(crate) async fn start(cluster: &Cluster, with: Setup<'_>) -> Self {
        let Setup { spec, public_url, level, .. } = with;
        let (collector, operator) = bring_up_at(cluster, spec, public_url, level).await;
        let other = cluster.further_namespace().await;
        let captures = Api::namespaced(cluster.client.clone(), &other);
        captures.create(&PostParams::default(), &capture("checkout", spec)).await.unwrap();
        let wire = Valve::to(collector.web.parse().unwrap());
        let gateway = start_gateway(cluster, &other, &wire, with).await;
        publish(cluster, gateway.port()).await;
        let people = everybody(cluster, &other).await;
        let (cluster, links) = (cluster.clone(), RefCell::default());
        Self { cluster, other, collector, operator, gateway, wire, people, links }
    }

    /// Kills the gateway and starts another one, at another address.
    pub(crate) async fn lose_gateway(&mut self, with: Setup<'_>) {
        self.gateway.kill().await;
        self.gateway = self.replica(with).await;
    }

    /// Kills the collector and starts another one on the same volume, at another address, to which the wire leads.
    pub(crate) async fn lose_collector(&mut self) {
        self.collector.lose().await;
        self.wire.lead_to(self.collector.web.parse().unwrap());
    }

    /// Starts another gateway beside the one that is there.
    pub(crate) async fn replica(&self, with: Setup<'_>) -> Gateway {
        start_gateway(&self.cluster, &self.other, &self.wire, with).await
    }

    /// Ends what can be ended well.
    pub(crate) async fn end(self) {
        self.gateway.end().await;
        self.operator.end().await;
    }

    pub(crate) fn person(&self, name: &str) -> &Person {
        self.people.iter().find(|person| person.name == name).unwrap()
    }

    /// Returns the path of the capture.
    pub(crate) fn base(&self) -> String {
        format!("/api/v1/captures/{}/checkout", self.cluster.namespace)
    }

    /// Asks the gateway without any credential.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(&self.gateway.address, method, path, headers).await
    }

    /// Asks the gateway as somebody.
    pub(crate) async fn ask_as(&self, name: &str, method: &str, path: &str) -> Answer {
        let bearer = self.person(name).token.as_ref().map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", &**bearer)).collect();
        self.ask(method, path, &headers).await
    }

    /// Asks the API server's service proxy as somebody, and returns the status.
    pub(crate) async fn ask_by_proxy(&self, name: &str, path: &str) -> u16 {
        let person = self.person(name);
        let service = format!("/api/v1/namespaces/{}/services/http:{GATEWAY}:http/proxy", self.cluster.namespace);
        let mut request = http::Request::get(format!("{service}{path}"));
        if let Some(token) = &person.token {
            request = request.header(TOKEN_HEADER, token);
        }
        status(&person.api, request.body(Body::empty()).unwrap()).await
    }

    /// Reads the capture's object as somebody, and returns the status.
    pub(crate) async fn object(&self, name: &str) -> u16 {
        let path =
            format!("/apis/tracecapture.dev/v1alpha1/namespaces/{}/tracecaptures/checkout", self.cluster.namespace);
        status(&self.person(name).api, http::Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Makes a link as somebody who may; returns what is answered.
    pub(crate) async fn link(&self, name: &str, base: &str, wanted: &Value) -> Value {
        let bearer = format!("Bearer {}", self.person(name).token.as_ref().unwrap());
        let body = wanted.to_string();
        let headers = [("authorization", &*bearer)];
        let answer = ask_with(&self.gateway.address, &format!("POST {base}/links"), &headers, &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        self.note_link(&answer);
        answer.json()
    }

    /// Notes the link that an answer holds, if it holds one.
    pub(crate) fn note_link(&self, answer: &Answer) {
        if answer.status == 201 {
            let made = answer.json();
            self.links.borrow_mut().push(made["path"].as_str().unwrap().trim_start_matches("/l/").to_owned());
        }
    }
}

async fn start_gateway(cluster: &Cluster, other: &str, wire: &Valve, with: Setup<'_>) -> Gateway {
    let (collector, watched) = (format!("http://{}", wire.address), [&*cluster.namespace, other]);
    let Setup { level, gateway_flags: flags, .. } = with;
    Gateway::start(cluster, Started { collector: &collector, watched: &watched, level, flags }).await
}

async fn status(client: &Client, request: http::Request<Body>) -> u16 {
    client.send(request).await.unwrap().status().as_u16()
}

/// Makes a Service that leads to the gateway's process, as if it ran in a pod: the API server's proxy asks there.
///
/// It follows no Service to a loopback address, nor to an address that is not that of a pod.
async fn publish(cluster: &Cluster, port: u16) {
    let metadata = json!({ "name": GATEWAY, "namespace": cluster.namespace });
    let container = json!({ "name": "gateway", "image": IMAGE });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": { "serviceAccountName": GATEWAY, "containers": [container] } });
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": port }] } });
    apply(cluster, pod).await;
    apply(cluster, service).await;
    let address = own_address();
    let conditions = json!([{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T10:00:00Z" }]);
    let status = json!({ "status": { "phase": "Running", "conditions": conditions, "podIP": address,
        "podIPs": [{ "ip": address }] } });
    cluster.api::<Pod>().patch_status(GATEWAY, &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    // Without a node their controller leaves the pod out, so the Service selects none, and they are written by hand.
    let target = json!({ "kind": "Pod", "name": GATEWAY, "namespace": cluster.namespace });
    let subset = json!({ "addresses": [{ "ip": address, "targetRef": target }],
        "ports": [{ "name": "http", "port": port }] });
    let endpoints = json!({ "apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": [subset] });
    apply(cluster, endpoints).await;
}

/// Returns an address of this machine that is no loopback.
pub(crate) fn own_address() -> IpAddr {
    // Nothing is sent: connecting a socket of this kind only asks which way it would go.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("198.18.0.1:9").unwrap();
    let address = socket.local_addr().unwrap().ip();
    assert!(!address.is_loopback(), "this machine has a loopback alone, where the API server's proxy does not go");
    address
}
