//! Which streams have told what is there, and so who may be visited.
//!
//! # Invariants
//! - A capture is not visited before everything around it is known: its neighbours may have its claim.
//! - What holds up one namespace holds up no other one.

use std::collections::HashSet;

use super::index::Source;
use super::options::Watched;
use super::watches::{covers, sources};
use crate::ids::CaptureId;

/// What has been heard of the streams.
#[derive(Debug)]
pub(super) struct Heard {
    watched: Watched,
    /// Streams that have not told yet what is there.
    unheard: Vec<Source>,
    /// Scopes whose captures may not be listed: a namespace that is gone takes its roles along.
    barred: HashSet<usize>,
}

impl Heard {
    /// Begins with nothing.
    pub(super) fn new(watched: &Watched) -> Self {
        Self { watched: watched.clone(), unheard: sources(watched), barred: HashSet::new() }
    }

    /// Takes note of a stream that has told all there is, or that cannot; returns whether that is news.
    pub(super) fn hear(&mut self, source: Source) -> bool {
        let n_before = self.unheard.len();
        self.unheard.retain(|unheard| *unheard != source);
        self.unheard.len() < n_before
    }

    /// Takes note that the captures of a scope may not be listed.
    pub(super) fn bar(&mut self, scope: usize) {
        self.barred.insert(scope);
    }

    /// Tells whether everything around a capture is known, as far as it can be.
    pub(super) fn knows(&self, id: &CaptureId) -> bool {
        !self.unheard.iter().any(|source| covers(&self.watched, *source, id))
    }

    /// Tells whether everything is known of one scope at least.
    pub(super) fn has_scope(&self) -> bool {
        let is_heard = |source: &Source| self.unheard.iter().all(|unheard| unheard.scope != source.scope);
        sources(&self.watched).iter().any(is_heard)
    }

    /// Tells whether everything is known of one scope at least, and of every other one whose captures may be listed.
    pub(super) fn is_complete(&self) -> bool {
        self.has_scope() && self.unheard.iter().all(|source| self.barred.contains(&source.scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two namespaces; everything has been told of those of these scopes.
    fn heard(scopes: &[usize]) -> Heard {
        let watched = Watched::Namespaces(vec!["shop".to_owned(), "gone".to_owned()]);
        let mut heard = Heard::new(&watched);
        for source in sources(&watched).into_iter().filter(|source| scopes.contains(&source.scope)) {
            assert!(heard.hear(source) && !heard.hear(source));
        }
        heard
    }

    fn check(heard: &Heard, knows: [bool; 2], has_scope: bool, is_complete: bool) {
        let id = |namespace| CaptureId::new(namespace, "checkout").unwrap();
        assert_eq!(["shop", "gone"].map(|namespace| heard.knows(&id(namespace))), knows, "{heard:?}");
        assert_eq!((heard.has_scope(), heard.is_complete()), (has_scope, is_complete), "{heard:?}");
    }

    #[test]
    fn a_namespace_waits_for_itself_alone() {
        check(&heard(&[]), [false, false], false, false);
        check(&heard(&[0]), [true, false], true, false);
        check(&heard(&[0, 1]), [true, true], true, true);
        let mut one_stream_lacks = heard(&[0]);
        one_stream_lacks.hear(Source { scope: 1, children: None });
        check(&one_stream_lacks, [true, false], true, false);
    }

    #[test]
    fn what_may_not_be_listed_is_not_waited_for() {
        let barred = |scopes: &[usize]| {
            let mut heard = heard(scopes);
            heard.bar(1);
            heard
        };
        check(&barred(&[0]), [true, false], true, true);
        check(&barred(&[]), [false, false], false, false);
    }
}
