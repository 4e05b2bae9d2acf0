//! The status of a capture: derived from what one visit saw, rounded, and compared with the one before.
//!
//! Everything here is pure. Nothing is remembered between visits but what the status itself says.
//!
//! # Invariants
//! - All conditions are always there, each with the generation that it speaks of.
//! - `Ready` is derived from what collectors report, never from what was applied.
//! - A capture that does nothing gives the same status at every visit, byte for byte.
//! - A status takes less than 8 KiB, whatever it was told by others.

mod derive;
mod figures;
mod keeper;
mod message;
mod readiness;
mod ready;
mod receivers;
mod round;
mod scene;
mod storage;
#[cfg(test)]
mod tests;
mod transitions;
mod verdict;
mod visit;

pub use derive::derive;
pub use readiness::{Readiness, readiness};
pub use round::worth_publishing;
pub use transitions::{Transition, transitions};
pub use visit::{ApplyFailure, LinkNews, Refusal, Visit};
