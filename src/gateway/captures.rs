//! Which captures there are, as the watches tell.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures::stream::{BoxStream, SelectAll, StreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::watcher as watch;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource as _};
use tracing::warn;

use crate::api::{State, TraceCapture};
use crate::ids::CaptureId;
use crate::installation::Watched;
use crate::installation::again::begin_again;
use crate::installation::answer::is_forbidden;
use crate::telemetry::chain;

/// A change that one of the watches brought; `usize` is the place of its namespace in the list of those watched.
type Change = (usize, watcher::Result<Event<DeserializeGuard<TraceCapture>>>);

/// What is known of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: CaptureId,
    pub(super) uid: String,
    /// Whether it takes in spans; `None` where the object cannot be read.
    pub(super) state: Option<State>,
    /// About how many bytes its bundle has, as its status says.
    pub(super) size: Option<u64>,
    scope: usize,
}

/// The captures that there are; `changes` fills it.
#[derive(Debug)]
pub(super) struct Captures(RwLock<Index>);

#[derive(Debug)]
struct Index {
    by_id: BTreeMap<CaptureId, Known>,
    by_uid: HashMap<String, CaptureId>,
    /// What a list that is being read has brought so far.
    lists: HashMap<usize, HashSet<CaptureId>>,
    /// How many scopes are watched.
    n_scopes: usize,
    /// The scopes that have told nothing yet.
    unread: HashMap<usize, Unread>,
}

/// A scope that has told nothing yet.
#[derive(Debug)]
struct Unread {
    /// Its namespace; `None` stands for all of them.
    namespace: Option<String>,
    /// Whether its captures may not be listed: a namespace that is gone takes its roles along.
    is_forbidden: bool,
}

impl Captures {
    pub(super) fn new(watched: &Watched) -> Self {
        let unread = |namespace: Option<&str>| Unread { namespace: namespace.map(str::to_owned), is_forbidden: false };
        let unread: HashMap<_, _> = namespaces(watched).into_iter().map(unread).enumerate().collect();
        let index = Index {
            by_id: BTreeMap::new(),
            by_uid: HashMap::new(),
            lists: HashMap::new(),
            n_scopes: unread.len(),
            unread,
        };
        Self(RwLock::new(index))
    }

    /// Takes in changes for as long as they come.
    pub(super) async fn follow(&self, client: &Client, watched: &Watched) {
        let mut changes = changes(client, watched);
        while let Some((scope, change)) = changes.next().await {
            match change {
                Ok(event) => self.write().apply(scope, event),
                Err(error) => {
                    self.write().stumble(scope, &error);
                    warn!(error = chain(&error), "cannot watch captures; trying again");
                }
            }
        }
    }

    /// Tells whether every watch has told what is there.
    pub(super) fn is_complete(&self) -> bool {
        self.read().unread.is_empty()
    }

    /// Tells whether some watch has told what is there, and every other one has, or may not.
    pub(super) fn is_ready(&self) -> bool {
        let index = self.read();
        index.unread.len() < index.n_scopes && index.unread.values().all(|unread| unread.is_forbidden)
    }

    /// Tells whether what there is in a namespace has been told.
    pub(super) fn has_told(&self, namespace: &str) -> bool {
        let is_of = |unread: &Unread| unread.namespace.as_deref().is_none_or(|name| name == namespace);
        !self.read().unread.values().any(is_of)
    }

    pub(super) fn find(&self, id: &CaptureId) -> Option<Known> {
        self.read().by_id.get(id).cloned()
    }

    pub(super) fn find_uid(&self, uid: &str) -> Option<Known> {
        let index = self.read();
        index.by_uid.get(uid).and_then(|id| index.by_id.get(id)).cloned()
    }

    /// Returns all of them, sorted.
    pub(super) fn all(&self) -> Vec<Known> {
        self.read().by_id.values().cloned().collect()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn apply(&mut self, scope: usize, event: Event<DeserializeGuard<TraceCapture>>) {
        match event {
            Event::Init => {
                self.lists.insert(scope, HashSet::new());
            }
            Event::InitApply(object) | Event::Apply(object) => {
                let Some(known) = known(scope, &object) else { return };
                if let Some(listed) = self.lists.get_mut(&scope) {
                    listed.insert(known.id.clone());
                }
                self.remove(&known.id.clone());
                self.by_uid.insert(known.uid.clone(), known.id.clone());
                self.by_id.insert(known.id.clone(), known);
            }
            Event::Delete(object) => {
                if let Some(id) = capture_id(object.meta()) {
                    self.remove(&id);
                }
            }
            Event::InitDone => {
                let listed = self.lists.remove(&scope).unwrap_or_default();
                let is_gone = |known: &&Known| known.scope == scope && !listed.contains(&known.id);
                let gone: Vec<_> = self.by_id.values().filter(is_gone).map(|known| known.id.clone()).collect();
                for id in gone {
                    self.remove(&id);
                }
                self.unread.remove(&scope);
            }
        }
    }

    /// Takes note of a watch that failed; it begins again by itself.
    fn stumble(&mut self, scope: usize, error: &watcher::Error) {
        if let Some(unread) = self.unread.get_mut(&scope) {
            unread.is_forbidden = is_forbidden(error);
        }
    }

    fn remove(&mut self, id: &CaptureId) {
        if let Some(known) = self.by_id.remove(id) {
            self.by_uid.remove(&known.uid);
        }
    }
}

fn known(scope: usize, object: &DeserializeGuard<TraceCapture>) -> Option<Known> {
    let id = capture_id(object.meta())?;
    let uid = object.meta().uid.clone()?;
    let read = object.0.as_ref().ok();
    let bundle = read.and_then(|capture| capture.status.as_ref()).and_then(|status| status.bundle.as_ref());
    let size = bundle.and_then(|bundle| u64::try_from(bundle.size_bytes).ok());
    Some(Known { id, uid, state: read.map(|capture| capture.spec.state), size, scope })
}

fn capture_id(meta: &ObjectMeta) -> Option<CaptureId> {
    CaptureId::new(meta.namespace.as_deref()?, meta.name.as_deref()?).ok()
}

/// Returns the namespaces to watch; `None` stands for all of them.
fn namespaces(watched: &Watched) -> Vec<Option<&str>> {
    match watched {
        Watched::All => vec![None],
        Watched::Namespaces(names) => names.iter().map(|name| Some(name.as_str())).collect(),
    }
}

/// Begins to watch; nothing is asked of the API server before the first poll.
fn changes(client: &Client, watched: &Watched) -> SelectAll<BoxStream<'static, Change>> {
    let streams = namespaces(watched).into_iter().enumerate().map(|(scope, namespace)| {
        let api: Api<DeserializeGuard<TraceCapture>> = match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        begin_again(watch(api, watcher::Config::default())).map(move |event| (scope, event)).boxed()
    });
    streams.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, uid: &str) -> DeserializeGuard<TraceCapture> {
        let object = json!({
            "apiVersion": "tracecapture.dev/v1alpha1", "kind": "TraceCapture",
            "metadata": { "namespace": "shop", "name": name, "uid": uid }, "spec": { "state": "Stopped" },
        });
        serde_json::from_value(object).unwrap()
    }

    /// Takes in events of the first of two scopes and tells which UIDs are known.
    fn check(events: Vec<Event<DeserializeGuard<TraceCapture>>>, uids: &[&str]) {
        let captures = Captures::new(&Watched::Namespaces(vec!["shop".to_owned(), "other".to_owned()]));
        for event in events {
            captures.0.write().unwrap().apply(0, event);
        }
        let known: Vec<_> = captures.all().into_iter().map(|known| known.uid).collect();
        assert_eq!(known, uids);
        assert!(uids.iter().all(|uid| captures.find_uid(uid).is_some()));
        assert_eq!(captures.read().by_uid.len(), uids.len());
        assert!(!captures.is_complete());
    }

    #[test]
    fn what_was_made_anew_is_another_capture() {
        check(vec![Event::Apply(object("a", "u-1")), Event::Apply(object("a", "u-2"))], &["u-2"]);
        check(vec![Event::Apply(object("a", "u-1")), Event::Delete(object("a", "u-1"))], &[]);
    }

    #[test]
    fn what_a_list_lacks_is_gone() {
        let (a, b) = (|| object("a", "u-1"), || object("b", "u-2"));
        let list = vec![Event::Init, Event::InitApply(b()), Event::InitDone];
        check([vec![Event::Apply(a()), Event::Apply(b())], list].into_iter().flatten().collect(), &["u-2"]);
    }

    #[test]
    fn a_namespace_that_may_not_be_listed_holds_up_no_other() {
        let captures = Captures::new(&Watched::Namespaces(vec!["shop".to_owned(), "gone".to_owned()]));
        let check = |is_ready: bool, has_told: [bool; 2]| {
            assert_eq!(
                (captures.is_ready(), ["shop", "gone"].map(|name| captures.has_told(name))),
                (is_ready, has_told)
            );
        };
        let failed = |code: u16, reason: &str| {
            let status = kube::core::Status::failure("m", reason).with_code(code);
            watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
        };
        captures.write().stumble(1, &failed(403, "Forbidden"));
        check(false, [false, false]);
        captures.write().apply(0, Event::InitDone);
        check(true, [true, false]);
        captures.write().stumble(1, &failed(500, "InternalError"));
        check(false, [true, false]);
        captures.write().apply(1, Event::InitDone);
        check(true, [true, true]);
        assert!(captures.is_complete());
    }
}
