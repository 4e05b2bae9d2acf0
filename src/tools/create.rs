//! `tracecapture create`: a capture made of flags, checked here before the API server sees it.

use clap::Args;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::cluster::args::NameArgs;
use super::cluster::connect::Cluster;
use super::cluster::text::parse_seconds;
use super::exit::{ExitCode, Failure};
use super::output::{say, write_stdout};
use super::process;
use crate::api::{self, API_VERSION, Fault};

/// The flags of `create`.
#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    /// What all chunks together may have, such as `1G`; the oldest are deleted first.
    #[arg(long, value_name = "SIZE")]
    retention: Option<String>,
    /// The age above which a chunk is deleted, such as `7d`.
    #[arg(long, value_name = "DURATION", value_parser = parse_seconds)]
    max_age: Option<i64>,
    /// The size of the volume that is made, such as `2Gi`.
    #[arg(long, value_name = "SIZE")]
    size: Option<String>,
    /// The storage class of the volume that is made.
    #[arg(long, value_name = "CLASS")]
    storage_class: Option<String>,
    /// The access mode of the volume that is made; more than one replica takes `ReadWriteMany`.
    #[arg(long, value_name = "MODE", value_parser = ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"])]
    access_mode: Option<String>,
    /// An existing claim to use instead of a volume that is made.
    #[arg(long, value_name = "CLAIM")]
    claim: Option<String>,
    /// How many collector pods receive.
    #[arg(long, value_name = "N")]
    replicas: Option<i32>,
    /// Stop by itself this long after it was created, such as `1h30m`.
    #[arg(long, value_name = "DURATION", value_parser = parse_seconds)]
    stop_after: Option<i64>,
    /// Print the object as YAML, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Which capture.
    #[command(flatten)]
    capture: NameArgs,
}

/// Which flag sets which field.
const FLAGS: [(&str, &str); 8] = [
    ("spec.retention.maxBytes", "--retention"),
    ("spec.retention.maxAgeSeconds", "--max-age"),
    ("spec.storage.size", "--size"),
    ("spec.storage.storageClassName", "--storage-class"),
    ("spec.storage.accessModes", "--access-mode"),
    ("spec.storage.claimName", "--claim"),
    ("spec.collector.replicas", "--replicas"),
    ("spec.stopAfterSeconds", "--stop-after"),
];

/// Why no capture was made.
#[derive(Debug, Error)]
enum CreateError {
    /// The flags break rules of the definition.
    #[error("these flags make no valid TraceCapture")]
    Faults,
    /// The object has no YAML form.
    #[error("cannot write the object as YAML")]
    Yaml(#[source] serde_saphyr::ser::Error),
    /// The object is none.
    #[error("cannot make the object")]
    Object(#[source] serde_json::Error),
}

/// Creates a capture, or prints it.
///
/// # Errors
/// A [`Failure`] with every fault of the flags at once, or with what the API server says.
pub fn run(args: &CreateArgs, program: &str) -> Result<ExitCode, Failure> {
    let NameArgs { name, cluster: flags } = &args.capture;
    if args.dry_run {
        // Nothing is asked, so this works without a cluster, too.
        let object = object(args, flags.namespace.as_deref())?;
        let yaml = serde_saphyr::to_string(&object)
            .map_err(|error| Failure::new(ExitCode::Failed, CreateError::Yaml(error)))?;
        write_stdout(&yaml)?;
        return Ok(ExitCode::Done);
    }
    process::block_on(async {
        object(args, flags.namespace.as_deref())?;
        let cluster = Cluster::connect(flags).await?;
        let object: DynamicObject = serde_json::from_value(object(args, Some(&cluster.namespace))?)
            .map_err(|error| Failure::new(ExitCode::Failed, CreateError::Object(error)))?;
        let capture = cluster.create(name, &object).await?;
        write_stdout(&format!("created {}\n", capture.id()))?;
        say(&format!("next: {program} status {name}{}", flags.typed(&cluster.namespace)));
        Ok(ExitCode::Done)
    })
}

/// Makes the object of the flags; what no flag sets is left to the definition's defaults.
fn object(args: &CreateArgs, namespace: Option<&str>) -> Result<Value, Failure> {
    let fields = [
        ("/retention/maxBytes", args.retention.as_ref().map(|size| json!(size))),
        ("/retention/maxAgeSeconds", args.max_age.map(Value::from)),
        ("/storage/size", args.size.as_ref().map(|size| json!(size))),
        ("/storage/storageClassName", args.storage_class.as_ref().map(|class| json!(class))),
        ("/storage/accessModes", args.access_mode.as_ref().map(|mode| json!([mode]))),
        ("/storage/claimName", args.claim.as_ref().map(|claim| json!(claim))),
        ("/collector/replicas", args.replicas.map(Value::from)),
        ("/stopAfterSeconds", args.stop_after.map(Value::from)),
    ];
    let mut spec = Map::new();
    for (path, value) in fields {
        let Some(value) = value else { continue };
        match path.trim_start_matches('/').split_once('/') {
            Some((outer, inner)) => {
                let group = spec.entry(outer).or_insert_with(|| Value::Object(Map::new()));
                if let Some(group) = group.as_object_mut() {
                    group.insert(inner.to_owned(), value);
                }
            }
            None => {
                spec.insert(path.trim_start_matches('/').to_owned(), value);
            }
        }
    }
    let mut metadata = json!({ "name": args.capture.name });
    if let (Some(namespace), Some(members)) = (namespace, metadata.as_object_mut()) {
        members.insert("namespace".to_owned(), namespace.into());
    }
    let object = json!({ "apiVersion": API_VERSION, "kind": "TraceCapture", "metadata": metadata, "spec": spec });
    match api::parse(&object.to_string()) {
        Ok(_) => Ok(object),
        Err(faults) => Err(refused(&faults)),
    }
}

fn refused(faults: &[Fault]) -> Failure {
    let details = faults.iter().map(|Fault { path, message, .. }| {
        let flag = FLAGS.iter().find(|&&(field, _)| field == path.as_str());
        format!("{}: {message}", flag.map_or(path.as_str(), |&(_, flag)| flag))
    });
    Failure::new(ExitCode::Usage, CreateError::Faults)
        .with_details(details.collect::<Vec<_>>())
        .with_hint("for fields without a flag, add `--dry-run` without those flags, edit, and `kubectl apply -f`")
}
