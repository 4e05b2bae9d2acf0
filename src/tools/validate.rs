//! `tracecapture validate`: the rules of the resource definition, without a cluster.

use super::args::ValidateArgs;
use super::capture_file::{CaptureFile, name_of};
use super::escape::escape_for_terminal;
use super::exit::{ExitCode, Failure};
use super::output::write_stdout;

/// Checks a capture file and says on one line that it is valid.
///
/// # Errors
/// A [`Failure`] with every fault at once, or because the file cannot be read.
pub fn run(args: &ValidateArgs) -> Result<ExitCode, Failure> {
    let (_, capture) = CaptureFile::open(&args.file)?;
    let file = name_of(&args.file);
    write_stdout(&format!("{} holds the valid TraceCapture `{}`\n", escape_for_terminal(&file), capture.id()))?;
    Ok(ExitCode::Done)
}
