//! The names of what the operator makes of a capture, and of what marks it.
//!
//! Names and labels of these objects are for ever: another name would be another object,
//! and the volume or the pods of a running capture would be left behind.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

use crate::ids::CaptureId;

/// The label that carries the name of the capture on everything made of it.
pub const CAPTURE_LABEL: &str = "tracecapture.dev/capture";

/// The annotation on a `TraceCapture` that pauses reconciling: by any value but `false`, also by an empty one.
pub const PAUSED_ANNOTATION: &str = "tracecapture.dev/paused";

/// The annotation on the settings that names the namespace of the installation that wrote them.
pub const INSTALLATION_ANNOTATION: &str = "tracecapture.dev/installation";

/// The annotation on a collector pod that names the generation of the settings that it was told to take up.
pub const SETTINGS_ANNOTATION: &str = "tracecapture.dev/settings-generation";

/// How the names of variables begin that only the operator sets in a collector's container.
pub const RESERVED_VARIABLES: [&str; 2] = ["POD_", "TRACECAPTURE_"];

/// The finalizer that keeps a `TraceCapture` until the volume that goes with it is deleted.
pub const VOLUME_FINALIZER: &str = "tracecapture.dev/volume";

/// What `app.kubernetes.io/managed-by` says on everything made by the operator.
pub const MANAGED_BY: &str = "tracecapture";

/// The file name of the settings within the mounted `ConfigMap`: a `TraceCapture` manifest.
pub const SETTINGS_FILE: &str = "capture.yaml";

/// The file name, beside the settings, of the public keys whose grants a collector accepts.
pub const GRANT_KEYS_FILE: &str = "grant-keys";

/// The port of a collector pod's HTTP API (inventory, bundle).
pub const WEB_PORT: u16 = 4319;

/// The port of probes and metrics in every pod.
pub const ADMIN_PORT: u16 = 8080;

/// The longest name given to a child. Pods of a `StatefulSet` carry `<name>-<ten characters>` as a
/// label value of at most 63 characters, so 52 is what Kubernetes itself leaves.
const MAX_CHILD_LEN: usize = 52;

/// How many hexadecimal digits of a digest stand for the cut part of a name.
const DIGEST_DIGITS: usize = 8;

/// The names of the children of one capture, all in its namespace.
#[derive(Debug, Clone, Copy)]
pub struct ChildNames<'a> {
    id: &'a CaptureId,
}

impl<'a> ChildNames<'a> {
    /// Returns the names for a capture.
    pub fn of(id: &'a CaptureId) -> Self {
        Self { id }
    }

    /// The `StatefulSet` of the collector pods, its headless `Service`, its `ServiceAccount`, its `NetworkPolicy` and its `PodDisruptionBudget`.
    pub fn collector(self) -> String {
        self.with_suffix("-collector")
    }

    /// The `Service` that applications send spans to.
    pub fn otlp_service(self) -> String {
        self.with_suffix("-otlp")
    }

    /// The `ConfigMap` with the variables of an OpenTelemetry SDK.
    pub fn otlp_env(self) -> String {
        self.with_suffix("-otlp-env")
    }

    /// The `ConfigMap` with the settings of the collector pods.
    pub fn settings(self) -> String {
        self.with_suffix("-settings")
    }

    /// The claim that is made where the capture names none.
    pub fn claim(self) -> String {
        self.with_suffix("-chunks")
    }

    /// The collector pod with this ordinal; ordinal 0 is the keeper.
    pub fn pod(self, ordinal: i32) -> String {
        format!("{}-{ordinal}", self.collector())
    }

    fn with_suffix(self, suffix: &str) -> String {
        shortened(self.id.name(), MAX_CHILD_LEN - suffix.len()) + suffix
    }
}

/// Cuts a name to `max_len` bytes; a digest of the whole keeps cut names apart.
///
/// A name that fits is returned as it is. `name` must be ASCII, as every checked name is.
pub fn shortened(name: &str, max_len: usize) -> String {
    if name.len() <= max_len {
        return name.to_owned();
    }
    let digest = digest(&SHA256, name.as_bytes());
    let digest = digest.as_ref().iter().take(DIGEST_DIGITS / 2).fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    });
    let head: String = name.chars().take(max_len.saturating_sub(DIGEST_DIGITS + 1)).collect();
    format!("{}-{digest}", head.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_keep_their_words() {
        let id = CaptureId::new("shop", "checkout").unwrap();
        let names = ChildNames::of(&id);
        assert_eq!(names.collector(), "checkout-collector");
        assert_eq!(names.pod(2), "checkout-collector-2");
        assert_eq!(names.otlp_env(), "checkout-otlp-env");
    }

    #[test]
    fn names_of_63_characters_fit_and_stay_apart() {
        let names = |last: char| {
            let id = CaptureId::new("shop", &("a".repeat(62) + &last.to_string())).unwrap();
            let names = ChildNames::of(&id);
            [names.collector(), names.otlp_service(), names.otlp_env(), names.settings(), names.claim()]
        };
        for (b, c) in names('b').into_iter().zip(names('c')) {
            assert!(b.len() <= MAX_CHILD_LEN && b != c, "{b} {c}");
        }
    }
}
