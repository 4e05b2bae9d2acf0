//! `tracecapture version`: which program this is, for people and for scripts.

use serde::Serialize;

use super::args::{TextOrJson, VersionArgs};
use super::exit::{ExitCode, Failure};
use super::output::{write_json, write_stdout};
use crate::api::API_VERSION;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    version: &'static str,
    api_version: &'static str,
}

/// Writes the version of the program, and that of the resource it reads, to stdout.
///
/// # Errors
/// A [`Failure`] where stdout cannot be written.
pub fn run(args: &VersionArgs) -> Result<ExitCode, Failure> {
    let version = Version { version: env!("CARGO_PKG_VERSION"), api_version: API_VERSION };
    match args.output {
        TextOrJson::Text => write_stdout(&format!("tracecapture {}\n", version.version))?,
        TextOrJson::Json => write_json(&version)?,
    }
    Ok(ExitCode::Done)
}
