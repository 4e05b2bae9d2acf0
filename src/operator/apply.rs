//! Writing what was built: server-side apply in order, and pruning of what is not asked for any more.
//!
//! # Guarantees
//! - What neither we nor anybody else changed is not written.
//! - One refused object keeps the others from nothing: the volume grows also while the pods are refused.
//! - No pod is made or changed while something that pods run under or mount is not of the capture. Pods that run stay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::attempts::Attempts;
use super::build::{Applied as Accepted, Built, Object, Resources};
use super::child::{Applied, ChildName, digest, is_due};
use super::error::VisitError;
use super::kinds::Kind;
use super::tries::{Step, Tries, Unapplied};
use crate::api::names::ChildNames;

/// Who writes, and what is remembered.
pub(super) struct Writer<'a> {
    /// The single writes.
    pub(super) attempts: Attempts<'a>,
    /// What was applied last.
    pub(super) applied: &'a mut BTreeMap<ChildName, Applied>,
    /// The writes of this visit.
    pub(super) tries: Tries<'a>,
}

impl Writer<'_> {
    /// Applies every object that is due, then deletes what is not asked for any more.
    ///
    /// # Errors
    /// What could not be written, once everything was tried.
    ///
    /// # Cancel safety
    /// What was written stays; the next visit goes on.
    pub(super) async fn apply(mut self, resources: Resources<Built>) -> Result<Resources<Accepted>, Unapplied> {
        match resources.objects() {
            Ok(objects) => self.write(&objects).await,
            Err(error) => self.tries.withhold(VisitError::Encode(self.attempts.id.to_string(), error)),
        }
        match self.tries.end() {
            Some(unapplied) => Err(unapplied),
            None => Ok(resources.applied()),
        }
    }

    async fn write(&mut self, objects: &[Object]) {
        let mut wanted = BTreeSet::new();
        let mut foreign = None;
        for object in objects {
            // Every built object is of a kind that is watched, or there would be no way to notice its loss.
            let Some(kind) = Kind::named(&object.resource.kind) else { continue };
            let child = ChildName { kind, name: object.name.clone() };
            if let Some(foreign) = foreign.as_ref().filter(|_| kind == Kind::StatefulSet) {
                let (set, needed) = (self.attempts.path(&child), self.attempts.path(foreign));
                self.tries.withhold(VisitError::Withheld { set, needed });
            } else if let Err(error) = self.apply_one(&child, object).await
                && error.is_of_others()
                && self.is_used_by_pods(&child)
            {
                foreign.get_or_insert_with(|| child.clone());
            }
            wanted.insert(child);
        }
        self.prune(&wanted).await;
    }

    async fn apply_one(&mut self, child: &ChildName, object: &Object) -> Result<(), Arc<VisitError>> {
        let (step, seen) = (Step::Child(child.clone()), self.attempts.seen.get(child));
        if !is_due(&object.body, self.applied.get(child), seen) {
            self.tries.forget(&step);
            return Ok(());
        }
        let circumstances = self.tries.circumstances(digest(&object.body), seen);
        let attempt = self.attempts.apply(child, object, self.applied.contains_key(child));
        match self.tries.make(step, circumstances, attempt).await {
            Ok(applied) => {
                self.applied.insert(child.clone(), applied);
                Ok(())
            }
            Err(error) => {
                self.applied.remove(child);
                Err(error)
            }
        }
    }

    /// Tells whether pods run under an object or mount it: if it is not ours, they would work by what others wrote.
    fn is_used_by_pods(&self, child: &ChildName) -> bool {
        match child.kind {
            Kind::ServiceAccount | Kind::PersistentVolumeClaim => true,
            Kind::ConfigMap => child.name == ChildNames::of(self.attempts.id).settings(),
            _ => false,
        }
    }

    /// Deletes what carries our labels and our owner but is not wanted.
    async fn prune(&mut self, wanted: &BTreeSet<ChildName>) {
        let attempts = self.attempts;
        for (child, seen) in attempts.seen {
            let is_ours = seen.is_present && seen.owners.iter().any(|owner| owner == attempts.uid);
            if !child.kind.is_pruned() || !is_ours || wanted.contains(child) {
                continue;
            }
            // Nothing is wanted of it: a digest that no object has.
            let circumstances = self.tries.circumstances(0, Some(seen));
            if self.tries.make(Step::Child(child.clone()), circumstances, attempts.delete(child, seen)).await.is_ok() {
                self.applied.remove(child);
            }
        }
    }
}
