//! Days on which everything goes wrong at once: disks, owners, signals, clients, settings.
//!
//! Black box over the real binary, on loopback alone.
//! Each test proves one promise: nothing acknowledged is lost, nothing is damaged, and whoever
//! has to act is told what to do.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the figures, shown where a test fails")]
#![expect(clippy::disallowed_methods, reason = "the tests are the vandal, and keep time with a deadline")]

#[path = "../support/held.rs"]
mod held;
#[path = "../support/spans.rs"]
mod spans;
#[path = "../support/mod.rs"]
mod support;

mod archive;
mod client;
mod directory;
mod ending;
mod live;
mod load;
mod memory;
mod owners;
mod recover;
mod retention;
