//! What one process needs to know, typed, out of a valid capture.
//!
//! Settings are a value: a change makes a new one, and [`changes`] tells which part of
//! the difference a process can take up while it runs.

mod capture;
mod changes;
mod identity;
mod receive;

pub use capture::{CollectorSettings, LiveSettings, Recovery};
pub use changes::{Changes, changes};
pub use identity::{Duty, Identity, InvalidPodName};
pub use receive::{ReceiveSettings, ReceiveState};
