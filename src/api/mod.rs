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

pub mod access;
mod capture;
mod conditions;
mod definition;
mod fault;
pub mod grant;
pub mod link;
mod link_scope;
pub mod names;
mod pod_rules;
mod pods;
mod quantity;
mod read;
mod receiver_rules;
pub mod report;
mod rule;
mod rules;
mod schema;
mod status;
mod storage;
mod transitions;
mod validate;
mod volume_rules;
mod writing_rules;

pub use capture::{
    API_VERSION, ChunkSpec, Compression, CorsSpec, DownloadSpec, Durability, GrpcSpec, HttpSpec, ReceiverSpec,
    RecoverySpec, RetentionSpec, State, StatusLink, TraceCapture, TraceCaptureSpec,
};
pub use conditions::{ConditionType, Reason, markdown as conditions_markdown};
pub use fault::Fault;
pub use pods::{CollectorSpec, EnvVar, ResourcesSpec};
pub use quantity::Quantity;
pub use read::parse;
pub use schema::crd_yaml;
pub use status::{BundleStatus, EndpointsStatus, LinkStatus, ReceivedStatus, StorageStatus, TraceCaptureStatus};
pub use storage::{AccessMode, DeletionPolicy, StorageSpec};
pub use validate::{Chunk, Origin, Receiver, Retention, ValidCapture, validate};
