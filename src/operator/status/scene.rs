//! What a visit shows, looked up once for all conditions.

use k8s_openapi::api::core::v1::Pod;

use super::visit::Visit;
use crate::api::State;
use crate::api::report::{CollectorReport, StorageHealth};

/// A visit, with its pods and reports put together.
pub(super) struct Scene<'a> {
    /// The visit.
    pub(super) visit: &'a Visit<'a>,
    /// The collector pods, by ordinal.
    pub(super) pods: Vec<CollectorPod<'a>>,
    /// How many pods there are to be.
    pub(super) n_wanted: usize,
}

/// One collector pod.
pub(super) struct CollectorPod<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// What the API server says of it.
    pub(super) pod: &'a Pod,
    /// Whether Kubernetes sends it requests.
    pub(super) is_ready: bool,
    /// What it told, or why it did not; `None` where it was not asked.
    pub(super) report: Option<Result<&'a CollectorReport, &'a str>>,
}

/// The pod with ordinal 0, which does retention, recovery and downloads.
pub(super) enum Keeper<'a> {
    /// It told this.
    Reports(&'a CollectorReport),
    /// There are no pods yet.
    NotYet,
    /// It is being started.
    Starting,
    /// It does not answer, and why.
    Silent(String),
}

impl<'a> Scene<'a> {
    /// Looks at a visit.
    pub(super) fn of(visit: &'a Visit<'a>) -> Self {
        let observed = visit.observed;
        let pods: Vec<_> = observed.pods.iter().map(|pod| CollectorPod::of(pod, visit)).collect();
        let by_set = observed.stateful_set.as_ref().and_then(|set| set.spec.as_ref()?.replicas);
        let n_wanted = match visit.capture {
            Ok(capture) => Some(capture.spec().collector.replicas),
            Err(_) => by_set,
        };
        let n_wanted = n_wanted.and_then(|replicas| usize::try_from(replicas).ok()).unwrap_or(pods.len());
        Self { visit, pods, n_wanted }
    }

    /// Returns the reports that arrived.
    pub(super) fn reports(&self) -> impl Iterator<Item = &'a CollectorReport> {
        self.visit.observed.reports.iter().filter_map(|report| report.report.as_ref().ok())
    }

    /// Returns the pods that take spans and store them.
    pub(super) fn n_takers(&self) -> usize {
        self.pods.iter().filter(|pod| pod.takes_spans()).count()
    }

    /// Returns what is known of the keeper.
    pub(super) fn keeper(&self) -> Keeper<'a> {
        let observed = self.visit.observed;
        let told = observed.reports.iter().find(|report| report.ordinal == 0).map(|report| &report.report);
        if let Some(Ok(report)) = told {
            return Keeper::Reports(report);
        }
        if observed.stateful_set.is_none() {
            return Keeper::NotYet;
        }
        let was_there = self.visit.previous.is_some_and(|previous| previous.storage.is_some());
        match self.pods.iter().find(|pod| pod.name.ends_with("-0")) {
            None if was_there => Keeper::Silent("the pod with ordinal 0 does not exist".to_owned()),
            None => Keeper::Starting,
            Some(pod) if pod.is_starting() => Keeper::Starting,
            Some(pod) => {
                let why = told.and_then(|told| told.as_ref().err()).map_or("it was not asked", |why| why);
                Keeper::Silent(format!("pod `{}` does not answer: {why}", pod.name))
            }
        }
    }
}

impl<'a> CollectorPod<'a> {
    fn of(pod: &'a Pod, visit: &'a Visit<'a>) -> Self {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let is_ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
            && pod.metadata.deletion_timestamp.is_none();
        let report = visit.observed.reports.iter().find(|report| report.pod == name);
        let report = report.map(|report| report.report.as_ref().map_err(String::as_str));
        Self { name, pod, is_ready, report }
    }

    /// Returns what it told, where it did.
    pub(super) fn told(&self) -> Option<&'a CollectorReport> {
        self.report.and_then(Result::ok)
    }

    /// Tells whether a span sent to it now would be stored.
    fn takes_spans(&self) -> bool {
        let is_sound = |report: &CollectorReport| {
            report.state == State::Running && matches!(report.health.storage, StorageHealth::Ok)
        };
        self.is_ready && self.told().is_some_and(is_sound)
    }

    /// Tells whether its containers have not run yet.
    fn is_starting(&self) -> bool {
        let phase = self.pod.status.as_ref().and_then(|status| status.phase.as_deref());
        self.pod.metadata.deletion_timestamp.is_none() && matches!(phase, None | Some("Pending"))
    }
}
