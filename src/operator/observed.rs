//! What one visit saw: data alone, so that everything that decides can be tested without a cluster.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use crate::api::report::CollectorReport;
use crate::ids::CaptureId;
use crate::units::ByteSize;

/// What the API server and the collectors say of one capture.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The claim of the capture, made here or brought by its user; `None` where it does not exist.
    pub claim: Option<PersistentVolumeClaim>,
    /// The storage class of a claim that is made here.
    pub storage_class: StorageClassSeen,
    /// Other captures on the same directory of the claim, or one around or within it, that were created earlier: they keep it.
    pub sharers: Vec<CaptureId>,
    /// The collector's set.
    pub stateful_set: Option<StatefulSet>,
    /// The collector's pods, by ordinal.
    pub pods: Vec<Pod>,
    /// What the API server says to the set of why it makes no pods, newest first: quotas, pod security, admission.
    pub refusals: Vec<String>,
    /// What the collector pods tell, by ordinal.
    pub reports: Vec<PodReport>,
}

impl Observed {
    /// Returns what the claim asks for already.
    pub(super) fn claim_size(&self) -> Option<ByteSize> {
        let requests = self.claim.as_ref()?.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
        requests.get("storage")?.0.parse().ok()
    }
}

/// What is known of a storage class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StorageClassSeen {
    /// None is named, or it may not be read.
    #[default]
    Unknown,
    /// It exists.
    Exists,
    /// It does not exist.
    Missing,
}

/// What one collector pod told, or why it did not.
#[derive(Debug, Clone, PartialEq)]
pub struct PodReport {
    /// The pod's name.
    pub pod: String,
    /// Its ordinal; 0 is the keeper.
    pub ordinal: i32,
    /// The report; for people, why there is none.
    pub report: Result<CollectorReport, String>,
}
