//! The conditions that the keeper, the pod with ordinal 0, knows about: retention, recovery and downloads.

use std::time::Duration;

use super::scene::{Keeper, Scene};
use super::verdict::Verdict;
use super::visit::{LinkNews, Visit};
use crate::api::report::CollectorReport;
use crate::api::{Reason, StorageStatus};
use crate::units::ByteSize;

/// How long after its time a chunk may still be there: the keeper sweeps every minute or so, and a download spares
/// chunks for a bounded time.
const SWEEP_SLACK: Duration = Duration::from_mins(15);

/// Says whether the chunks are within the limits of retention.
pub(super) fn retention(scene: &Scene<'_>, figures: Option<&StorageStatus>) -> Verdict {
    let report = match reported(scene) {
        Ok(report) => report,
        Err(unknown) => return unknown,
    };
    let (used, limit) = (report.storage.used_bytes, report.storage.limit_bytes);
    if limit > 0 && used > limit {
        // The published figure and not the actual one: the message must not change with every span.
        let shown = figures.map_or(0, |figures| figures.used_bytes);
        return Verdict::no(Reason::OverLimit, &format!("The chunks take {shown} bytes of {}.", ByteSize(limit)));
    }
    if let Some(max_age) = overdue(report, scene.visit) {
        let what = format!("There are chunks older than the {max_age} seconds of `spec.retention.maxAgeSeconds`.");
        return Verdict::no(Reason::OverLimit, &what);
    }
    Verdict::yes(Reason::WithinLimits, &format!("The chunks are within {}.", ByteSize(limit)))
}

/// Returns the age limit where a chunk is still there that must be gone by now.
fn overdue(report: &CollectorReport, visit: &Visit<'_>) -> Option<u64> {
    let max_age = report.settings.retention.max_age_seconds?;
    // A chunk counts from its beginning, and cannot go before it is sealed or recovered.
    let growing = report.settings.chunk.max_age_seconds.saturating_add(report.settings.recovery.inactive_seconds);
    let allowed = Duration::from_secs(max_age.saturating_add(growing)).saturating_add(SWEEP_SLACK);
    let age = visit.now.saturating_since(report.storage.oldest_time?);
    (age > allowed).then_some(max_age)
}

/// Says whether nothing that a crash left waits for recovery.
pub(super) fn recovery(scene: &Scene<'_>) -> Verdict {
    let report = match reported(scene) {
        Ok(report) => report,
        Err(unknown) => return unknown,
    };
    let n_writers = scene.pods.len().max(scene.reports().count());
    let in_progress = report.storage.in_progress_chunks;
    // Each writer has one growing chunk at most; what is beyond that has lost its writer.
    if usize::try_from(in_progress).unwrap_or(usize::MAX) > n_writers {
        let what = format!("{in_progress} chunks are in progress and only {n_writers} pods write.");
        return Verdict::no(Reason::Recovering, &what);
    }
    match report.storage.quarantined_files {
        0 => Verdict::yes(Reason::NothingLeft, "No chunk waits for recovery."),
        files => Verdict::yes(Reason::Quarantined, &format!("{files} files lie in quarantine.")),
    }
}

/// Says whether the capture can be downloaded, and in any case that a link stands in the status.
pub(super) fn download(scene: &Scene<'_>) -> Verdict {
    let verdict = served(scene);
    match scene.visit.link {
        LinkNews::On(_) if verdict.reason != Reason::SignedLink => {
            verdict.and("The signed link in `status.bundle.link` is for everybody who can read this object.")
        }
        _ => verdict,
    }
}

fn served(scene: &Scene<'_>) -> Verdict {
    let visit = scene.visit;
    match visit.capture {
        Err(refusal) => return Verdict::unknown(refusal.reason, &refusal.message),
        Ok(capture) if !capture.spec().download.enabled => {
            return Verdict::no(
                Reason::DownloadsOff,
                "Every download is refused, since `spec.download.enabled` is `false`.",
            );
        }
        Ok(_) if visit.public_url.is_none() => {
            return Verdict::no(Reason::NoPublicAddress, "The operator knows no public address for downloads.");
        }
        Ok(_) => {}
    }
    match scene.keeper() {
        Keeper::Silent(why) => Verdict::no(Reason::KeeperUnreachable, &capitalized(&why)),
        _ => reported(scene).map_or_else(|unknown| unknown, |_| available(visit.link)),
    }
}

/// Says who can download: also who reads the status, where a link stands in it.
fn available(link: &LinkNews) -> Verdict {
    match link {
        LinkNews::Off | LinkNews::Unseen => {
            Verdict::yes(Reason::Available, "The capture can be downloaded from `status.bundle.url`.")
        }
        LinkNews::On(_) => Verdict::yes(
            Reason::SignedLink,
            "Everybody who can read this object can download the capture, by the signed link in `status.bundle.link`.",
        ),
        LinkNews::Failed(why) => {
            let what =
                format!("The capture can be downloaded from `status.bundle.url`, but not by a signed link: {why}");
            Verdict::yes(Reason::StatusLinkFailed, &what)
        }
    }
}

/// Returns the keeper's report, or what is said where there is none.
fn reported<'a>(scene: &Scene<'a>) -> Result<&'a CollectorReport, Verdict> {
    match scene.keeper() {
        Keeper::Reports(report) => Ok(report),
        Keeper::NotYet => Err(match scene.visit.capture {
            Ok(_) => Verdict::unknown(Reason::Pending, "There is no collector pod yet."),
            Err(refusal) => Verdict::unknown(refusal.reason, &refusal.message),
        }),
        Keeper::Starting => Err(Verdict::unknown(Reason::Progressing, "The pod with ordinal 0 is being started.")),
        Keeper::Silent(why) => Err(Verdict::unknown(Reason::KeeperUnreachable, &capitalized(&why))),
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
