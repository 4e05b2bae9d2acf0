//! Where the HTTP API of a collector pod is reached.

use crate::ids::CaptureId;

/// The address within a cluster.
pub const DEFAULT: &str = "http://{pod}.{service}.{namespace}.svc:4319";

/// Fills in the places of a template: `{pod}`, `{service}`, `{namespace}` and `{ordinal}`.
///
/// `pod` and `service` are the names of the pod and of the headless Service in front of it.
pub fn fill(template: &str, capture: &CaptureId, (pod, service): (&str, &str), ordinal: i32) -> String {
    template
        .replace("{pod}", pod)
        .replace("{service}", service)
        .replace("{namespace}", capture.namespace())
        .replace("{ordinal}", &ordinal.to_string())
}
