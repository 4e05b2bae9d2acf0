//! The kinds of other projects, as far as the chart uses them; a key that is not here is refused.
//!
//! Sources: API references of the Prometheus operator (`monitoring.coreos.com/v1`), of cert-manager
//! (`cert-manager.io/v1`) and of the Gateway API (`gateway.networking.k8s.io/v1`).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::{Deserialize, Serialize};

/// An object of any of these kinds.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Foreign<S> {
    api_version: String,
    kind: String,
    metadata: ObjectMeta,
    spec: S,
}

pub(crate) type ServiceMonitor = Foreign<ServiceMonitorSpec>;
pub(crate) type PodMonitor = Foreign<PodMonitorSpec>;
pub(crate) type PrometheusRule = Foreign<PrometheusRuleSpec>;
pub(crate) type Certificate = Foreign<CertificateSpec>;
pub(crate) type HttpRoute = Foreign<HttpRouteSpec>;

/// Declares structs whose fields may be left out, and nothing else may stand there.
macro_rules! strict {
    ($($name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        #[derive(Deserialize, Serialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        pub(crate) struct $name { $(#[serde(default, skip_serializing_if = "Option::is_none")] $field: Option<$type>),* }
    )*};
}

strict! {
    ServiceMonitorSpec { selector: LabelSelector, endpoints: Vec<Endpoint>, namespace_selector: NamespaceSelector }
    PodMonitorSpec { selector: LabelSelector, pod_metrics_endpoints: Vec<Endpoint>, namespace_selector: NamespaceSelector }
    NamespaceSelector { any: bool, match_names: Vec<String> }
    Endpoint { port: String, interval: String, honor_labels: bool, relabelings: Vec<Relabeling> }
    Relabeling { source_labels: Vec<String>, target_label: String }
    PrometheusRuleSpec { groups: Vec<Group> }
    Group { name: String, rules: Vec<Rule> }
    CertificateSpec {
        secret_name: String, issuer_ref: IssuerRef, dns_names: Vec<String>, private_key: PrivateKey, usages: Vec<String>,
    }
    IssuerRef { name: String, kind: String, group: String }
    PrivateKey { algorithm: String, size: u32, rotation_policy: String }
    HttpRouteSpec { parent_refs: Vec<Reference>, hostnames: Vec<String>, rules: Vec<RouteRule> }
    Reference { group: String, kind: String, name: String, namespace: String, section_name: String, port: u16 }
    RouteRule { matches: Vec<Match>, backend_refs: Vec<Reference>, timeouts: Timeouts }
    Match { path: PathMatch }
    PathMatch { r#type: String, value: String }
    Timeouts { request: String }
}

/// An alert; every one tells where its runbook is.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    alert: String,
    expr: String,
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    for_: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: RuleAnnotations,
}

/// What an alert says.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleAnnotations {
    summary: String,
    description: String,
    runbook_url: String,
}
