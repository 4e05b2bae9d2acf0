//! `tracecapture generate`: the objects that the operator would apply, without a cluster.

use thiserror::Error;

use super::args::GenerateArgs;
use super::capture_file::{CaptureFile, name_of};
use super::exit::{ExitCode, Failure};
use super::output::write_stdout;
use crate::operator::build::{BuildError, Context, Object, build};

/// Why nothing was printed. No retry helps before the file is edited.
#[derive(Debug, Error)]
enum GenerateError {
    /// The capture makes no objects, for reasons in detail.
    #[error("{name} makes no pods: {n_faults} {}", if *n_faults == 1 { "fault" } else { "faults" })]
    Faults {
        /// The file, for people.
        name: String,
        /// How many faults there are.
        n_faults: usize,
    },
    /// The objects have no YAML form.
    #[error("cannot write the objects as YAML")]
    Yaml(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Writes the objects of a capture file to stdout, as YAML documents in the order in which they are applied.
///
/// # Errors
/// A [`Failure`] with every fault at once, or because the file cannot be read.
pub fn run(args: &GenerateArgs) -> Result<ExitCode, Failure> {
    let (_, capture) = CaptureFile::open(&args.file)?;
    let context = Context {
        image: &args.image,
        image_pull_policy: args.image_pull_policy.as_deref(),
        image_pull_secrets: &args.image_pull_secrets,
        grant_keys: &args.grant_keys,
        installation_namespace: &args.namespace,
        claim_size: None,
    };
    let resources = build(&capture, &context).map_err(|error| refused(error, name_of(&args.file)))?;
    let objects = resources.objects().map_err(|error| no_yaml(Box::new(error)))?;
    let documents: Result<Vec<String>, _> = objects.iter().map(document).collect();
    write_stdout(&documents.map_err(|error| no_yaml(Box::new(error)))?.concat())?;
    Ok(ExitCode::Done)
}

fn document(object: &Object) -> Result<String, serde_saphyr::ser::Error> {
    Ok(format!("---\n{}", serde_saphyr::to_string(&object.body)?))
}

fn refused(error: BuildError, name: String) -> Failure {
    let details: Vec<String> = error.faults().iter().map(ToString::to_string).collect();
    if details.is_empty() {
        return no_yaml(Box::new(error));
    }
    let hint = "correct these fields; the operator would say the same in the condition `Ready`";
    Failure::new(ExitCode::Failed, GenerateError::Faults { name, n_faults: details.len() })
        .with_details(details)
        .with_hint(hint)
}

fn no_yaml(source: Box<dyn std::error::Error + Send + Sync>) -> Failure {
    Failure::new(ExitCode::Failed, GenerateError::Yaml(source))
}
