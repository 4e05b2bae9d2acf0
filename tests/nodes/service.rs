//! Where Services lead.

use std::collections::BTreeSet;

use crate::command::{get, run, until};

/// Waits until the node leads a Service to each pod of it that is ready, and to no other one.
///
/// A pod that comes or goes is made known to the node's network a moment later. No object tells when; the rules of
/// kube-proxy do, since each names the Service and the address that it leads to.
#[track_caller]
pub(crate) fn until_led(namespace: &str, service: &str) {
    until(&format!("the Service {namespace}/{service} leads to its pods"), || {
        let ready = ready(namespace, service);
        (!ready.is_empty() && ready == led_to(namespace, service)).then_some(())
    });
}

/// The addresses of its pods that are ready.
fn ready(namespace: &str, service: &str) -> BTreeSet<String> {
    let label = format!("kubernetes.io/service-name={service}");
    let slices = get(&["-n", namespace, "endpointslices", "-l", &label]);
    let endpoints = slices["items"].as_array().into_iter().flatten().filter_map(|slice| slice["endpoints"].as_array());
    let ready = endpoints.flatten().filter(|endpoint| endpoint["conditions"]["ready"] == true);
    ready.filter_map(|endpoint| Some(endpoint["addresses"][0].as_str()?.to_owned())).collect()
}

/// The addresses that the node leads to: `-A KUBE-SVC-… --comment "shop/checkout-otlp:otlp-grpc -> 198.19.0.7:4317" …`.
fn led_to(namespace: &str, service: &str) -> BTreeSet<String> {
    let (rules, name) = (run("iptables-save", &["-t", "nat"]), format!("\"{namespace}/{service}:"));
    let address = |rule: &str| {
        let (_, rest) = rule.split_once(&name)?.1.split_once(" -> ")?;
        rest.split(':').next().map(ToOwned::to_owned)
    };
    rules.lines().filter_map(address).collect()
}
