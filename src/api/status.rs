//! The status of a `TraceCapture`: what the operator publishes.
//!
//! Bounded by construction, below 8 KiB: never a list of chunks, texts cut to a length.
//! As everywhere in the resource, doc comments of fields speak to users.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What a capture is doing, what it holds and where to download it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct TraceCaptureStatus {
    /// The generation of the object that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub observed_generation: Option<i64>,
    /// How the capture is, each with a reason of the documented list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// How many collector pods there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    pub replicas: Option<i32>,
    /// How many collector pods are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    pub ready_replicas: Option<i32>,
    /// The labels of the collector pods, for autoscalers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub selector: Option<String>,
    /// When the capture stops by itself, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub stop_time: Option<String>,
    /// Where applications send spans.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EndpointsStatus")]
    pub endpoints: Option<EndpointsStatus>,
    /// When anything in this status last changed, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub last_update_time: Option<String>,
    /// What lies on the volume, to one percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "StorageStatus")]
    pub storage: Option<StorageStatus>,
    /// What was received since the collector pods started, to one percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ReceivedStatus")]
    pub received: Option<ReceivedStatus>,
    /// When the last span was stored, to the minute, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub last_span_time: Option<String>,
    /// Where the capture is downloaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BundleStatus")]
    pub bundle: Option<BundleStatus>,
}

/// Where applications in the cluster send spans.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointsStatus {
    /// The endpoint of OTLP over gRPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub grpc: Option<String>,
    /// The endpoint of OTLP over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub http: Option<String>,
    /// The `ConfigMap` with the `OTEL_EXPORTER_OTLP_*` variables, for an application's `envFrom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub config_map: Option<String>,
}

/// What lies on the volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct StorageStatus {
    /// Bytes of all chunks, sealed, in progress and quarantined.
    pub used_bytes: i64,
    /// The limit that retention keeps.
    pub limit_bytes: i64,
    /// Sealed chunks.
    pub chunks: i64,
    /// Chunks that are being written or recovered.
    pub in_progress_chunks: i64,
    /// When the oldest chunk was begun, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub oldest_time: Option<String>,
    /// When the newest chunk was begun, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub newest_time: Option<String>,
    /// Chunks recovered since the keeper started.
    pub recovered_chunks: i64,
    /// Files in quarantine.
    pub quarantined_chunks: i64,
    /// Chunks deleted by retention since the keeper started.
    pub evicted_chunks: i64,
}

/// What was received since the collector pods started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ReceivedStatus {
    /// Spans received.
    pub spans: i64,
    /// Bytes received, after decompression.
    pub bytes: i64,
    /// Spans rejected, for whatever reason.
    pub rejected: i64,
}

/// Where the capture is downloaded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct BundleStatus {
    /// The address of the bundle; it opens nothing without a permission.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub url: Option<String>,
    /// About how many bytes it has.
    pub size_bytes: i64,
    /// How many chunks it holds.
    pub chunks: i64,
    /// With `spec.download.statusLink: Signed`, what opens the bundle to everybody who can read this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LinkStatus")]
    pub link: Option<LinkStatus>,
}

/// A signed link to the bundle. Its address is the secret, so it is not shown for debugging.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct LinkStatus {
    /// Which link it is, as lists of links show it.
    pub id: String,
    /// The address of its page; the bundle is there under `/bundle.tar`.
    pub url: String,
    /// When it ends, in RFC 3339; another one takes its place long before.
    pub expiration_time: String,
}

impl fmt::Debug for LinkStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, url: _, expiration_time } = self;
        f.debug_struct("LinkStatus").field("id", id).field("expiration_time", expiration_time).finish_non_exhaustive()
    }
}

/// Returns the schema of the conditions: a list map by type, with what Kubernetes asks of each.
fn conditions_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": { "type": "string", "maxLength": 63 },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                "reason": { "type": "string", "minLength": 1, "maxLength": 63 },
                "message": { "type": "string", "maxLength": 512 },
                "observedGeneration": { "type": "integer", "format": "int64", "minimum": 0 },
                "lastTransitionTime": { "type": "string", "format": "date-time" }
            }
        }
    })
}
