//! The storage part of the `TraceCapture` resource.
//!
//! As everywhere in the resource, doc comments of fields speak to users.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::quantity::{self, Quantity};

/// The volume: a claim that exists (`claimName`), or one that is made (`storageClassName`, `accessModes`, `size`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct StorageSpec {
    /// The persistent volume claim to use; it is never changed and never deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 253))]
    pub claim_name: Option<String>,
    /// The directory within the claim `claimName`, such as `captures/checkout`; without it, its root.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 1024))]
    pub sub_path: Option<String>,
    /// The storage class of the claim that is made; without it, the cluster's default class.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 253))]
    pub storage_class_name: Option<String>,
    /// The access modes of the claim that is made; without them, `ReadWriteOnce`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "access_modes_schema")]
    pub access_modes: Option<Vec<AccessMode>>,
    /// The size of the claim that is made, such as `2Gi`. It may grow later; a claim is never made smaller.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity::schema")]
    pub size: Option<Quantity>,
    /// What becomes of a claim that was made here when the capture is deleted.
    pub deletion_policy: DeletionPolicy,
}

impl StorageSpec {
    /// Returns the names that lead to the directory within the claim, none for its root, however it is written:
    /// `a`, `./a`, `a/` and `a//.` are one directory.
    pub fn directory(&self) -> Vec<&str> {
        let path = self.sub_path.as_deref().unwrap_or_default();
        path.split('/').filter(|name| !name.is_empty() && *name != ".").collect()
    }
}

/// Who may mount a volume, in the words of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessMode {
    /// One node may write.
    ReadWriteOnce,
    /// One pod may write.
    ReadWriteOncePod,
    /// Many nodes may write.
    ReadWriteMany,
}

/// What becomes of the volume when the capture is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It stays.
    #[default]
    Retain,
    /// It is deleted with everything captured.
    Delete,
}

/// Returns the schema of the access modes: a set.
fn access_modes_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "string", "enum": ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"] },
        "minItems": 1,
        "maxItems": 3,
        "x-kubernetes-list-type": "set"
    })
}
