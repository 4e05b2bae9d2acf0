//! What the commands for a cluster share: the flags, the client, the objects, the way to the gateway, how they are told to people.
//!
//! # Invariants
//! - Objects are read leniently: one of a newer version is shown with what this one knows of it.
//! - What the API server or an object says is escaped before a terminal sees it.

pub mod args;
pub mod captures;
pub mod connect;
pub mod door;
mod error;
pub mod refusal;
pub mod text;
