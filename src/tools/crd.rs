//! `tracecapture crd`: the custom resource definition for `kubectl apply`.

use super::exit::{ExitCode, Failure};
use super::output::write_stdout;
use crate::api::crd_yaml;

/// Writes the custom resource definition to stdout as YAML.
///
/// # Errors
/// A [`Failure`] where stdout cannot be written.
pub fn run() -> Result<ExitCode, Failure> {
    write_stdout(&crd_yaml())?;
    Ok(ExitCode::Done)
}
