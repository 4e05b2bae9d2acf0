//! What every object of a capture is built from.

use crate::api::ValidCapture;
use crate::api::grant::GrantPublicKey;
use crate::api::names::ChildNames;
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

/// One capture on its way to objects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) capture: &'a ValidCapture,
    pub(super) names: ChildNames<'a>,
    pub(super) context: &'a Context<'a>,
}
