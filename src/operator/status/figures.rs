//! The figures of a status: what lies on the volume and what was received, rounded.

use super::round::{steady, to_minute, whole};
use super::scene::{Keeper, Scene};
use super::visit::{LinkNews, Visit};
use crate::api::report::{ReportedReceived, ReportedStorage};
use crate::api::{BundleStatus, LinkStatus, ReceivedStatus, StorageStatus, access};
use crate::clock::Timestamp;

/// Returns what lies on the volume; what was known of it last where the keeper does not answer.
pub(super) fn storage(scene: &Scene<'_>) -> Option<StorageStatus> {
    let previous = scene.visit.previous.and_then(|status| status.storage.as_ref());
    let Keeper::Reports(report) = scene.keeper() else { return previous.cloned() };
    let ReportedStorage {
        used_bytes,
        limit_bytes,
        chunks,
        in_progress_chunks,
        oldest_time,
        newest_time,
        recovered_chunks,
        quarantined_files,
        evicted_chunks,
    } = &report.storage;
    let near = |of: fn(&StorageStatus) -> i64, actual: u64| steady(previous.map(of), actual);
    Some(StorageStatus {
        used_bytes: near(|status| status.used_bytes, *used_bytes),
        limit_bytes: whole(*limit_bytes),
        chunks: near(|status| status.chunks, *chunks),
        in_progress_chunks: near(|status| status.in_progress_chunks, *in_progress_chunks),
        oldest_time: oldest_time.map(to_minute),
        newest_time: newest_time.map(to_minute),
        recovered_chunks: near(|status| status.recovered_chunks, *recovered_chunks),
        quarantined_chunks: whole(*quarantined_files),
        evicted_chunks: near(|status| status.evicted_chunks, *evicted_chunks),
    })
}

/// Returns what all pods received; what was known of it last where one of them does not answer,
/// since a sum without it would go down and up again.
pub(super) fn received(scene: &Scene<'_>) -> Option<ReceivedStatus> {
    let previous = scene.visit.previous.and_then(|status| status.received.as_ref());
    let reports = &scene.visit.observed.reports;
    if reports.is_empty() || reports.iter().any(|report| report.report.is_err()) {
        return previous.copied();
    }
    let mut sum = ReportedReceived::default();
    for ReportedReceived { spans, stored, rejected, bytes } in scene.reports().map(|report| report.received) {
        sum.spans = sum.spans.saturating_add(spans);
        sum.stored = sum.stored.saturating_add(stored);
        sum.rejected = sum.rejected.saturating_add(rejected);
        sum.bytes = sum.bytes.saturating_add(bytes);
    }
    Some(ReceivedStatus {
        spans: steady(previous.map(|status| status.spans), sum.spans),
        bytes: steady(previous.map(|status| status.bytes), sum.bytes),
        rejected: steady(previous.map(|status| status.rejected), sum.rejected),
    })
}

/// Returns when the last span was stored, which a restart of the pods does not make forgotten.
pub(super) fn last_span_time(scene: &Scene<'_>) -> Option<String> {
    let previous = scene.visit.previous.and_then(|status| status.last_span_time.as_deref());
    let previous: Option<Timestamp> = previous.and_then(|time| time.parse().ok());
    scene.reports().filter_map(|report| report.last_span_time).chain(previous).max().map(to_minute)
}

/// Returns where the capture is downloaded; what was known where nothing is known of the object.
pub(super) fn bundle(scene: &Scene<'_>, storage: Option<&StorageStatus>) -> Option<BundleStatus> {
    let visit = scene.visit;
    let link = link(visit);
    let Ok(capture) = visit.capture else {
        let previous = visit.previous.and_then(|status| status.bundle.clone());
        return previous.map(|bundle| BundleStatus { link, ..bundle });
    };
    if !capture.spec().download.enabled {
        return None;
    }
    let url = visit.public_url.map(|base| format!("{base}{}", access::bundle_path(capture.id())));
    let (size_bytes, chunks) = storage
        .map_or((0, 0), |storage| (storage.used_bytes, storage.chunks.saturating_add(storage.in_progress_chunks)));
    Some(BundleStatus { url, size_bytes, chunks, link })
}

/// Returns the signed link of the status; one that nobody could look at until it expires.
fn link(visit: &Visit<'_>) -> Option<LinkStatus> {
    match visit.link {
        LinkNews::Off => None,
        LinkNews::On(link) => Some(link.clone()),
        LinkNews::Unseen | LinkNews::Failed(_) => {
            let previous = visit.previous.and_then(|status| status.bundle.as_ref()?.link.clone());
            let is_alive = |link: &LinkStatus| link.expiration_time.parse().is_ok_and(|end: Timestamp| visit.now < end);
            previous.filter(is_alive)
        }
    }
}
