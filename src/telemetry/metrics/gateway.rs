//! Metrics of the gateway.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::web::WebLabels;

/// Labels of an access; all come from closed sets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AccessLabels {
    /// `token`, `link`, or `none` where nothing was shown that holds.
    pub door: &'static str,
    /// The route's name, never the path itself.
    pub route: &'static str,
    /// `complete`, `cut` where the client went away, `failed` where the keeper did, or `refused`.
    pub outcome: &'static str,
}

/// Labels of a review that the API server was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReviewLabels {
    /// `token` or `access`.
    pub kind: &'static str,
    /// `allowed`, `denied`, or `failed` where there was no answer.
    pub outcome: &'static str,
}

/// Counters and gauges of the gateway; clones count into the same families.
#[derive(Debug, Clone, Default)]
pub struct GatewayMetrics {
    /// Requests by route and status code.
    pub requests: Family<WebLabels, Counter>,
    /// Accesses by door, route and outcome.
    pub accesses: Family<AccessLabels, Counter>,
    /// Reviews that the API server was asked for.
    pub reviews: Family<ReviewLabels, Counter>,
    /// Tokens refused unseen, because too many wrong ones came from the same address.
    pub throttled: Counter,
    /// Bytes passed on.
    pub bytes: Counter,
    /// Streams that run now.
    pub streams_running: Gauge,
}

impl GatewayMetrics {
    /// Registers the families under `gateway_…`; the registry brings the prefix of the program.
    pub fn register(&self, registry: &mut Registry) {
        let gateway = registry.sub_registry_with_prefix("gateway");
        gateway.register("requests", "Requests by route and status", self.requests.clone());
        gateway.register("accesses", "Accesses by door, route and outcome", self.accesses.clone());
        gateway.register("reviews", "Reviews asked of the API server by kind and outcome", self.reviews.clone());
        gateway.register("throttled_tokens", "Tokens refused unseen after many wrong ones", self.throttled.clone());
        gateway.register("sent_bytes", "Bytes passed on from keepers", self.bytes.clone());
        gateway.register("streams_running", "Streams that run now", self.streams_running.clone());
    }
}
