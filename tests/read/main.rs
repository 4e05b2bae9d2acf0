//! The reader of archives: what it hands out of every kind of file, intact, damaged or hostile.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on has failed"
)]

#[path = "../support"]
mod support {
    pub(crate) mod chunks;
}

mod chunk;
mod files;
mod foreign;
mod seen;
