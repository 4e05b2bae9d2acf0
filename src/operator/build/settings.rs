//! The `ConfigMap`s: what a collector reads, and what an application needs to find it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

use super::error::BuildError;
use super::metadata::texts;
use super::plan::Plan;
use crate::api::API_VERSION;
use crate::api::names::{GRANT_KEYS_FILE, INSTALLATION_ANNOTATION, SETTINGS_FILE};

/// The parts of the spec that say how pods run: pods have no use for them, and a change of
/// them must not look to a collector like a change of its settings.
const NOT_FOR_PODS: [&str; 2] = ["collector", "storage"];

/// Returns the settings of the collector pods, as a manifest that they check like any other.
///
/// # Errors
/// [`BuildError::Settings`]; none in practice, since a checked capture came from such text.
pub(super) fn config_map(plan: &Plan<'_>) -> Result<ConfigMap, BuildError> {
    let manifest = serde_saphyr::to_string(&manifest(plan)).map_err(BuildError::Settings)?;
    let keys: String = plan.context.grant_keys.iter().map(|key| key.to_text() + "\n").collect();
    // By this an installation notices another one that looks after the same captures.
    let annotations = Some(texts([(INSTALLATION_ANNOTATION, plan.context.installation_namespace)]));
    Ok(ConfigMap {
        metadata: ObjectMeta { annotations, ..plan.owned(plan.names.settings()) },
        data: Some(texts([(SETTINGS_FILE, &manifest), (GRANT_KEYS_FILE, &keys)])),
        ..ConfigMap::default()
    })
}

/// Returns the variables of an OpenTelemetry SDK, for `envFrom` of an application.
///
/// The endpoint is enough for both protocols: over HTTP an SDK adds `/v1/traces` to it.
/// Source: OpenTelemetry specification, "OpenTelemetry Protocol Exporter", configuration options.
pub(super) fn otlp_env(plan: &Plan<'_>) -> ConfigMap {
    let receiver = plan.capture.receiver();
    let offered = receiver.grpc_port.map(|port| ("grpc", port));
    let offered = offered.or(receiver.http_port.map(|port| ("http/protobuf", port)));
    let variables = offered.map_or_else(BTreeMap::new, |(protocol, port)| {
        let (service, namespace) = (plan.names.otlp_service(), plan.capture.id().namespace());
        let endpoint = format!("http://{service}.{namespace}.svc:{port}");
        texts([("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)])
    });
    ConfigMap { metadata: plan.owned(plan.names.otlp_env()), data: Some(variables), ..ConfigMap::default() }
}

fn manifest(plan: &Plan<'_>) -> Value {
    let origin = plan.capture.origin();
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), plan.capture.id().name().into());
    metadata.insert("namespace".to_owned(), plan.capture.id().namespace().into());
    // The uid is what grants are made out to, the generation is what a collector reports as
    // taken up, and the time of creation is what `stopAfterSeconds` counts from.
    metadata.extend(origin.uid.as_deref().map(|uid| ("uid".to_owned(), uid.into())));
    metadata.extend(origin.generation.map(|generation| ("generation".to_owned(), generation.into())));
    metadata.extend(origin.created.map(|created| ("creationTimestamp".to_owned(), created.to_string().into())));
    let mut spec = serde_json::to_value(plan.capture.spec()).unwrap_or_default();
    if let Some(members) = spec.as_object_mut() {
        members.retain(|name, _| !NOT_FOR_PODS.contains(&name.as_str()));
    }
    json!({ "apiVersion": API_VERSION, "kind": "TraceCapture", "metadata": metadata, "spec": spec })
}
