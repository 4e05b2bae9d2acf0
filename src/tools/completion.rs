//! `tracecapture completion`: scripts that complete commands and flags in a shell.

use super::args::CompletionArgs;
use super::exit::{ExitCode, Failure};
use super::output::write_stdout;

/// Writes the completion script of `definition` for the shell of `args` to stdout.
///
/// # Errors
/// A [`Failure`] where stdout cannot be written.
pub fn run(args: &CompletionArgs, mut definition: clap::Command, program: &str) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    // The plugin is completed under the name of its file, which holds no space.
    clap_complete::generate(args.shell, &mut definition, program.replace(' ', "-"), &mut script);
    write_stdout(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::Done)
}
