//! Whether the cluster has the resource definition of this version.
//!
//! An older definition would drop the fields that it does not know, without a word: settings would
//! be without effect, and a status that is cut would be written again and again. So nothing is
//! visited before the definition knows every field of this version.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams};
use kube::core::{Status, metadata::PartialObjectMeta};
use kube::{Client, CustomResourceExt as _};
use serde_json::Value;
use thiserror::Error;
use tracing::warn;

use super::error::{optional, status};
use super::options::Watched;
use crate::api::TraceCapture;

/// How many fields an error names: enough to see how old the definition is.
const NAMED_FIELDS: usize = 5;

/// Why captures cannot be reconciled yet.
#[derive(Debug, Error)]
pub(super) enum InstalledError {
    /// There is no definition.
    #[error("the cluster has no definition `{0}`: apply the output of `tracecapture crd`")]
    Absent(String),
    /// The definition is of an older version.
    #[error(
        "the definition `{name}` in the cluster does not know {fields}: apply the output of `tracecapture crd` of this version"
    )]
    Outdated {
        /// The definition.
        name: String,
        /// Some of what it does not know.
        fields: String,
    },
    /// Captures cannot be listed. A retry helps once the right is granted.
    #[error("cannot list TraceCapture objects {0}")]
    List(String, #[source] Box<kube::Error>),
    /// It cannot be read. A retry may help.
    #[error("cannot read the definition `{0}`")]
    Read(String, #[source] Box<kube::Error>),
}

/// Checks that the definition in the cluster knows every field of this version.
///
/// Where it may not be read (an installation without cluster-wide rights), only its presence is checked.
///
/// # Errors
/// [`InstalledError`]; worth repeating until somebody applied the definition.
pub(super) async fn check(client: &Client, watched: &Watched) -> Result<(), InstalledError> {
    let ours = TraceCapture::crd();
    let name = TraceCapture::crd_name().to_owned();
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    match optional(api.get(&name).await) {
        Ok(Some(installed)) => {
            let unknown = unknown_fields(&fields(&ours), &fields(&installed));
            if unknown.is_empty() { Ok(()) } else { Err(InstalledError::Outdated { name, fields: named(&unknown) }) }
        }
        Ok(None) => Err(InstalledError::Absent(name)),
        Err(error) if status(&error).is_some_and(Status::is_forbidden) => {
            warn!(definition = name, "the definition may not be read: its fields are not checked");
            is_served(client, watched, name).await
        }
        Err(error) => Err(InstalledError::Read(name, Box::new(error))),
    }
}

/// Checks that captures can be listed in one namespace at least: the others may be gone, and their roles with them.
async fn is_served(client: &Client, watched: &Watched, name: String) -> Result<(), InstalledError> {
    let namespaces: Vec<Option<&str>> = match watched {
        Watched::All => vec![None],
        Watched::Namespaces(names) => names.iter().map(|name| Some(name.as_str())).collect(),
    };
    let mut refused = None;
    for namespace in namespaces {
        let api: Api<PartialObjectMeta<TraceCapture>> = match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        match optional(api.list(&ListParams::default().limit(1)).await) {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => return Err(InstalledError::Absent(name)),
            Err(error) => {
                let place = namespace.map_or("in every namespace".to_owned(), |namespace| format!("in `{namespace}`"));
                refused.get_or_insert(InstalledError::List(place, Box::new(error)));
            }
        }
    }
    refused.map_or(Ok(()), Err)
}

/// Returns the paths of every field of the first version, in order.
fn fields(definition: &CustomResourceDefinition) -> Vec<String> {
    let version = definition.spec.versions.iter().find(|version| version.name == "v1alpha1");
    let schema = version.and_then(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref());
    let value = schema.and_then(|schema| serde_json::to_value(schema).ok()).unwrap_or_default();
    let mut paths = Vec::new();
    collect(&value, "", &mut paths);
    paths
}

fn collect(schema: &Value, path: &str, paths: &mut Vec<String>) {
    // What keeps fields that it does not name loses none to an older definition.
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        return;
    }
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        collect(inner, &path, paths);
        if let Some(items) = inner.get("items") {
            collect(items, &format!("{path}[]"), paths);
        }
        paths.push(path);
    }
}

fn unknown_fields(ours: &[String], installed: &[String]) -> Vec<String> {
    // What stands in front of a schema of the API server itself may be left out of either.
    let is_checked = |path: &&String| path.starts_with("spec") || path.starts_with("status");
    ours.iter().filter(is_checked).filter(|path| !installed.contains(path)).cloned().collect()
}

fn named(fields: &[String]) -> String {
    let mut text: Vec<String> = fields.iter().take(NAMED_FIELDS).map(|field| format!("`{field}`")).collect();
    if fields.len() > NAMED_FIELDS {
        text.push(format!("and {} more", fields.len() - NAMED_FIELDS));
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_definition_knows_every_field() {
        let ours = fields(&TraceCapture::crd());
        assert!(ours.contains(&"spec.chunk.maxBytes".to_owned()) && unknown_fields(&ours, &ours).is_empty());
    }

    #[test]
    fn what_an_older_definition_lacks_is_named() {
        let ours = fields(&TraceCapture::crd());
        let lacks = |path: &String| !path.starts_with("spec.recovery") && path != "status.conditions[].reason";
        let older: Vec<String> = ours.iter().filter(|path| lacks(path)).cloned().collect();
        let unknown = unknown_fields(&ours, &older);
        assert_eq!(unknown, ["spec.recovery.inactiveSeconds", "spec.recovery", "status.conditions[].reason"]);
        assert_eq!(named(&unknown[..1]), "`spec.recovery.inactiveSeconds`");
    }

    #[test]
    fn fields_of_what_keeps_any_field_need_not_be_known() {
        let ours = fields(&TraceCapture::crd());
        assert!(ours.contains(&"spec.collector.tolerations".to_owned()));
        assert!(!ours.iter().any(|path| path.starts_with("spec.collector.tolerations[]")), "{ours:?}");
    }
}
