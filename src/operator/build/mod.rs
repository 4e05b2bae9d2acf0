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
mod error;
mod merge;
mod metadata;
mod network;
mod overlay;
mod plan;
mod pod;
mod protected;
mod resources;
mod restricted;
mod set;
mod settings;
mod typed;

use k8s_openapi::api::core::v1::ServiceAccount;

pub use error::BuildError;
pub use metadata::selector;
pub use plan::Context;
pub use resources::{Applied, Built, Object, Resources};

use crate::api::ValidCapture;
use crate::api::names::ChildNames;
use plan::Plan;

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
