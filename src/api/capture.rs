//! The types of the `TraceCapture` resource, version `v1alpha1`.
//!
//! The doc comments of fields are what `kubectl explain` prints: they speak to users.
//! No field is nullable, also where it is optional (`with = ..` keeps kube from making it
//! so): the API server then drops a null of what is created or updated before rules see it, as if
//! the field were absent. Server-side apply refuses a null where there is no default.

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::pods::CollectorSpec;
use super::quantity::{self, Quantity};
use super::status::TraceCaptureStatus;
use super::storage::StorageSpec;
use crate::clock::Timestamp;
use crate::ids::Signal;

/// The group and version of the resource: what `apiVersion` must be.
pub const API_VERSION: &str = "tracecapture.dev/v1alpha1";

/// What `kind` must be.
pub(super) const KIND: &str = "TraceCapture";

/// What a capture takes in, how it is stored and for how long.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "tracecapture.dev",
    version = "v1alpha1",
    kind = "TraceCapture",
    plural = "tracecaptures",
    shortname = "tcap",
    category = "observability",
    namespaced,
    status = "TraceCaptureStatus",
    scale = r#"{"specReplicasPath": ".spec.collector.replicas", "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}"#,
    selectable = ".spec.state",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status", "description": "Whether a span sent now would land on the disk"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name": "Used", "type": "integer", "jsonPath": ".status.storage.usedBytes", "description": "Bytes of all chunks"}"#,
    printcolumn = r#"{"name": "Limit", "type": "integer", "jsonPath": ".status.storage.limitBytes", "description": "The limit that retention keeps, in bytes", "priority": 1}"#,
    printcolumn = r#"{"name": "Last Span", "type": "date", "jsonPath": ".status.lastSpanTime"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Bundle", "type": "string", "jsonPath": ".status.bundle.url", "priority": 1}"#,
    derive = "PartialEq",
    doc = "A capture, as an object of a cluster or as a file that a person wrote.",
    schema = "manual"
)]
#[serde(default, rename_all = "camelCase")]
pub struct TraceCaptureSpec {
    /// Whether spans are taken in. `Stopped` refuses new spans; chunks, downloads and retention go on.
    pub state: State,
    /// The capture stops by itself this many seconds after the object was created (on a single machine: after the
    /// start), at most ten years; together with `endTime`, whichever comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1, max = 315_360_000))]
    pub stop_after_seconds: Option<i64>,
    /// The capture stops by itself at this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant_schema")]
    pub end_time: Option<Timestamp>,
    /// When a client gets its answer: `Sync` after the spans are on the disk, `Write` once the operating system has them.
    pub durability: Durability,
    /// The signals that are captured.
    #[schemars(schema_with = "signals_schema")]
    pub signals: Vec<Signal>,
    /// The pods that receive; without meaning on a single machine.
    pub collector: CollectorSpec,
    /// The OTLP endpoint.
    pub receiver: ReceiverSpec,
    /// When a chunk is sealed and how it is compressed.
    pub chunk: ChunkSpec,
    /// When chunks are deleted: the oldest first, until both limits hold.
    pub retention: RetentionSpec,
    /// What becomes of chunks whose writer is gone.
    pub recovery: RecoverySpec,
    /// The volume; without meaning on a single machine.
    pub storage: StorageSpec,
    /// Whether what was captured can be downloaded.
    pub download: DownloadSpec,
}

impl Default for TraceCaptureSpec {
    fn default() -> Self {
        Self {
            state: State::default(),
            stop_after_seconds: None,
            end_time: None,
            durability: Durability::default(),
            signals: vec![Signal::Traces],
            collector: CollectorSpec::default(),
            receiver: ReceiverSpec::default(),
            chunk: ChunkSpec::default(),
            retention: RetentionSpec::default(),
            recovery: RecoverySpec::default(),
            storage: StorageSpec::default(),
            download: DownloadSpec::default(),
        }
    }
}

/// Whether a capture takes in spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum State {
    /// Spans are taken in.
    #[default]
    Running,
    /// Spans are refused; chunks, downloads and retention go on.
    Stopped,
}

/// When spans count as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Durability {
    /// Once the disk has them: they survive the loss of power.
    #[default]
    Sync,
    /// Once the operating system has them: they survive the loss of the process, not of the machine.
    Write,
}

/// How the lines of a chunk are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Compression {
    /// Zstandard.
    #[default]
    Zstd,
    /// Gzip.
    Gzip,
    /// Not at all.
    None,
}

/// The OTLP endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ReceiverSpec {
    /// OTLP over gRPC.
    pub grpc: GrpcSpec,
    /// OTLP over HTTP, as protobuf and as JSON.
    pub http: HttpSpec,
    /// The largest request, after decompression, such as `64Mi`.
    #[schemars(schema_with = "quantity::schema")]
    pub max_request_bytes: Quantity,
    /// Which web pages may send spans.
    pub cors: CorsSpec,
}

impl Default for ReceiverSpec {
    fn default() -> Self {
        Self {
            grpc: GrpcSpec::default(),
            http: HttpSpec::default(),
            max_request_bytes: Quantity::Text("64Mi".to_owned()),
            cors: CorsSpec::default(),
        }
    }
}

/// OTLP over gRPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct GrpcSpec {
    /// Whether this transport is offered.
    pub enabled: bool,
    /// The port it listens on.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

impl Default for GrpcSpec {
    fn default() -> Self {
        // The ports that the OTLP specification assigns to gRPC and, below, to HTTP.
        Self { enabled: true, port: 4317 }
    }
}

/// OTLP over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpSpec {
    /// Whether this transport is offered.
    pub enabled: bool,
    /// The port it listens on.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

impl Default for HttpSpec {
    fn default() -> Self {
        Self { enabled: true, port: 4318 }
    }
}

/// Which web pages may send spans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CorsSpec {
    /// The origins of these pages, such as `https://shop.example.com`; `*` stands for every one, an empty list for none.
    #[schemars(schema_with = "origins_schema")]
    pub allowed_origins: Vec<String>,
}

impl Default for CorsSpec {
    fn default() -> Self {
        Self { allowed_origins: vec!["*".to_owned()] }
    }
}

/// Whether what was captured can be downloaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct DownloadSpec {
    /// `false` refuses every download of chunks and bundles, also to those who may.
    pub enabled: bool,
    /// `Signed` keeps a link in `status.bundle.link` that opens the bundle to everybody who can read this object; without meaning on a single machine.
    #[serde(skip_serializing_if = "StatusLink::is_none")]
    #[schemars(extend("default" = "None"))]
    pub status_link: StatusLink,
}

impl Default for DownloadSpec {
    fn default() -> Self {
        Self { enabled: true, status_link: StatusLink::default() }
    }
}

/// Whether the status holds something that opens the bundle by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum StatusLink {
    /// No: who downloads shows a token, or a link that somebody made.
    #[default]
    None,
    /// A signed link of a day at most, which is renewed.
    Signed,
}

impl StatusLink {
    /// Tells whether there is none, which is not written into the settings of collectors.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// When a chunk is sealed and how it is compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ChunkSpec {
    /// The size at which a chunk is sealed, such as `50M`.
    #[schemars(schema_with = "quantity::schema")]
    pub max_bytes: Quantity,
    /// The age in seconds at which a chunk is sealed, full or not; at most a week.
    #[schemars(range(min = 1, max = 604_800))]
    pub max_age_seconds: i64,
    /// How the lines of a chunk are compressed.
    pub compression: Compression,
}

impl Default for ChunkSpec {
    fn default() -> Self {
        Self { max_bytes: Quantity::Text("50M".to_owned()), max_age_seconds: 3600, compression: Compression::default() }
    }
}

/// When chunks are deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RetentionSpec {
    /// The size that all chunks together may have, at least five times `chunk.maxBytes`, such as `1G`.
    #[schemars(schema_with = "quantity::schema")]
    pub max_bytes: Quantity,
    /// The age in seconds above which a chunk is deleted, at most ten years; without it, chunks of any age are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64", range(min = 1, max = 315_360_000))]
    pub max_age_seconds: Option<i64>,
    /// Everything captured before this instant is deleted once; takes effect only while `state` is `Stopped`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "instant_schema")]
    pub clear_before: Option<Timestamp>,
}

impl Default for RetentionSpec {
    fn default() -> Self {
        Self { max_bytes: Quantity::Text("1G".to_owned()), max_age_seconds: None, clear_before: None }
    }
}

/// What becomes of chunks whose writer is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RecoverySpec {
    /// For how many seconds nobody may have written to a chunk in progress before it is recovered; at most a week.
    #[schemars(range(min = 1, max = 604_800))]
    pub inactive_seconds: i64,
}

impl Default for RecoverySpec {
    fn default() -> Self {
        Self { inactive_seconds: 600 }
    }
}

/// Returns the schema of the list of signals: a set of the one signal there is.
fn signals_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "string", "enum": ["Traces"] },
        "minItems": 1,
        "maxItems": 1,
        "x-kubernetes-list-type": "set"
    })
}

/// Returns the schema of the list of origins: a set.
fn origins_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "string", "minLength": 1, "maxLength": 256 },
        "maxItems": 32,
        "x-kubernetes-list-type": "set"
    })
}

/// Returns the schema of an instant in RFC 3339.
fn instant_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}
