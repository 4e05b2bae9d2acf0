//! The operator: makes collectors of `TraceCapture` objects and publishes how they are.
//!
//! One visit of an object is `observe → validate → build → apply → derive → publish`: pure in
//! the middle, I/O at the ends. A visit looks at everything anew and holds nothing for the next one.
//!
//! # Invariants
//! - A second visit without a change in between writes nothing.
//! - What is made is made by server-side apply under one field manager; fields of others survive.
//! - A broken object has its own condition; the others go on.
//! - Losing leadership pauses visits, never the data path.

mod apply;
mod attempts;
mod backoff;
mod belongs;
pub mod build;
mod child;
mod contest;
mod context;
mod controller;
mod errand;
mod error;
mod events;
mod failures;
mod heard;
mod index;
mod installed;
mod kinds;
mod lease;
mod ledger;
mod nudge;
mod observe;
pub mod observed;
pub mod options;
mod ports;
mod publish;
mod queue;
mod reconcile;
pub mod reports;
mod run;
pub mod status;
mod status_link;
mod subject;
mod teardown;
mod tries;
mod watches;

pub use lease::LEASE_NAME;
pub use run::{Operator, Parts};
