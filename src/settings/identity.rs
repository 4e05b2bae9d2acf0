//! Who a collector is: under which name it writes, and whether it keeps the directory.

use thiserror::Error;

use crate::api::names::shortened;
use crate::ids::{MAX_WRITER_LEN, WriterId};

/// The ordinal of the pod that keeps the directory. Kubernetes promises at most one pod of its name.
const KEEPER_ORDINAL: u32 = 0;

/// What a collector does besides receiving and writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Keeps the directory: retention, recovery of what others left, downloads.
    Keeper,
    /// Only writes; recovers what earlier lives of the same writer left.
    WriterOnly,
}

/// The identity of one collector among those that share a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name under which it writes: no other collector of the same directory has it.
    pub writer: WriterId,
    /// What it does besides.
    pub duty: Duty,
}

/// A name that no pod of a `StatefulSet` has. No retry helps.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not the name of a StatefulSet's pod: it ends in `-` and an ordinal, such as `checkout-collector-0`")]
pub struct InvalidPodName(String);

impl Identity {
    /// Derives the identity of a pod of a `StatefulSet` from its name.
    ///
    /// A name that is longer than a writer's may be is cut before its ordinal, with a digest of
    /// what was cut from, so that pods of two sets and two pods of one set stay apart.
    ///
    /// # Errors
    /// [`InvalidPodName`].
    pub fn of_pod(pod_name: &str) -> Result<Self, InvalidPodName> {
        let invalid = || InvalidPodName(pod_name.chars().take(64).collect());
        let (head, digits) = pod_name.rsplit_once('-').ok_or_else(invalid)?;
        let ordinal: u32 = digits.parse().map_err(|_| invalid())?;
        // `+1` and `01` are numbers, too, but not those of pods: two names must not be one ordinal.
        if ordinal.to_string() != digits || !pod_name.is_ascii() {
            return Err(invalid());
        }
        let head = shortened(head, MAX_WRITER_LEN - digits.len() - 1);
        let writer = format!("{head}-{ordinal}").parse().map_err(|_| invalid())?;
        let duty = if ordinal == KEEPER_ORDINAL { Duty::Keeper } else { Duty::WriterOnly };
        Ok(Self { writer, duty })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::names::ChildNames;
    use crate::ids::CaptureId;

    fn check(pod_name: &str, expected: Option<(&str, Duty)>) {
        let identity = Identity::of_pod(pod_name).ok();
        let expected = expected.map(|(writer, duty)| Identity { writer: writer.parse().unwrap(), duty });
        assert_eq!(identity, expected, "{pod_name}");
    }

    #[test]
    fn a_short_name_is_the_writer_and_the_ordinal_decides() {
        check("checkout-collector-0", Some(("checkout-collector-0", Duty::Keeper)));
        check("checkout-collector-10", Some(("checkout-collector-10", Duty::WriterOnly)));
        check("a-0-1", Some(("a-0-1", Duty::WriterOnly)));
    }

    #[test]
    fn what_is_no_pod_of_a_stateful_set_is_refused() {
        for name in ["", "0", "-0", "a", "a-", "a-x", "a-+1", "a-01", "a--1", "a-4294967296", "A-0", "ä-0", "a_b-0"] {
            check(name, if name == "a--1" { Some(("a--1", Duty::WriterOnly)) } else { None });
        }
    }

    #[test]
    fn long_names_stay_apart_by_capture_and_by_ordinal() {
        let mut writers = BTreeSet::new();
        for last in ["b", "c", "-d"] {
            let name = "a".repeat(63 - last.len()) + last;
            let id = CaptureId::new("shop", &name).unwrap();
            for ordinal in [0, 1, 9, 10, 63] {
                let identity = Identity::of_pod(&ChildNames::of(&id).pod(ordinal)).unwrap();
                assert!(identity.writer.as_str().ends_with(&format!("-{ordinal}")), "{identity:?}");
                assert_eq!(identity.duty == Duty::Keeper, ordinal == 0);
                assert!(writers.insert(identity.writer.clone()), "{identity:?}");
            }
        }
        assert_eq!(writers.len(), 15);
    }
}
