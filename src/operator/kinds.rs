//! The kinds of objects that the operator makes of a capture, as one table.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ApiResource;

/// A kind of object that belongs to a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// Settings, and the variables of applications.
    ConfigMap,
    /// What the pods run as.
    ServiceAccount,
    /// The addresses.
    Service,
    /// The volume that is made where none was brought.
    PersistentVolumeClaim,
    /// Who may reach the pods.
    NetworkPolicy,
    /// How many pods may be evicted at a time.
    PodDisruptionBudget,
    /// The pods' owner.
    StatefulSet,
    /// The pods; made by the set, only watched here.
    Pod,
}

impl Kind {
    /// Every kind that is watched.
    pub(super) const ALL: [Self; 8] = [
        Self::ConfigMap,
        Self::ServiceAccount,
        Self::Service,
        Self::PersistentVolumeClaim,
        Self::NetworkPolicy,
        Self::PodDisruptionBudget,
        Self::StatefulSet,
        Self::Pod,
    ];

    /// Returns the name, as it stands in `kind`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::ServiceAccount => "ServiceAccount",
            Self::Service => "Service",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::StatefulSet => "StatefulSet",
            Self::Pod => "Pod",
        }
    }

    /// Returns the kind of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns how the API server addresses it.
    pub(super) fn resource(self) -> ApiResource {
        match self {
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::PersistentVolumeClaim => ApiResource::erase::<PersistentVolumeClaim>(&()),
            Self::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
            Self::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
            Self::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
            Self::Pod => ApiResource::erase::<Pod>(&()),
        }
    }

    /// Tells whether an object of this kind is deleted once the capture no longer asks for it.
    ///
    /// A claim holds what was captured: only `deletionPolicy: Delete` deletes one, with its capture.
    pub(super) const fn is_pruned(self) -> bool {
        !matches!(self, Self::PersistentVolumeClaim | Self::Pod)
    }

    /// Tells whether the API server counts the changes of what was asked for in `metadata.generation`.
    ///
    /// For such kinds a change of the status alone is no drift.
    pub(super) const fn has_generation(self) -> bool {
        matches!(self, Self::StatefulSet | Self::NetworkPolicy | Self::PodDisruptionBudget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_api() {
        for kind in Kind::ALL {
            assert_eq!(kind.resource().kind, kind.name());
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
    }
}
