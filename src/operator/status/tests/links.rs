//! The signed link in the status.

use super::*;

/// A link until half past eleven.
fn link(id: &str) -> LinkStatus {
    let url = format!("https://traces.example.com/l/v1.{id}.payload.tag");
    LinkStatus { id: id.to_owned(), url, expiration_time: "2026-11-21T11:30:00Z".to_owned() }
}

fn linked() -> World {
    World::well(1).but(|world| world.link = LinkNews::On(link("a")))
}

fn shown(world: &World) -> Option<LinkStatus> {
    world.derive().bundle.unwrap().link
}

#[test]
fn a_condition_says_that_a_link_stands_there_whatever_else_it_says() {
    check(&linked(), "DownloadReady=True SignedLink", &["`status.bundle.link`", "statusLink: None"]);
    let silent = linked().but(|world| world.observed.reports[0].report = Err("timeout ".repeat(200)));
    check(&silent, "DownloadReady=False KeeperUnreachable", &["signed link in `status.bundle.link`"]);
    let failed = World::well(1).but(|world| world.link = LinkNews::Failed("cannot read the Secret `x`".to_owned()));
    check(&failed, "DownloadReady=True StatusLinkFailed", &["cannot read the Secret `x`", "tried again"]);
    check(&World::well(1), "DownloadReady=True Available", &[]);
}

#[test]
fn what_cannot_be_looked_at_stays_until_it_expires() {
    for news in [LinkNews::Unseen, LinkNews::Failed("why".to_owned())] {
        let later = |seconds| linked().later(seconds).but(|world| world.link = news.clone());
        assert_eq!(shown(&later(60)), Some(link("a")));
        assert_eq!(shown(&later(3600)), None);
        let broken = later(60).but(|world| world.refusal = Some(refusal(Reason::Invalid)));
        assert_eq!(shown(&broken), Some(link("a")));
    }
    assert_eq!(shown(&linked().later(60).but(|world| world.link = LinkNews::Off)), None);
}

#[test]
fn a_link_is_published_at_once_and_then_stands_still() {
    let worth = |world: &World| worth_publishing(world.previous.as_ref(), &world.derive(), world.now);
    assert!(!worth(&linked().later(1)));
    assert!(worth(&linked().later(1).but(|world| world.link = LinkNews::On(link("b")))));
    assert!(worth(&linked().later(1).but(|world| world.link = LinkNews::Off)));
}

#[test]
fn a_link_is_told_without_its_address() {
    let world = linked();
    let status = world.derive();
    let told = transitions(None, &status).into_iter().map(|told| told.message).collect::<String>();
    assert!(told.contains("signed link") && !told.contains("payload"), "{told}");
    let debugged = format!("{status:?} {:?}", world.link);
    assert!(debugged.contains("LinkStatus") && !debugged.contains("payload"), "{debugged}");
}
