//! The command line: what was typed becomes one command, one exit code and at most one error.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::telemetry::log;
use crate::tools::args::{
    CatArgs, GenerateArgs, LogArgs, RecoverArgs, RunArgs, StatsArgs, ValidateArgs, VerifyArgs, VersionArgs,
};
use crate::tools::clear::ClearArgs;
use crate::tools::cluster::args::NameArgs;
use crate::tools::complete::CompleteArgs;
use crate::tools::completion::CompletionArgs;
use crate::tools::create::CreateArgs;
use crate::tools::download::DownloadArgs;
use crate::tools::exit::{ExitCode, Failure};
use crate::tools::gateway::GatewayArgs;
use crate::tools::link::LinkArgs;
use crate::tools::list::ListArgs;
use crate::tools::operator::OperatorArgs;
use crate::tools::pod_args::CollectorArgs;
use crate::tools::replay::args::ReplayArgs;
use crate::tools::status::StatusArgs;
use crate::tools::{
    cat, clear, collector, complete, completion, crd, create, download, gateway, generate, link, list, operator,
    recover, replay, resume, run, stats, status, stop, validate, verify, version,
};

/// The name of the binary.
const NAME: &str = "tracecapture";

/// The name under which kubectl finds the binary as a plugin.
const PLUGIN_FILE: &str = "kubectl-tracecapture";

/// What the plugin's user types.
const PLUGIN_NAME: &str = "kubectl tracecapture";

/// Captures every OTLP span durably in chunked tar files, and works with the files afterwards.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 not found or no match, 4 not allowed, 5 integrity failure, 6 partial result, 8 timeout, 9 gone, 130 interrupted."
)]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive OTLP on this machine and store it in a directory.
    Run(RunArgs),
    /// Receive OTLP as a pod of a capture; started by the operator.
    Collector(CollectorArgs),
    /// Reconcile the `TraceCapture` objects of a cluster.
    Operator(OperatorArgs),
    /// Hand out what was captured, to those who may have it.
    Gateway(GatewayArgs),
    /// Check every frame of archives.
    Verify(VerifyArgs),
    /// Write the OTLP JSON lines of archives to stdout.
    Cat(CatArgs),
    /// Summarise the services and operations of archives.
    Stats(StatsArgs),
    /// Send the spans of archives to an OTLP endpoint.
    Replay(ReplayArgs),
    /// Seal what a crash left in a data directory.
    Recover(RecoverArgs),
    /// List the captures of a cluster.
    List(ListArgs),
    /// Tell how a capture of a cluster is, what it holds and what leaves next.
    Status(StatusArgs),
    /// Create a capture in a cluster.
    Create(CreateArgs),
    /// Have a capture of a cluster refuse new spans.
    Stop(NameArgs),
    /// Have a stopped capture take spans in again.
    Resume(NameArgs),
    /// Have what a stopped capture holds deleted.
    Clear(ClearArgs),
    /// Download a capture of a cluster, verified; a cut one goes on with the same command.
    Download(DownloadArgs),
    /// Make a link for people without cluster access, list or revoke links.
    // It has the flags of three commands: boxed, it does not make every command as large.
    Link(Box<LinkArgs>),
    /// Check a `TraceCapture` file, as the cluster would.
    Validate(ValidateArgs),
    /// Print the objects that the operator would apply for a `TraceCapture` file.
    Generate(GenerateArgs),
    /// Print the custom resource definition.
    Crd,
    /// Print a completion script for a shell.
    Completion(CompletionArgs),
    /// Tell what a word that is being typed may become; for completion scripts.
    #[command(hide = true)]
    Complete(CompleteArgs),
    /// Print the version.
    Version(VersionArgs),
}

/// Runs the command that `args` name, the first being the name of the program.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let program = program_name(args.first().map(OsString::as_os_str));
    let parsed = definition(program).try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches));
    let Cli { log, command } = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version arrive here too. A closed stderr leaves nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::Usage } else { ExitCode::Done };
        }
    };
    let outcome = log::init(log.format(), log.verbosity())
        .map_err(|error| Failure::new(ExitCode::Usage, error).with_hint("write a filter such as `RUST_LOG=info`"))
        .and_then(|()| dispatch(command, program));
    outcome.unwrap_or_else(|failure| {
        failure.print(program);
        failure.code()
    })
}

fn dispatch(command: Command, program: &'static str) -> Result<ExitCode, Failure> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Collector(args) => collector::run(&args),
        Command::Operator(args) => operator::run(&args),
        Command::Replay(args) => replay::run(&args, program),
        Command::Gateway(args) => gateway::run(&args),
        Command::Recover(args) => recover::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Cat(args) => cat::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::List(args) => list::run(&args),
        Command::Status(args) => status::run(&args, program),
        Command::Create(args) => create::run(&args, program),
        Command::Stop(args) => stop::run(&args, program),
        Command::Resume(args) => resume::run(&args, program),
        Command::Clear(args) => clear::run(&args, program),
        Command::Download(args) => download::run(args, program),
        Command::Link(args) => link::run(&args, program),
        Command::Validate(args) => validate::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Crd => crd::run(),
        Command::Completion(args) => completion::run(&args, definition(program), program),
        Command::Complete(args) => complete::run(args, definition(program)),
        Command::Version(args) => version::run(&args),
    }
}

/// Returns what clap knows, under the name that the user types.
fn definition(program: &'static str) -> clap::Command {
    Cli::command().name(NAME).bin_name(program)
}

fn program_name(argv0: Option<&OsStr>) -> &'static str {
    let is_plugin = argv0.and_then(|path| Path::new(path).file_stem()).is_some_and(|stem| stem == PLUGIN_FILE);
    if is_plugin { PLUGIN_NAME } else { NAME }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        definition(NAME).debug_assert();
    }

    #[test]
    fn the_plugin_is_known_by_its_file_name() {
        assert_eq!(program_name(Some(OsStr::new("/usr/local/bin/kubectl-tracecapture"))), PLUGIN_NAME);
        assert_eq!(program_name(Some(OsStr::new("./target/debug/tracecapture"))), NAME);
        assert_eq!(program_name(None), NAME);
    }
}
