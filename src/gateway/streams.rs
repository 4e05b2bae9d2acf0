//! How many streams run at a time: altogether, of each link and of each user.
//!
//! What is small has places of its own, so that whoever fills those of downloads keeps nobody from looking.

use super::options::Limits;
use super::places::{Holder, Place, Places, Taken};
use super::problem::Problem;
use crate::api::link::LinkId;

/// The places of streams.
pub(super) struct Streams {
    downloads: Places,
    answers: Places,
    of_link: usize,
    of_user: usize,
}

impl Streams {
    pub(super) fn new(limits: &Limits) -> Self {
        let (downloads, answers) = (Places::new(limits.streams), Places::new(limits.answers));
        Self { downloads, answers, of_link: limits.link_streams, of_user: limits.user_streams }
    }

    /// Takes a place of a download.
    ///
    /// # Errors
    /// A [`Problem`] where as many run as may, altogether or of this holder.
    pub(super) fn download(&self, holder: Holder) -> Result<Place, Problem> {
        let is_link = matches!(holder, Holder::Link(_));
        let at_most = if is_link { self.of_link } else { self.of_user };
        self.downloads.take(holder, at_most).map_err(|taken| match taken {
            Taken::All => Problem::unavailable(
                "TooManyDownloads",
                "as many downloads run as are allowed at a time: try again later",
            ),
            Taken::Own(n) if is_link => {
                let detail = format!("{n} downloads of this link run already: wait for one of them");
                Problem::too_many("TooManyDownloadsOfLink", detail)
            }
            Taken::Own(n) => {
                let detail = format!("{n} downloads of yours run already: wait for one of them");
                Problem::too_many("TooManyDownloadsOfUser", detail)
            }
        })
    }

    /// Takes a place of an answer that is no download.
    ///
    /// # Errors
    /// A [`Problem`] where as many run as may, altogether or of this holder.
    pub(super) fn answer(&self, holder: Holder) -> Result<Place, Problem> {
        self.answers.take(holder, self.of_user).map_err(|taken| match taken {
            Taken::All => Problem::unavailable(
                "TooManyRequests",
                "as many requests run as are allowed at a time: try again in a few seconds",
            ),
            Taken::Own(n) => {
                let detail = format!("{n} requests of yours run already: wait for one of them");
                Problem::too_many("TooManyRequestsOfUser", detail)
            }
        })
    }

    /// Returns the links of which downloads run.
    pub(super) fn links(&self) -> Vec<LinkId> {
        self.downloads.links()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams() -> Streams {
        Streams::new(&Limits { streams: 4, link_streams: 2, user_streams: 3, answers: 4, ..Limits::default() })
    }

    fn user(name: &str) -> Holder {
        Holder::User(name.to_owned())
    }

    fn reason(taken: Result<Place, Problem>) -> Option<&'static str> {
        taken.err().map(|problem| problem.reason)
    }

    #[test]
    fn places_are_bounded_altogether_and_for_each_link() {
        let streams = streams();
        let (a, b) = (LinkId::draw().unwrap(), LinkId::draw().unwrap());
        let of_a = [0, 1].map(|_| streams.download(Holder::Link(a)).ok());
        assert_eq!(reason(streams.download(Holder::Link(a))), Some("TooManyDownloadsOfLink"));
        let others = [streams.download(Holder::Link(b)).ok(), streams.download(user("ada")).ok()];
        assert_eq!(reason(streams.download(user("ada"))), Some("TooManyDownloads"));
        let mut running = streams.links();
        running.sort_unstable();
        assert_eq!(running, [a.min(b), a.max(b)]);
        drop((of_a, others));
        assert!(streams.download(Holder::Link(a)).is_ok() && streams.links().is_empty());
    }

    #[test]
    fn one_user_takes_neither_the_places_of_others_nor_those_of_what_is_small() {
        let streams = streams();
        let downloads = [0, 1, 2].map(|_| streams.download(user("ada")).ok());
        assert_eq!(reason(streams.download(user("ada"))), Some("TooManyDownloadsOfUser"));
        assert_eq!(reason(streams.download(user("ben"))), None);
        let answers = [0, 1, 2].map(|_| streams.answer(user("ada")).ok());
        assert!(answers.iter().all(Option::is_some));
        assert_eq!(reason(streams.answer(user("ada"))), Some("TooManyRequestsOfUser"));
        let _last = streams.answer(user("ben")).ok();
        assert_eq!(reason(streams.answer(user("cleo"))), Some("TooManyRequests"));
        drop(downloads);
        assert_eq!(reason(streams.download(user("ada"))), None);
    }
}
