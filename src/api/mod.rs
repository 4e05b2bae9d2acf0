//! The `TraceCapture` resource: its types, its schema, its rules, and reading it from YAML.
//!
//! What is accepted here works: a field without an effect yet is not in the schema, so
//! that neither a cluster nor `run` takes a wish for a setting.
//!
//! # Invariants
//! - Bounds, types and enumerations stand once, in the schema that the custom resource
//!   definition publishes; local checks walk that very schema.
//! - What a schema cannot say stands once, in the table of rules: as CEL for the
//!   API server and as a function for this process, side by side under one message.
//! - Only a check makes a [`ValidCapture`], so whoever holds one need not check again.

mod capture;
mod fault;
mod quantity;
mod read;
mod rules;
mod schema;
mod storage;
mod transitions;
mod validate;

pub use capture::{
    ChunkSpec, CollectorSpec, Compression, Durability, GrpcSpec, HttpSpec, ReceiverSpec, RecoverySpec, RetentionSpec,
    State, TraceCapture, TraceCaptureSpec,
};
pub use fault::Fault;
pub use quantity::Quantity;
pub use read::{API_VERSION, parse};
pub use schema::crd_yaml;
pub use storage::{AccessMode, DeletionPolicy, StorageSpec};
pub use validate::{Chunk, Receiver, Retention, ValidCapture, validate};
