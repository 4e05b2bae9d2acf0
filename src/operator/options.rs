//! What an operator process was told at its start.

use std::time::Duration;

pub use crate::installation::Watched;

/// The settings of an operator process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The image of collector pods that name none.
    pub image: String,
    /// When that image is pulled; `None` leaves it to Kubernetes.
    pub image_pull_policy: Option<String>,
    /// Secrets in the namespace of each capture that its pods may be pulled with; one that is missing does no harm.
    pub image_pull_secrets: Vec<String>,
    /// The namespace of the installation: its Lease and its key lie here, its gateway runs here.
    pub namespace: String,
    /// Whose captures are reconciled.
    pub watched: Watched,
    /// The public base address of downloads, without a slash at the end; `None` where there is none.
    pub public_url: Option<String>,
    /// Under which name this process takes part in the election; in a pod, the pod's.
    pub identity: String,
    /// Where a collector pod's HTTP API is reached: `{pod}`, `{service}`, `{namespace}` and `{ordinal}` are replaced.
    pub collector_url: String,
    /// How often a capture is visited without a reason: the figures in its status are at most this old.
    pub revisit: Duration,
    /// How many captures are visited at a time.
    pub concurrency: u16,
}
