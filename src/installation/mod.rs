//! What the roles of one installation have in common: its keys, the record of its links, its captures, the way to the API server and to the pods.
//!
//! It knows kube's client and decides nothing: what is done with what is read here is the roles' own.

pub mod again;
pub mod answer;
pub mod collector_url;
pub mod deadline;
pub mod keys;
pub mod link_keys;
pub mod link_places;
pub mod link_record;
pub mod link_records;
pub mod nesting;

/// Whose captures an installation looks after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// Those of every namespace.
    All,
    /// Those of these namespaces.
    Namespaces(Vec<String>),
}
