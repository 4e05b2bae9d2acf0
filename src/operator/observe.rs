//! Looking at one capture: what the API server and its collectors say, as one [`Observed`].

use futures::future::join_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, GetParams, ListParams};
use kube::core::Status;
use kube::{Client, ResourceExt as _};

use super::belongs::is_of;
use super::build::selector;
use super::error::{VisitError, optional, status};
use super::observed::{Observed, PodReport, StorageClassSeen};
use super::reports::{Question, Reports};
use crate::api::ValidCapture;
use crate::api::names::ChildNames;
use crate::ids::CaptureId;

/// How many refusals are kept: the newest says what is wrong now, a few more what else.
const MAX_REFUSALS: usize = 3;

/// Where a visit looks.
pub(super) struct Observer<'a> {
    /// The way to the API server.
    pub(super) client: &'a Client,
    /// The way to the collectors.
    pub(super) reports: &'a dyn Reports,
}

impl Observer<'_> {
    /// Reads everything that is known of a capture.
    ///
    /// Reads are those of the API server's cache: they cost its database nothing, and a change
    /// that they miss comes as an event.
    ///
    /// # Errors
    /// [`VisitError::Api`] where the API server does not answer; pods that do not are part of what is observed.
    pub(super) async fn observe(
        &self,
        capture: &ValidCapture,
        sharers: Vec<CaptureId>,
    ) -> Result<Observed, VisitError> {
        let id = capture.id();
        let names = ChildNames::of(id);
        let storage = &capture.spec().storage;
        let claim_name = storage.claim_name.clone().unwrap_or_else(|| names.claim());
        let claim = self.claim(id, &claim_name).await?;
        let is_bound = claim.as_ref().and_then(|claim| claim.spec.as_ref()?.volume_name.as_ref()).is_some();
        let class = storage.storage_class_name.as_deref().filter(|name| !name.is_empty() && !is_bound);
        let storage_class = match class {
            Some(class) if storage.claim_name.is_none() => self.storage_class(class).await?,
            _ => StorageClassSeen::Unknown,
        };
        let sets: Api<StatefulSet> = Api::namespaced(self.client.clone(), id.namespace());
        let set_name = names.collector();
        let stateful_set = optional(sets.get_with(&set_name, &GetParams::any()).await)
            .map_err(VisitError::api(format!("read StatefulSet `{}/{set_name}`", id.namespace())))?;
        // What somebody else has under that name tells nothing of this capture.
        let uid = capture.origin().uid.as_deref().unwrap_or_default();
        let stateful_set = stateful_set.filter(|set| is_of(&set.metadata, (id, uid)));
        let pods = self.pods(id).await?;
        let wanted = usize::try_from(capture.spec().collector.replicas).unwrap_or_default();
        let lacks_pods = stateful_set.is_some() && pods.len() < wanted;
        let refusals = if lacks_pods { self.refusals(id, &set_name).await } else { Vec::new() };
        let reports = self.ask(capture, &pods).await;
        Ok(Observed { claim, storage_class, sharers, stateful_set, pods, refusals, reports })
    }

    async fn claim(&self, id: &CaptureId, name: &str) -> Result<Option<PersistentVolumeClaim>, VisitError> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), id.namespace());
        // Not from the cache: its size decides what is applied.
        optional(claims.get(name).await)
            .map_err(VisitError::api(format!("read PersistentVolumeClaim `{}/{name}`", id.namespace())))
    }

    async fn storage_class(&self, name: &str) -> Result<StorageClassSeen, VisitError> {
        let classes: Api<StorageClass> = Api::all(self.client.clone());
        match optional(classes.get_with(name, &GetParams::any()).await) {
            Ok(Some(_)) => Ok(StorageClassSeen::Exists),
            Ok(None) => Ok(StorageClassSeen::Missing),
            // An installation without cluster-wide rights may not look.
            Err(error) if status(&error).is_some_and(Status::is_forbidden) => Ok(StorageClassSeen::Unknown),
            Err(error) => Err(VisitError::api(format!("read StorageClass `{name}`"))(error)),
        }
    }

    /// Returns the pods, by ordinal.
    async fn pods(&self, id: &CaptureId) -> Result<Vec<Pod>, VisitError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), id.namespace());
        let params = ListParams::default().labels(&selector(id)).match_any();
        let listed = pods.list(&params).await;
        let mut pods =
            listed.map_err(VisitError::api(format!("list the pods of `{id}` in `{}`", id.namespace())))?.items;
        pods.sort_by_key(|pod| (ordinal(pod).unwrap_or(i32::MAX), pod.name_any()));
        Ok(pods)
    }

    /// Returns why the set makes no pods; best effort, since events are kept for an hour at most.
    async fn refusals(&self, id: &CaptureId, set: &str) -> Vec<String> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), id.namespace());
        let fields = format!("involvedObject.kind=StatefulSet,involvedObject.name={set},type=Warning");
        let Ok(listed) = events.list(&ListParams::default().fields(&fields).match_any()).await else {
            return Vec::new();
        };
        let mut events = listed.items;
        events.sort_by_key(|event| std::cmp::Reverse(event_time(event)));
        events.into_iter().filter_map(|event| event.message).take(MAX_REFUSALS).collect()
    }

    /// Asks every pod that could answer, all at once.
    async fn ask(&self, capture: &ValidCapture, pods: &[Pod]) -> Vec<PodReport> {
        let (id, uid) = (capture.id(), capture.origin().uid.clone().unwrap_or_default());
        let asked = pods.iter().filter_map(|pod| Some((pod, ordinal(pod)?))).map(|(pod, ordinal)| {
            let question = Question {
                id: id.clone(),
                uid: uid.clone(),
                pod: pod.name_any(),
                ordinal,
                service: ChildNames::of(id).collector(),
            };
            async move {
                let name = question.pod.clone();
                let report = match phase(pod) {
                    "Running" => self.reports.ask(question).await,
                    phase => Err(format!("the pod is {phase}")),
                };
                PodReport { pod: name, ordinal, report }
            }
        });
        join_all(asked).await
    }
}

/// Returns the ordinal of a pod of a set, which ends its name.
fn ordinal(pod: &Pod) -> Option<i32> {
    pod.metadata.name.as_deref()?.rsplit_once('-')?.1.parse().ok()
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// Returns when an event happened last, whichever way it was written.
fn event_time(event: &Event) -> Option<k8s_openapi::jiff::Timestamp> {
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    last.max(series).max(event.event_time.as_ref().map(|time| time.0))
}
