//! The rules about changes of `spec.storage`.
//!
//! Only the API server knows the object as it was, so these have no local side.

/// A rule about a change, which only the API server can check.
pub(super) struct Transition {
    /// The field of `spec.storage`, with a leading dot.
    pub(super) field: &'static str,
    /// The rule.
    pub(super) cel: &'static str,
    /// What is wrong and what to do.
    pub(super) message: &'static str,
}

/// The rules about changes of `spec.storage`: a volume cannot be exchanged below a running capture.
///
/// None is about the size. A claim that may not grow would leave no way back from a larger one, and what a claim has
/// does not stand in the object: the operator compares with the claim itself, never shrinks it, and says so in a
/// condition.
pub(super) const TRANSITIONS: &[Transition] = &[
    Transition {
        field: ".claimName",
        cel: "has(self.claimName) == has(oldSelf.claimName) \
              && (!has(self.claimName) || self.claimName == oldSelf.claimName)",
        message: "the claim cannot change: create another capture on the other claim",
    },
    Transition {
        field: ".subPath",
        cel: "has(self.subPath) == has(oldSelf.subPath) && (!has(self.subPath) || self.subPath == oldSelf.subPath)",
        message: "the directory cannot change: create another capture on the other directory",
    },
    Transition {
        field: ".storageClassName",
        cel: "has(self.storageClassName) == has(oldSelf.storageClassName) \
              && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
        message: "the storage class cannot change: create another capture with the other class",
    },
    Transition {
        field: ".accessModes",
        cel: "has(self.accessModes) == has(oldSelf.accessModes) \
              && (!has(self.accessModes) || self.accessModes == oldSelf.accessModes)",
        message: "the access modes cannot change: create another capture with the other modes",
    },
];
