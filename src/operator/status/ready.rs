//! The conditions `Ready`, a span sent now would land on the disk, and `Completed`.

use super::scene::Scene;
use super::verdict::{Holds, Verdict};
use crate::api::Reason;

/// Says whether a span sent now would land on the disk, and if not, names the cause that is nearest to it.
pub(super) fn ready(scene: &Scene<'_>, storage: &Verdict, receivers: &Verdict) -> Verdict {
    let n_takers = scene.n_takers();
    if n_takers > 0 {
        return receiving(scene, n_takers);
    }
    if let Err(refusal) = scene.visit.capture {
        return Verdict::no(refusal.reason, &refusal.message);
    }
    if matches!(receivers.reason, Reason::Stopped | Reason::Completed) {
        return receivers.clone();
    }
    if let Some(cause) = [storage, receivers].into_iter().find(|verdict| verdict.holds == Holds::No) {
        // Pods on their way are good news for `ReceiversReady` alone.
        let reason = if cause.reason == Reason::Progressing { Reason::NoPodReady } else { cause.reason };
        return Verdict { reason, ..cause.clone() };
    }
    if receivers.holds == Holds::Unknown {
        return receivers.clone();
    }
    Verdict::no(Reason::NoPodReady, "No collector pod takes spans.")
}

/// Says that spans are taken, and why that is not by all of the object where it is not.
fn receiving(scene: &Scene<'_>, n_takers: usize) -> Verdict {
    let visit = scene.visit;
    if let Err(refusal) = visit.capture {
        let what = format!("Spans are taken and stored by earlier settings: {}", refusal.message);
        return Verdict::yes(refusal.reason, &what);
    }
    if let Err(failure) = visit.applied {
        let what = format!("Spans are taken and stored, but not all of the object has an effect: {}", failure.message);
        return Verdict::yes(failure.reason, &what);
    }
    let what = format!("{n_takers} of {} pods take and store spans.", scene.n_wanted);
    let next =
        if visit.paused { "Reconciling is paused: changes of the object have no effect until then." } else { "" };
    Verdict::new(Holds::Yes, Reason::Receiving, &what, next)
}

/// Says whether the capture has stopped by itself.
pub(super) fn completed(scene: &Scene<'_>) -> Verdict {
    let visit = scene.visit;
    let capture = match visit.capture {
        Ok(capture) => capture,
        Err(refusal) => return Verdict::unknown(refusal.reason, &refusal.message),
    };
    match capture.stop_time(visit.now) {
        None => Verdict::no(Reason::Unlimited, "The capture has no time to stop at."),
        Some(stop) if stop <= visit.now => Verdict::yes(Reason::TimeReached, &format!("It stopped at {stop}.")),
        Some(stop) => Verdict::no(Reason::Running, &format!("It stops at {stop}.")),
    }
}
