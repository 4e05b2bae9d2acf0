//! The condition `StorageReady`: the volume is there and can be written.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Amount;

use super::scene::Scene;
use super::verdict::{Holds, Verdict};
use crate::api::names::CAPTURE_LABEL;
use crate::api::report::StorageHealth;
use crate::api::{Quantity, Reason};
use crate::operator::observed::StorageClassSeen;
use crate::units::ByteSize;

/// The modes in which a claim can be written.
const WRITABLE: [&str; 3] = ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"];

/// Says whether the volume is there and can be written.
pub(super) fn storage(scene: &Scene<'_>) -> Verdict {
    let visit = scene.visit;
    if let Some(refusal) = visit.capture.err().filter(|refusal| refusal.reason == Reason::ClaimShared) {
        return Verdict::no(refusal.reason, &refusal.message);
    }
    let Some(claim) = &visit.observed.claim else { return without_claim(scene) };
    foreign(scene, claim)
        .or_else(|| lost(claim))
        .or_else(|| mode_mismatch(scene, claim))
        .or_else(|| at_fault(scene, claim))
        .or_else(|| unresized(scene, claim))
        .or_else(|| unbound(scene, claim))
        .or_else(|| unproven(scene, claim))
        .or_else(|| growing(claim))
        .or_else(|| shrunk(scene, claim))
        .unwrap_or_else(|| {
            let what = format!("Claim `{}` ({}) is bound and can be written.", name_of(claim), capacity_of(claim));
            Verdict::yes(Reason::Mounted, &what)
        })
}

fn without_claim(scene: &Scene<'_>) -> Verdict {
    let visit = scene.visit;
    let capture = match visit.capture {
        Ok(capture) => capture,
        Err(refusal) => return Verdict::unknown(refusal.reason, &refusal.message),
    };
    let storage = &capture.spec().storage;
    if let Some(name) = &storage.claim_name {
        let what = format!("Namespace `{}` has no claim `{name}`.", visit.namespace);
        return Verdict::no(Reason::ClaimMissing, &what);
    }
    if visit.observed.storage_class == StorageClassSeen::Missing {
        return class_missing(storage.storage_class_name.as_deref());
    }
    if let Err(failure) = visit.applied {
        return Verdict::unapplied(failure);
    }
    let reason = if visit.paused { Reason::Paused } else { Reason::Pending };
    Verdict::unknown(reason, "The claim is not made yet.")
}

fn class_missing(name: Option<&str>) -> Verdict {
    let what = format!("There is no storage class `{}`.", name.unwrap_or_default());
    Verdict::no(Reason::StorageClassMissing, &what)
}

/// A claim of the name that ours would have, which somebody else made: it is left alone.
fn foreign(scene: &Scene<'_>, claim: &PersistentVolumeClaim) -> Option<Verdict> {
    let visit = scene.visit;
    if visit.capture.ok()?.spec().storage.claim_name.is_some() {
        return None;
    }
    let failure = visit.applied.err()?;
    let owner = claim.metadata.labels.as_ref().and_then(|labels| labels.get(CAPTURE_LABEL));
    (owner.map(String::as_str) != Some(visit.name)).then(|| Verdict::unapplied(failure))
}

fn lost(claim: &PersistentVolumeClaim) -> Option<Verdict> {
    let name = name_of(claim);
    if phase_of(claim) == Some("Lost") {
        return Some(Verdict::no(Reason::ClaimLost, &format!("Claim `{name}` has lost its volume.")));
    }
    claim.metadata.deletion_timestamp.as_ref()?;
    Some(Verdict::no(Reason::ClaimTerminating, &format!("Claim `{name}` is being deleted.")))
}

/// A claim that was brought must be a file system, writable, and by as many nodes as there may be pods.
fn mode_mismatch(scene: &Scene<'_>, claim: &PersistentVolumeClaim) -> Option<Verdict> {
    let spec = scene.visit.capture.ok()?.spec();
    spec.storage.claim_name.as_ref()?;
    let of_volume = claim.status.as_ref().and_then(|status| status.access_modes.as_deref()).unwrap_or_default();
    let of_claim = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_deref()).unwrap_or_default();
    let modes = if of_volume.is_empty() { of_claim } else { of_volume };
    let replicas = spec.collector.replicas;
    let is_shared = modes.iter().any(|mode| mode == "ReadWriteMany");
    let is_writable = modes.iter().any(|mode| WRITABLE.contains(&&**mode));
    let is_fit = modes.is_empty() || is_shared || (is_writable && replicas <= 1);
    let (name, modes) = (name_of(claim), modes.join(", "));
    let what = if claim.spec.as_ref().is_some_and(|spec| spec.volume_mode.as_deref() == Some("Block")) {
        format!("Claim `{name}` is a block device (`volumeMode: Block`), and pods need a file system.")
    } else if is_fit {
        return None;
    } else if is_writable {
        format!("Claim `{name}` offers {modes}, which does not do for {replicas} pods.")
    } else {
        format!("Claim `{name}` offers {modes}, and pods write.")
    };
    Some(Verdict::no(Reason::AccessModeMismatch, &what))
}

fn unbound(scene: &Scene<'_>, claim: &PersistentVolumeClaim) -> Option<Verdict> {
    if phase_of(claim) == Some("Bound") {
        return None;
    }
    let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    if scene.visit.observed.storage_class == StorageClassSeen::Missing {
        return Some(class_missing(class));
    }
    let name = name_of(claim);
    Some(if class.is_none() {
        let what = format!("Claim `{name}` waits for a volume; it names no storage class and got no default one.");
        let next = "Mark a class of the cluster as the default, or create another capture that names one.";
        Verdict::new(Holds::No, Reason::ClaimPending, &what, next)
    } else {
        Verdict::no(Reason::ClaimPending, &format!("Claim `{name}` waits for a volume."))
    })
}

/// What pods tell of a volume that cannot be written, with the numbers and the command to run.
fn at_fault(scene: &Scene<'_>, claim: &PersistentVolumeClaim) -> Option<Verdict> {
    let of = |name: &str| format!("The volume of claim `{name}`");
    let mut full = None;
    for report in scene.reports() {
        match &report.health.storage {
            StorageHealth::Ok => {}
            StorageHealth::Failed { message } => {
                let what = format!("{} cannot be written: {message}", of(name_of(claim)));
                return Some(Verdict::no(Reason::VolumeFailed, &what));
            }
            StorageHealth::Full { message } => full = full.or(Some((report, message))),
        }
    }
    let (report, message) = full?;
    let limit = ByteSize(report.storage.limit_bytes);
    let what = format!(
        "{} ({}) is full; `spec.retention.maxBytes` is {limit}. {}{message}",
        of(name_of(claim)),
        capacity_of(claim),
        growing(claim).map(|growing| growing.message + " ").unwrap_or_default(),
    );
    Some(Verdict::new(Holds::No, Reason::VolumeFull, &what, &how_to_grow(scene, claim)))
}

/// Returns the command that makes room for twice as much.
fn how_to_grow(scene: &Scene<'_>, claim: &PersistentVolumeClaim) -> String {
    let visit = scene.visit;
    let double =
        bytes_of(capacity_in(claim)).map_or_else(|| "SIZE".to_owned(), |size| ByteSize(size.0 * 2).to_string());
    let is_brought = visit.capture.is_ok_and(|capture| capture.spec().storage.claim_name.is_some());
    if is_brought {
        return format!(
            "Lower `spec.retention.maxBytes`, or grow the claim: `kubectl -n {} patch pvc {} -p \
             '{{\"spec\":{{\"resources\":{{\"requests\":{{\"storage\":\"{double}\"}}}}}}}}'`.",
            visit.namespace,
            name_of(claim)
        );
    }
    format!(
        "Lower `spec.retention.maxBytes`, or grow it: `kubectl -n {} patch tcap {} --type merge -p \
         '{{\"spec\":{{\"storage\":{{\"size\":\"{double}\"}}}}}}'`.",
        visit.namespace, visit.name
    )
}

/// A claim whose growth the API server refuses: what it has can be written all the same.
fn unresized(scene: &Scene<'_>, claim: &PersistentVolumeClaim) -> Option<Verdict> {
    let why = scene.visit.unresized?;
    let has = requested_of(claim).map_or("what it has", |size| &size.0);
    let next = format!("Set `spec.storage.size` back to `{has}`, or let the class allow expansion.");
    let holds = match (phase_of(claim) == Some("Bound"), scene.reports().next()) {
        (false, _) => Holds::No,
        (true, None) => Holds::Unknown,
        (true, Some(_)) => Holds::Yes,
    };
    Some(Verdict::new(holds, Reason::ResizeFailed, why, &next))
}

/// A claim that has more than the capture asks for.
fn shrunk(scene: &Scene<'_>, claim: &PersistentVolumeClaim) -> Option<Verdict> {
    let wanted = scene.visit.capture.ok()?.spec().storage.size.as_ref()?;
    let has = requested_of(claim)?;
    let is_less = wanted.nanos()? < nanos_of(has)?;
    let what = format!(
        "Claim `{}` keeps its {}, more than the {} of `spec.storage.size`: a volume never shrinks",
        name_of(claim),
        has.0,
        wanted.bytes()?
    );
    is_less.then(|| Verdict::yes(Reason::ShrinkRefused, &what))
}

/// A claim that is bound says nothing of whether it can be written: only a collector can.
fn unproven(scene: &Scene<'_>, claim: &PersistentVolumeClaim) -> Option<Verdict> {
    if scene.reports().next().is_some() {
        return None;
    }
    let what = format!("Claim `{}` is bound; no collector has told yet whether it can be written.", name_of(claim));
    Some(Verdict::unknown(Reason::NoPodReady, &what))
}

/// A claim that grows, or failed to: it can be written all the same.
fn growing(claim: &PersistentVolumeClaim) -> Option<Verdict> {
    let requested = requested_of(claim)?;
    let capacity = capacity_in(claim)?;
    if nanos_of(requested)? <= nanos_of(capacity)? {
        return None;
    }
    let status = claim.status.as_ref()?;
    let sizes = format!("Claim `{}` has {} and is to have {}", name_of(claim), capacity.0, requested.0);
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let failed =
        conditions.iter().find(|condition| condition.type_.ends_with("ResizeError") && condition.status == "True");
    let allocated = status.allocated_resource_statuses.as_ref().and_then(|of| of.get("storage"));
    let is_infeasible = allocated.is_some_and(|state| state.ends_with("Infeasible"));
    if failed.is_some() || is_infeasible {
        let said = failed.and_then(|condition| condition.message.as_deref());
        let said = said.or(allocated.map(String::as_str)).unwrap_or("it did not grow");
        return Some(Verdict::yes(Reason::ResizeFailed, &format!("{sizes}: {said}")));
    }
    Some(Verdict::yes(Reason::Resizing, &format!("{sizes}.")))
}

fn name_of(claim: &PersistentVolumeClaim) -> &str {
    claim.metadata.name.as_deref().unwrap_or_default()
}

fn phase_of(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.status.as_ref()?.phase.as_deref()
}

fn requested_of(claim: &PersistentVolumeClaim) -> Option<&Amount> {
    claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")
}

fn capacity_in(claim: &PersistentVolumeClaim) -> Option<&Amount> {
    let capacity: &BTreeMap<String, Amount> = claim.status.as_ref()?.capacity.as_ref()?;
    capacity.get("storage")
}

fn capacity_of(claim: &PersistentVolumeClaim) -> &str {
    capacity_in(claim).map_or("of unknown size", |capacity| &capacity.0)
}

fn nanos_of(amount: &Amount) -> Option<i128> {
    Quantity::Text(amount.0.clone()).nanos()
}

fn bytes_of(amount: Option<&Amount>) -> Option<ByteSize> {
    Quantity::Text(amount?.0.clone()).bytes().filter(|size| size.0 <= u64::MAX / 2)
}
