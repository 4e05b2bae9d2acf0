//! The operator: makes collectors of `TraceCapture` objects and publishes how they are.
//!
//! One visit of an object is `observe → validate → build → apply → derive → publish`: pure in
//! the middle, I/O at the ends. A visit looks at everything anew and holds nothing for the next one.
//!
//! # Invariants
//! - A second visit without a change in between writes nothing.
//! - Every write is a server-side apply under one field manager; fields of others survive.
//! - A broken object has its own condition; the others go on.
//! - Losing leadership pauses visits, never the data path.

pub mod build;
pub mod observed;
pub mod options;
