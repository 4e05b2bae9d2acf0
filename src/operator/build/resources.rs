//! Every object of one capture, and how far they got.

use std::marker::PhantomData;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::ApiResource;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde_json::Value;

/// The objects were built; the API server may know none of them.
#[derive(Debug, Clone, Copy)]
pub enum Built {}

/// The API server accepted every one of the objects.
#[derive(Debug, Clone, Copy)]
pub enum Applied {}

/// The objects of one capture. A status can only be derived from [`Applied`] ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Resources<Stage> {
    parts: Parts,
    stage: PhantomData<Stage>,
}

/// The objects themselves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parts {
    pub(super) service_account: ServiceAccount,
    pub(super) settings: ConfigMap,
    pub(super) otlp_env: ConfigMap,
    pub(super) otlp_service: Service,
    pub(super) headless_service: Service,
    pub(super) network_policy: NetworkPolicy,
    pub(super) claim: Option<PersistentVolumeClaim>,
    pub(super) disruption_budget: Option<PodDisruptionBudget>,
    pub(super) stateful_set: StatefulSet,
}

/// One object as it is applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Which kind of object it is.
    pub resource: ApiResource,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The whole object, `apiVersion` and `kind` included, its members sorted.
    pub body: Value,
}

impl Resources<Built> {
    /// Takes the objects that were built.
    pub(super) fn built(parts: Parts) -> Self {
        Self { parts, stage: PhantomData }
    }

    /// Says that the API server accepted every one of [`Self::objects`].
    pub(in crate::operator) fn applied(self) -> Resources<Applied> {
        Resources { parts: self.parts, stage: PhantomData }
    }
}

impl<Stage> Resources<Stage> {
    /// Returns the objects in the order in which they are applied, the same at every call.
    ///
    /// The pods come last: what they mount, run under and are guarded by is there before they start.
    ///
    /// # Errors
    /// None in practice: objects of Kubernetes have string keys only, so each has a JSON form.
    pub fn objects(&self) -> Result<Vec<Object>, serde_json::Error> {
        let Parts {
            service_account,
            settings,
            otlp_env,
            otlp_service,
            headless_service,
            network_policy,
            claim,
            disruption_budget,
            stateful_set,
        } = &self.parts;
        let mut objects = vec![
            object(service_account)?,
            object(settings)?,
            object(otlp_env)?,
            object(otlp_service)?,
            object(headless_service)?,
            object(network_policy)?,
        ];
        objects.extend(claim.as_ref().map(object).transpose()?);
        objects.extend(disruption_budget.as_ref().map(object).transpose()?);
        objects.push(object(stateful_set)?);
        Ok(objects)
    }

    /// Returns the claim; `None` where the capture brings its own.
    pub fn claim(&self) -> Option<&PersistentVolumeClaim> {
        self.parts.claim.as_ref()
    }

    /// Returns the set of collector pods.
    pub fn stateful_set(&self) -> &StatefulSet {
        &self.parts.stateful_set
    }
}

fn object<K>(object: &K) -> Result<Object, serde_json::Error>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    Ok(Object {
        resource: ApiResource::erase::<K>(&()),
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        body: serde_json::to_value(object)?,
    })
}
