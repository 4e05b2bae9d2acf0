//! A valid capture becomes every object that the operator wants for it.
//!
//! Pure: the same capture and context give the same bytes, at every call and in every
//! process, which is what lets a second visit write nothing.
//!
//! # Invariants
//! - Only what is meant is set. Everything else stays `None`, so that server-side apply owns
//!   no field that the API server defaults or somebody else manages.
//! - The pod template changes only with what pods cannot take up while they run: neither with
//!   live settings, nor with the number of replicas, nor with the operator's own version.
//! - Every pod keeps the restricted profile of the Pod Security Standards, overlay included.
//! - The claim has no owner: it outlives the object unless somebody deletes it on purpose.

mod claim;
mod container;
mod merge;
mod metadata;
mod network;
mod overlay;
mod pod;
mod protected;
mod resources;
mod restricted;
mod set;
mod settings;
mod typed;

use k8s_openapi::api::core::v1::ServiceAccount;
use thiserror::Error;

pub use metadata::selector;
pub use resources::{Applied, Built, Object, Resources};

use crate::api::grant::GrantPublicKey;
use crate::api::names::ChildNames;
use crate::api::{Fault, Reason, ValidCapture};
use crate::units::ByteSize;

/// What the objects of every capture have in common, and what was seen of this one.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The image of collector pods that name none.
    pub image: &'a str,
    /// When that image is pulled; `None` leaves it to Kubernetes.
    pub image_pull_policy: Option<&'a str>,
    /// Secrets of the capture's namespace that pods may be pulled with.
    pub image_pull_secrets: &'a [String],
    /// The keys whose grants a collector accepts; with none it serves nobody but probes.
    pub grant_keys: &'a [GrantPublicKey],
    /// The namespace whose operator and gateway may reach the collectors' HTTP API.
    pub installation_namespace: &'a str,
    /// What the claim asks for already: a claim can grow but never shrink. `None` where it does not exist.
    pub claim_size: Option<ByteSize>,
}

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

/// One capture on its way to objects.
#[derive(Debug, Clone, Copy)]
struct Plan<'a> {
    capture: &'a ValidCapture,
    names: ChildNames<'a>,
    context: &'a Context<'a>,
}

/// Builds the objects of a capture.
///
/// Whether the capture is stopped changes only the settings that a collector reads: its
/// pods stay, since downloads and retention go on.
///
/// # Errors
/// [`BuildError`], with all faults of the overlay or of the other open parts at once.
pub fn build(capture: &ValidCapture, context: &Context<'_>) -> Result<Resources<Built>, BuildError> {
    let plan = &Plan { capture, names: ChildNames::of(capture.id()), context };
    let template = pod::template(plan)?;
    Ok(Resources::built(resources::Parts {
        service_account: service_account(plan),
        settings: settings::config_map(plan)?,
        otlp_env: settings::otlp_env(plan),
        otlp_service: network::otlp_service(plan),
        headless_service: network::headless_service(plan),
        network_policy: network::policy(plan),
        claim: claim::claim(plan),
        disruption_budget: set::disruption_budget(plan),
        stateful_set: set::stateful_set(plan, template),
    }))
}

/// Returns the account that the pods run under; it has no permission and hands out no token.
fn service_account(plan: &Plan<'_>) -> ServiceAccount {
    ServiceAccount {
        metadata: plan.owned(plan.names.collector()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

fn listed(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
