//! What the watches tell, as a plain structure: captures, and what was made of them.
//!
//! It knows who has to be visited because of an event, and what a visit needs to know
//! beside what it reads itself. Of children it holds metadata alone, of captures their claim.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource as _;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher::Event;
use tracing::warn;

use super::child::{ChildName, Seen};
use super::kinds::Kind;
use crate::api::TraceCapture;
use crate::api::names::{CAPTURE_LABEL, ChildNames};
use crate::ids::CaptureId;

/// A stream of events: the captures or one kind of their children, of one namespace or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Source {
    /// The place of the namespace in the list of those watched.
    pub(super) scope: usize,
    /// Which children; `None` stands for the captures themselves.
    pub(super) children: Option<Kind>,
}

impl Source {
    /// Returns the kind that is watched, for logs and metrics.
    pub(super) fn kind(self) -> &'static str {
        self.children.map_or("TraceCapture", Kind::name)
    }
}

/// Who has to be visited because of an event, and who is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Effects {
    /// Captures to visit.
    pub(super) visit: Vec<CaptureId>,
    /// Captures that are gone, with their UIDs.
    pub(super) gone: Vec<(CaptureId, String)>,
}

/// What the watches told.
#[derive(Debug, Default)]
pub(super) struct Index {
    captures: HashMap<CaptureId, Known>,
    children: HashMap<CaptureId, BTreeMap<ChildName, Listed>>,
    /// What a list that is being read has brought so far, by its source.
    lists: HashMap<Source, HashSet<Entry>>,
}

/// What is known of a capture.
#[derive(Debug)]
struct Known {
    source: Source,
    uid: String,
    created: Option<Time>,
    /// The claim and the directory on it; `None` where the object cannot be read.
    place: Option<Place>,
    /// What would differ if something other than the status changed.
    fingerprint: u64,
}

/// A directory on a claim.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    claim: String,
    /// The names that lead to it; none for the root.
    directory: Vec<String>,
}

impl Place {
    /// Tells whether both are one directory, or one holds the other.
    fn overlaps(&self, other: &Self) -> bool {
        // The shorter of the two decides.
        let is_shared = self.directory.iter().zip(&other.directory).all(|(mine, theirs)| mine == theirs);
        self.claim == other.claim && is_shared
    }
}

/// A child and the stream that tells of it.
#[derive(Debug)]
struct Listed {
    source: Source,
    seen: Seen,
}

/// What a list names: a capture, or a child of one.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Entry(CaptureId, Option<ChildName>);

impl Index {
    /// Takes in an event of a stream of captures.
    pub(super) fn apply_capture(&mut self, source: Source, event: Event<DeserializeGuard<TraceCapture>>) -> Effects {
        let mut effects = Effects::default();
        match event {
            Event::Init => self.begin(source),
            Event::InitApply(object) | Event::Apply(object) => {
                let ObjectMeta { namespace, name, .. } = object.meta();
                let Some(id) = capture_id(object.meta()) else {
                    // Only a loosened definition lets it in, and ours then takes no status for it.
                    warn!(?namespace, ?name, "passed over a capture whose name is no DNS label");
                    return effects;
                };
                self.listed(source, Entry(id.clone(), None));
                self.take_in(source, id, &object, &mut effects);
            }
            Event::Delete(object) => {
                if let Some(id) = capture_id(object.meta()) {
                    self.remove(&id, &mut effects);
                }
            }
            Event::InitDone => {
                let listed = self.lists.remove(&source).unwrap_or_default();
                let is_gone = |(id, known): &(&CaptureId, &Known)| {
                    known.source == source && !listed.contains(&Entry((*id).clone(), None))
                };
                let gone: Vec<CaptureId> = self.captures.iter().filter(is_gone).map(|(id, _)| id.clone()).collect();
                for id in gone {
                    self.remove(&id, &mut effects);
                }
            }
        }
        effects
    }

    /// Takes in an event of a stream of children of one kind.
    pub(super) fn apply_child<K>(
        &mut self,
        source: Source,
        kind: Kind,
        event: &Event<PartialObjectMeta<K>>,
    ) -> Effects {
        let mut effects = Effects::default();
        match event {
            Event::Init => self.begin(source),
            Event::InitApply(object) | Event::Apply(object) => {
                if let Some((id, child)) = owner(kind, &object.metadata) {
                    self.listed(source, Entry(id.clone(), Some(child.clone())));
                    let seen = Seen::present(kind, &object.metadata);
                    let children = self.children.entry(id.clone()).or_default();
                    let before = children.insert(child, Listed { source, seen: seen.clone() });
                    if before.is_none_or(|before| before.seen.mark != seen.mark) {
                        effects.visit.push(id);
                    }
                }
            }
            Event::Delete(object) => {
                if let Some((id, child)) = owner(kind, &object.metadata) {
                    if let Some(listed) = self.children.get_mut(&id).and_then(|children| children.get_mut(&child)) {
                        listed.seen.deleted(Some((kind, &object.metadata)));
                    }
                    effects.visit.push(id);
                }
            }
            Event::InitDone => self.end_children(source, &mut effects),
        }
        // Children outlive their capture for a moment; what is gone is not visited.
        effects.visit.retain(|id| self.captures.contains_key(id));
        effects
    }

    /// Returns every capture.
    pub(super) fn captures(&self) -> impl Iterator<Item = &CaptureId> {
        self.captures.keys()
    }

    /// Returns the UID of a capture that is there.
    pub(super) fn uid(&self, id: &CaptureId) -> Option<&str> {
        self.captures.get(id).map(|known| known.uid.as_str())
    }

    /// Returns what was made of a capture, as the watches last showed it.
    pub(super) fn children(&self, id: &CaptureId) -> BTreeMap<ChildName, Seen> {
        let children = self.children.get(id).into_iter().flatten();
        children.map(|(name, listed)| (name.clone(), listed.seen.clone())).collect()
    }

    /// Returns the captures created earlier on the same directory of the same claim, or on one that holds it or lies
    /// within it, in order.
    pub(super) fn sharers(&self, id: &CaptureId) -> Vec<CaptureId> {
        let known = self.captures.get(id);
        let Some((mine, place)) = known.and_then(|known| Some((known, known.place.as_ref()?))) else {
            return Vec::new();
        };
        let rank = |id: &CaptureId, known: &Known| (known.created.clone(), id.name().to_owned());
        let is_earlier = |(other, known): &(&CaptureId, &Known)| {
            other.namespace() == id.namespace()
                && known.place.as_ref().is_some_and(|theirs| theirs.overlaps(place))
                && rank(other, known) < rank(id, mine)
        };
        let mut sharers: Vec<CaptureId> = self.captures.iter().filter(is_earlier).map(|(id, _)| id.clone()).collect();
        sharers.sort();
        sharers
    }

    fn take_in(
        &mut self,
        source: Source,
        id: CaptureId,
        object: &DeserializeGuard<TraceCapture>,
        effects: &mut Effects,
    ) {
        let meta = object.meta();
        let known = Known {
            source,
            uid: meta.uid.clone().unwrap_or_default(),
            created: meta.creation_timestamp.clone(),
            place: object.0.as_ref().ok().map(|capture| place(&id, capture)),
            fingerprint: fingerprint(object),
        };
        let before = self.captures.insert(id.clone(), known);
        let now = self.captures.get(&id);
        match before {
            Some(before) if now.is_some_and(|now| now.uid != before.uid) => {
                effects.gone.push((id.clone(), before.uid));
                effects.visit.push(id);
            }
            Some(before) if now.is_some_and(|now| now.fingerprint == before.fingerprint) => {}
            _ => effects.visit.push(id),
        }
    }

    fn remove(&mut self, id: &CaptureId, effects: &mut Effects) {
        if let Some(known) = self.captures.remove(id) {
            // Who shared its claim may have it now.
            let waits = |(_, other): &(&CaptureId, &Known)| {
                other.place.as_ref().zip(known.place.as_ref()).is_some_and(|(other, gone)| other.overlaps(gone))
            };
            effects.visit.extend(self.captures.iter().filter(waits).map(|(id, _)| id.clone()));
            effects.gone.push((id.clone(), known.uid));
        }
        self.children.remove(id);
    }

    fn begin(&mut self, source: Source) {
        self.lists.insert(source, HashSet::new());
    }

    fn listed(&mut self, source: Source, entry: Entry) {
        if let Some(list) = self.lists.get_mut(&source) {
            list.insert(entry);
        }
    }

    fn end_children(&mut self, source: Source, effects: &mut Effects) {
        let named = self.lists.remove(&source).unwrap_or_default();
        for (id, children) in &mut self.children {
            for (child, listed) in children.iter_mut().filter(|(_, listed)| listed.source == source) {
                if listed.seen.is_present && !named.contains(&Entry(id.clone(), Some(child.clone()))) {
                    listed.seen.deleted(None);
                    effects.visit.push(id.clone());
                }
            }
        }
    }
}

/// Returns the id of a capture; `None` where its name is none that a capture can have.
fn capture_id(meta: &ObjectMeta) -> Option<CaptureId> {
    CaptureId::new(meta.namespace.as_deref()?, meta.name.as_deref()?).ok()
}

/// Returns the capture that a child carries in its label.
fn owner(kind: Kind, meta: &ObjectMeta) -> Option<(CaptureId, ChildName)> {
    let capture = meta.labels.as_ref()?.get(CAPTURE_LABEL)?;
    let id = CaptureId::new(meta.namespace.as_deref()?, capture).ok()?;
    Some((id, ChildName { kind, name: meta.name.clone()? }))
}

/// Returns where a capture keeps its chunks.
fn place(id: &CaptureId, capture: &TraceCapture) -> Place {
    let storage = &capture.spec.storage;
    let directory = storage.directory().into_iter().map(str::to_owned).collect();
    let claim = storage.claim_name.clone().unwrap_or_else(|| ChildNames::of(id).claim());
    Place { claim, directory }
}

fn fingerprint(object: &DeserializeGuard<TraceCapture>) -> u64 {
    let meta = object.meta();
    let mut hasher = DefaultHasher::new();
    (&meta.uid, meta.generation, &meta.annotations, &meta.finalizers).hash(&mut hasher);
    meta.deletion_timestamp.is_some().hash(&mut hasher);
    object.0.as_ref().err().map(|error| &error.error).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
