//! The conditions `Ready`, a span sent now would land on the disk, and `Completed`.

use super::scene::Scene;
use super::verdict::{Holds, Verdict};
use crate::api::Reason;

/// What is told beside everything else while a capture is paused.
const PAUSED: &str = "Reconciling is paused by the annotation `tracecapture.dev/paused`: changes of the object have no \
                      effect until it is removed or `false`.";

/// What is told where a paused capture was deleted whose volume is to go with it.
const PAUSED_AT_ITS_END: &str = "Reconciling is paused by the annotation `tracecapture.dev/paused`: the volume, which \
                                 is to go with this object, and its pods stay until it is removed or `false`.";

/// Says whether a span sent now would land on the disk, and whether somebody paused the capture.
pub(super) fn ready(scene: &Scene<'_>, storage: &Verdict, receivers: &Verdict) -> Verdict {
    let verdict = nearest_cause(scene, storage, receivers);
    match (scene.visit.paused, scene.visit.is_ending) {
        (false, _) => verdict,
        (true, false) => verdict.with_note(PAUSED),
        (true, true) => verdict.with_note(PAUSED_AT_ITS_END),
    }
}

/// Says whether a span sent now would land on the disk, and if not, names the cause that is nearest to it.
fn nearest_cause(scene: &Scene<'_>, storage: &Verdict, receivers: &Verdict) -> Verdict {
    let n_takers = scene.n_takers();
    if n_takers > 0 {
        return receiving(scene, n_takers);
    }
    if let Err(refusal) = scene.visit.capture {
        // What may not be looked at may be well.
        let is_unseen = refusal.reason == Reason::Forbidden;
        return if is_unseen { Verdict::unknown } else { Verdict::no }(refusal.reason, &refusal.message);
    }
    if matches!(receivers.reason, Reason::Stopped | Reason::Completed) {
        return receivers.clone();
    }
    // A claim may wait for its first pod: what keeps that away comes first.
    let is_claim_first = storage.reason != Reason::ClaimPending || !receivers.reason.is_trouble();
    let causes = if is_claim_first { [storage, receivers] } else { [receivers, storage] };
    if let Some(cause) = causes.into_iter().find(|verdict| verdict.holds == Holds::No) {
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
        return Verdict::new(Holds::Yes, failure.reason, &what, &failure.next);
    }
    if let Some(unresized) = visit.unresized {
        let what = format!("Spans are taken and stored, but the volume did not grow: {unresized}");
        return Verdict::yes(Reason::ResizeFailed, &what);
    }
    let what = format!("{n_takers} of {} pods take and store spans.", scene.n_wanted);
    Verdict::yes(Reason::Receiving, &what)
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
        Some(stop) if capture.origin().created.is_some_and(|created| stop <= created) => {
            let what = format!("It was to stop at {stop}, before it was created: it never took spans.");
            Verdict::yes(Reason::TimeReached, &what)
        }
        Some(stop) if stop <= visit.now => Verdict::yes(Reason::TimeReached, &format!("It stopped at {stop}.")),
        Some(stop) => Verdict::no(Reason::Running, &format!("It stops at {stop}.")),
    }
}
