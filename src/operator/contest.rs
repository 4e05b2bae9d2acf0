//! Two installations that look after the same captures: noticing it, and which of them gives way.
//!
//! Both write under one field manager, so each takes the other's writes for drift and puts its own back, for ever.
//! The settings name the installation that wrote them. Whoever finds its own replaced by those of another puts them
//! back once, so that both know that the other one is alive. Then the namespace that comes first in the alphabet goes
//! on and tells, and the other one keeps quiet for a while. An installation that moved to another namespace replaces
//! what the former one left, once, and nobody answers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::backoff::LONGEST;
use super::child::{Applied, ChildName, Seen, overwritten_by};

/// How long a contest is told after it was noticed last: longer than the other one keeps quiet.
const TOLD_FOR: Duration = LONGEST.saturating_mul(2);

/// Another installation, and when it was noticed, on the monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contest {
    other: String,
    noticed: Duration,
    /// Whether the log says so already.
    is_told: bool,
}

/// Who looks after a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Side {
    /// Nobody else.
    Alone,
    /// This other installation too, and it is to give way.
    GoesOn(String),
    /// This other installation, and we are to give way; it is news where it begins.
    GivesWay {
        /// The namespace of the other installation.
        to: String,
        /// Whether this is noticed now.
        is_news: bool,
    },
}

/// Decides by what is remembered and what the watch shows of the settings, and remembers it; `mine` is the installation's namespace.
pub(super) fn judge(
    (contest, applied): (&mut Option<Contest>, &mut BTreeMap<ChildName, Applied>),
    (settings, seen): (&ChildName, Option<&Seen>),
    mine: &str,
    now: Duration,
) -> Side {
    let other = applied.get(settings).zip(seen).and_then(|(applied, seen)| overwritten_by(applied, seen));
    let earlier = contest.take();
    let Some(other) = other.filter(|other| *other != mine) else {
        *contest = earlier.filter(|contest| now.saturating_sub(contest.noticed) < TOLD_FOR);
        let goes_on = contest.as_ref().filter(|contest| *mine < *contest.other);
        return goes_on.map_or(Side::Alone, |contest| Side::GoesOn(contest.other.clone()));
    };
    let begun = |is_told| Some(Contest { other: other.to_owned(), noticed: now, is_told });
    if mine < other {
        *contest = begun(true);
        return Side::GoesOn(other.to_owned());
    }
    match earlier.filter(|contest| contest.other == other) {
        // Answered by putting ours back: only so does the other one notice.
        None => {
            *contest = begun(false);
            Side::Alone
        }
        // It may be gone by now: take the capture over, as at the first visit of all.
        Some(earlier) if now.saturating_sub(earlier.noticed) >= LONGEST => {
            applied.remove(settings);
            *contest = begun(true);
            Side::Alone
        }
        Some(earlier) => {
            let is_news = !earlier.is_told;
            *contest = Some(Contest { is_told: true, ..earlier });
            Side::GivesWay { to: other.to_owned(), is_news }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::json;

    use super::super::kinds::Kind;
    use super::super::ledger::Ledger;
    use super::*;
    use crate::api::names::INSTALLATION_ANNOTATION;

    fn meta(version: u64, installation: &str) -> ObjectMeta {
        serde_json::from_value(json!({
            "uid": "u-1", "resourceVersion": version.to_string(),
            "annotations": { INSTALLATION_ANNOTATION: installation },
        }))
        .unwrap()
    }

    /// Checks who looks after a capture that we, in namespace `m`, applied as version 5.
    fn check(ledger: &mut Ledger, minute: u64, (version, by): (u64, &str), expected: &Side) {
        let settings = ChildName { kind: Kind::ConfigMap, name: "a-settings".to_owned() };
        let seen = Seen::present(Kind::ConfigMap, &meta(version, by));
        let remembered = (&mut ledger.contest, &mut ledger.applied);
        let side = judge(remembered, (&settings, Some(&seen)), "m", Duration::from_mins(minute));
        assert_eq!(&side, expected, "{minute}");
    }

    fn ledger() -> Ledger {
        let settings = ChildName { kind: Kind::ConfigMap, name: "a-settings".to_owned() };
        let applied = Applied::new(Kind::ConfigMap, &json!({}), &meta(5, "m"));
        Ledger { applied: [(settings, applied)].into(), ..Ledger::default() }
    }

    #[test]
    fn what_another_one_left_is_taken_over() {
        check(&mut Ledger::default(), 0, (4, "a"), &Side::Alone);
        // The watch has not shown our own write yet.
        check(&mut ledger(), 0, (4, "a"), &Side::Alone);
        check(&mut ledger(), 0, (6, "m"), &Side::Alone);
    }

    #[test]
    fn the_later_name_gives_way_for_a_while() {
        let mut ledger = ledger();
        let gives_way = |is_news| Side::GivesWay { to: "a".to_owned(), is_news };
        check(&mut ledger, 0, (6, "a"), &Side::Alone);
        check(&mut ledger, 1, (8, "a"), &gives_way(true));
        check(&mut ledger, 4, (8, "a"), &gives_way(false));
        check(&mut ledger, 5, (8, "a"), &Side::Alone);
    }

    #[test]
    fn the_earlier_name_goes_on_and_tells() {
        let mut ledger = ledger();
        let goes_on = Side::GoesOn("z".to_owned());
        check(&mut ledger, 0, (6, "z"), &goes_on);
        check(&mut ledger, 9, (7, "m"), &goes_on);
        check(&mut ledger, 10, (7, "m"), &Side::Alone);
    }
}
