//! The part of the `TraceCapture` resource that says how its pods run.
//!
//! The types are lean on purpose: a typed pod template would make the definition larger
//! than `kubectl apply` can take. What has no field here goes into `podOverlay`; the API
//! server checks it when the pods are made, and a condition says what it refused.
//! As everywhere in the resource, doc comments of fields speak to users.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::quantity::{self, Quantity};

/// The pods of a capture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CollectorSpec {
    /// How many collector pods share the volume. More than one needs a volume that many nodes can write.
    #[schemars(range(min = 1, max = 64))]
    pub replicas: i32,
    /// The compute resources of each pod; without them, 100m of CPU without a limit, and 128Mi of memory with one that goes by `receiver.maxRequestBytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ResourcesSpec")]
    pub resources: Option<ResourcesSpec>,
    /// The image of the collector; without it, the operator's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(min = 1, max = 512))]
    pub image: Option<String>,
    /// The labels that a node must have to run these pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels_schema")]
    pub node_selector: BTreeMap<String, String>,
    /// The taints that these pods tolerate, as in a pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "tolerations_schema")]
    pub tolerations: Vec<Map<String, Value>>,
    /// Where these pods prefer or must run, as in a pod.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "open_object_schema")]
    pub affinity: Map<String, Value>,
    /// How these pods are spread over nodes and zones, as in a pod; a constraint without `labelSelector` means the pods of this capture.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "spread_schema")]
    pub topology_spread_constraints: Vec<Map<String, Value>>,
    /// Environment variables of the collector, such as `RUST_LOG`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64, "x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,
    /// What is merged into the pod template last, in the form of a pod template: `metadata` and `spec`.
    /// Lists with names (containers, volumes, env) are merged by name. What would break the pod or weaken its security is refused.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "overlay_schema")]
    pub pod_overlay: Map<String, Value>,
}

impl Default for CollectorSpec {
    fn default() -> Self {
        Self {
            replicas: 1,
            resources: None,
            image: None,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            affinity: Map::new(),
            topology_spread_constraints: Vec::new(),
            env: Vec::new(),
            pod_overlay: Map::new(),
        }
    }
}

/// The compute resources of a pod, as in a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ResourcesSpec {
    /// What a node must have free, such as `cpu: 500m` and `memory: 256Mi`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities_schema")]
    pub requests: BTreeMap<String, Quantity>,
    /// What a pod may use at most.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities_schema")]
    pub limits: BTreeMap<String, Quantity>,
}

/// An environment variable of the collector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnvVar {
    /// The name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The value.
    #[serde(default)]
    #[schemars(length(max = 8192))]
    pub value: String,
}

/// Returns the schema of a map of labels.
fn labels_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": { "type": "string", "maxLength": 63 },
        "maxProperties": 32
    })
}

/// Returns the schema of a map of resource names to quantities.
fn quantities_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": quantity::schema(generator), "maxProperties": 16 })
}

/// Returns the schema of an object that Kubernetes checks when it is used.
fn open_object_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Returns the schema of the overlay: the parts of a pod template that it may have.
///
/// The keys of `spec` that stand here are refused by a rule: CEL sees only keys that a schema names.
fn overlay_schema(_: &mut SchemaGenerator) -> Schema {
    let texts = |of: &str| json!({ "type": "object", "description": of, "additionalProperties": { "type": "string" } });
    let refused = |form: &str| json!({ "type": form, "description": "Refused: every collector pod keeps its own." });
    json_schema!({
        "type": "object",
        "properties": {
            "metadata": {
                "type": "object",
                "description": "Labels and annotations of the pods.",
                "properties": {
                    "labels": texts("Labels that the pods get beside their own."),
                    "annotations": texts("Annotations that the pods get beside their own.")
                }
            },
            "spec": {
                "type": "object",
                "description": "What is merged into the spec of the pods.",
                "x-kubernetes-preserve-unknown-fields": true,
                "properties": {
                    "hostNetwork": refused("boolean"),
                    "hostPID": refused("boolean"),
                    "hostIPC": refused("boolean"),
                    "serviceAccountName": refused("string"),
                    "automountServiceAccountToken": refused("boolean")
                }
            }
        }
    })
}

/// Returns the schema of the list of tolerations: what Kubernetes checks of one by itself, so that it is said here and
/// not where the set is made.
///
/// Source: `ValidateTolerations` in `pkg/apis/core/validation`, Kubernetes 1.36.
fn tolerations_schema(_: &mut SchemaGenerator) -> Schema {
    open_objects(&json!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "key": { "type": "string", "maxLength": 317, "description": "The key of the taint." },
            "operator": {
                "type": "string",
                "enum": ["", "Equal", "Exists"],
                "description": "How the value is compared; `Equal` where nothing is written."
            },
            "value": { "type": "string", "maxLength": 63, "description": "The value of the taint." },
            "effect": {
                "type": "string",
                "enum": ["", "NoSchedule", "PreferNoSchedule", "NoExecute"],
                "description": "The effect of the taint; every one where nothing is written."
            },
            "tolerationSeconds": { "type": "integer", "description": "For how long `NoExecute` is tolerated." }
        }
    }))
}

/// Returns the schema of the list of spread constraints, in the same way.
///
/// Source: `validateTopologySpreadConstraints` in `pkg/apis/core/validation`, Kubernetes 1.36.
fn spread_schema(_: &mut SchemaGenerator) -> Schema {
    open_objects(&json!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "maxSkew": { "type": "integer", "minimum": 1, "description": "By how many pods domains may differ." },
            "minDomains": { "type": "integer", "minimum": 1, "description": "How many domains there are to be." },
            "topologyKey": {
                "type": "string",
                "minLength": 1,
                "maxLength": 317,
                "description": "The label of nodes that makes a domain."
            },
            "whenUnsatisfiable": {
                "type": "string",
                "enum": ["DoNotSchedule", "ScheduleAnyway"],
                "description": "What becomes of a pod that cannot be spread."
            }
        },
        "required": ["maxSkew", "topologyKey", "whenUnsatisfiable"]
    }))
}

/// Returns the schema of a list of objects whose further fields Kubernetes checks when they are used.
fn open_objects(items: &Value) -> Schema {
    json_schema!({ "type": "array", "items": items, "maxItems": 32, "x-kubernetes-list-type": "atomic" })
}
