//! How the pods are reached, and by whom.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::{APP, COMPONENT_LABEL, NAME_LABEL, selector_labels, texts};
use super::plan::Plan;
use crate::api::names::{ADMIN_PORT, WEB_PORT};

/// The parts of the installation that may use the HTTP API of a collector: the operator for
/// reports, the gateway for downloads.
const VISITORS: [&str; 2] = ["operator", "gateway"];

/// The label that Kubernetes puts on every namespace with its name.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

/// A port of a collector pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Port {
    /// Its name in pods and services.
    pub(super) name: &'static str,
    /// Its number.
    pub(super) number: u16,
    /// What is spoken on it, in the words of Kubernetes; `None` says nothing.
    protocol: Option<&'static str>,
}

/// Returns the ports that applications send to.
pub(super) fn otlp_ports(plan: &Plan<'_>) -> Vec<Port> {
    let receiver = plan.capture.receiver();
    // HTTP/2 without TLS, said so that meshes and ingresses do not try HTTP/1.1.
    let grpc = receiver.grpc_port.map(|number| Port { name: "otlp-grpc", number, protocol: Some("kubernetes.io/h2c") });
    let http = receiver.http_port.map(|number| Port { name: "otlp-http", number, protocol: Some("http") });
    grpc.into_iter().chain(http).collect()
}

/// Returns the ports of every collector: its HTTP API, and its probes and metrics.
pub(super) fn own_ports() -> [Port; 2] {
    [
        Port { name: "web", number: WEB_PORT, protocol: Some("http") },
        Port { name: "admin", number: ADMIN_PORT, protocol: Some("http") },
    ]
}

/// Returns the service that applications send to; only ready pods stand behind it.
pub(super) fn otlp_service(plan: &Plan<'_>) -> Service {
    let spec = ServiceSpec {
        type_: Some("ClusterIP".to_owned()),
        selector: Some(selector_labels(plan.capture.id())),
        ports: Some(otlp_ports(plan).into_iter().map(service_port).collect()),
        ..ServiceSpec::default()
    };
    Service { metadata: plan.owned(plan.names.otlp_service()), spec: Some(spec), ..Service::default() }
}

/// Returns the service that gives each pod a name of its own, ready or not: a pod on a full
/// volume is not ready, and its chunks can still be downloaded.
pub(super) fn headless_service(plan: &Plan<'_>) -> Service {
    let spec = ServiceSpec {
        cluster_ip: Some("None".to_owned()),
        publish_not_ready_addresses: Some(true),
        selector: Some(selector_labels(plan.capture.id())),
        ports: Some(own_ports().into_iter().map(service_port).collect()),
        ..ServiceSpec::default()
    };
    Service { metadata: plan.owned(plan.names.collector()), spec: Some(spec), ..Service::default() }
}

/// Returns what admits spans from everywhere, the installation to the HTTP API, and nothing out.
///
/// Policies add up: whoever merges in a container that has to call out adds a policy of their own.
pub(super) fn policy(plan: &Plan<'_>) -> NetworkPolicy {
    let [web, admin] = own_ports();
    let spec = NetworkPolicySpec {
        pod_selector: Some(plan.selector()),
        policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
        ingress: Some(vec![
            // From outside the cluster too: a load balancer of the user's own may stand before it.
            NetworkPolicyIngressRule {
                ports: Some(otlp_ports(plan).into_iter().map(policy_port).collect()),
                from: None,
            },
            NetworkPolicyIngressRule {
                ports: Some(vec![policy_port(web)]),
                from: Some(vec![installation(plan.context.installation_namespace)]),
            },
            // Metrics are collected from a namespace that nobody knows here; they hold no telemetry of users.
            NetworkPolicyIngressRule {
                ports: Some(vec![policy_port(admin)]),
                from: Some(vec![NetworkPolicyPeer {
                    namespace_selector: Some(LabelSelector::default()),
                    ..NetworkPolicyPeer::default()
                }]),
            },
        ]),
        // No rule for what the policy is about allows nothing: a collector calls nobody.
        egress: None,
    };
    NetworkPolicy { metadata: plan.owned(plan.names.collector()), spec: Some(spec) }
}

fn installation(namespace: &str) -> NetworkPolicyPeer {
    let visitors = LabelSelectorRequirement {
        key: COMPONENT_LABEL.to_owned(),
        operator: "In".to_owned(),
        values: Some(VISITORS.map(str::to_owned).to_vec()),
    };
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(texts([(NAMESPACE_LABEL, namespace)])),
            ..LabelSelector::default()
        }),
        pod_selector: Some(LabelSelector {
            match_labels: Some(texts([(NAME_LABEL, APP)])),
            match_expressions: Some(vec![visitors]),
        }),
        ip_block: None,
    }
}

fn service_port(port: Port) -> ServicePort {
    ServicePort {
        name: Some(port.name.to_owned()),
        port: port.number.into(),
        // By name: while pods are replaced, each is reached on the port that it listens on.
        target_port: Some(IntOrString::String(port.name.to_owned())),
        app_protocol: port.protocol.map(str::to_owned),
        // Part of the key by which server-side apply tells ports apart.
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}

fn policy_port(port: Port) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::String(port.name.to_owned())),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    }
}
