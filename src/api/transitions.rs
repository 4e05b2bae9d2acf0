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
    Transition {
        field: ".size",
        cel: "!has(oldSelf.size) || (has(self.size) \
              && (!isQuantity(string(self.size)) || !isQuantity(string(oldSelf.size)) \
              || quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0))",
        message: "a volume can grow but not shrink: keep the size, or write a larger one",
    },
];
