//! Why a capture becomes no objects.

use thiserror::Error;

use crate::api::{Fault, Reason};

/// Why there are no objects. A retry helps only after the capture was changed.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The overlay would break the pod or weaken its security.
    #[error("cannot merge `spec.collector.podOverlay`: {}", listed(.0))]
    OverlayRefused(Vec<Fault>),
    /// Parts of the spec that only Kubernetes knows the form of are not in that form.
    #[error("cannot build the pods: {}", listed(.0))]
    Invalid(Vec<Fault>),
    /// The settings cannot be written as YAML.
    #[error("cannot write the settings of the collector")]
    Settings(#[source] serde_saphyr::ser::Error),
}

impl BuildError {
    /// Returns the reason for conditions, events and metrics.
    pub fn reason(&self) -> Reason {
        match self {
            Self::OverlayRefused(_) => Reason::OverlayRefused,
            Self::Invalid(_) | Self::Settings(_) => Reason::Invalid,
        }
    }

    /// Returns every fault by its path in the capture; empty where none can be named.
    pub fn faults(&self) -> &[Fault] {
        match self {
            Self::OverlayRefused(faults) | Self::Invalid(faults) => faults,
            Self::Settings(_) => &[],
        }
    }
}

fn listed(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
