//! The claim of the volume that the pods share.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::plan::Plan;
use crate::api::AccessMode;
use crate::units::ByteSize;

/// A claim without a size is this many times as large as what retention keeps, as a fraction.
///
/// The quarter is for what the limit does not count: blocks of the file system, recovery's
/// copies, and chunks that a running download holds.
const HEADROOM: (u64, u64) = (5, 4);

/// Sizes that are chosen here are whole GiB, which is what most classes round up to anyway.
const GIB: u64 = 1 << 30;

/// Returns the claim; `None` where the capture names one of its own, which is never touched.
pub(super) fn claim(plan: &Plan<'_>) -> Option<PersistentVolumeClaim> {
    let storage = &plan.capture.spec().storage;
    if storage.claim_name.is_some() {
        return None;
    }
    let modes = storage.access_modes.as_deref().unwrap_or(&[AccessMode::ReadWriteOnce]);
    let spec = PersistentVolumeClaimSpec {
        access_modes: Some(modes.iter().copied().map(mode).map(str::to_owned).collect()),
        // Left out rather than empty where none is named: empty would rule out the default class.
        storage_class_name: storage.storage_class_name.clone(),
        resources: Some(VolumeResourceRequirements {
            requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(size(plan).to_string()))])),
            ..VolumeResourceRequirements::default()
        }),
        ..PersistentVolumeClaimSpec::default()
    };
    // No owner: the volume outlives the object also where the operator is gone when it is deleted.
    Some(PersistentVolumeClaim { metadata: plan.free(plan.names.claim()), spec: Some(spec), ..Default::default() })
}

/// Returns what the claim asks for, never less than it does already.
fn size(plan: &Plan<'_>) -> ByteSize {
    let storage = &plan.capture.spec().storage;
    let wanted = storage.size.as_ref().and_then(crate::api::Quantity::bytes).unwrap_or_else(|| roomy(plan));
    wanted.max(plan.context.claim_size.unwrap_or_default())
}

/// Returns a size with room for what retention keeps, one more chunk, and some more.
fn roomy(plan: &Plan<'_>) -> ByteSize {
    let (times, per) = HEADROOM;
    let kept = plan.capture.retention().max_bytes.0.saturating_add(plan.capture.chunk().max_bytes.0);
    ByteSize((kept / per).saturating_mul(times).div_ceil(GIB).max(1).saturating_mul(GIB))
}

fn mode(mode: AccessMode) -> &'static str {
    match mode {
        AccessMode::ReadWriteOnce => "ReadWriteOnce",
        AccessMode::ReadWriteOncePod => "ReadWriteOncePod",
        AccessMode::ReadWriteMany => "ReadWriteMany",
    }
}
