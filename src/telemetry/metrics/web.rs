//! Metrics of the HTTP API.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Labels of an answered request; both come from closed sets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WebLabels {
    /// The route's name, never the path itself.
    pub route: &'static str,
    /// The status code.
    pub status: u16,
}

/// Labels of an ended download.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DownloadLabels {
    /// `complete`, `cut` where the client or its connection went away, or `failed` where a chunk did.
    pub outcome: &'static str,
}

/// Counters and gauges of the HTTP API; clones count into the same families.
#[derive(Debug, Clone, Default)]
pub struct WebMetrics {
    /// Requests by route and status code.
    pub requests: Family<WebLabels, Counter>,
    /// Ended downloads by outcome.
    pub downloads: Family<DownloadLabels, Counter>,
    /// Bytes of downloads handed to connections.
    pub download_bytes: Counter,
    /// Downloads that run now.
    pub downloads_running: Gauge,
    /// Requests refused for want of a valid token.
    pub unauthenticated: Counter,
}

impl WebMetrics {
    /// Registers the families under `web_…`; the registry brings the prefix of the program.
    pub fn register(&self, registry: &mut Registry) {
        let web = registry.sub_registry_with_prefix("web");
        web.register("requests", "Requests by route and status", self.requests.clone());
        web.register("downloads", "Ended downloads by outcome", self.downloads.clone());
        web.register("download_bytes", "Bytes of downloads sent", self.download_bytes.clone());
        web.register("downloads_running", "Downloads that run now", self.downloads_running.clone());
        web.register("unauthenticated", "Requests refused for want of a valid token", self.unauthenticated.clone());
    }
}
