//! `tracecapture complete`: what the word that is being typed may become. Hidden: completion scripts call it.
//!
//! The answer is in the form that kubectl takes from plugins, and cobra's programs give: a line for each candidate,
//! with what it is behind a tab, and at the end `:4` for "nothing else" or `:0` for "files, too".
//!
//! # Invariants
//! - It takes two seconds at most, and says nothing about what went wrong: a prompt is no place for that.
//!
//! Source: `pkg/cmd/plugin/plugin_completion.go` of kubectl 1.36; `ShellCompDirective` of cobra.

mod lookup;
mod place;

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::{Arg, Args, Command};

use super::cluster::args::{CAPTURE_ARG, ClusterArgs};
use super::exit::{ExitCode, Failure};
use super::output::write_stdout;
use super::process;
use lookup::{Kind, lookup};
use place::{Line, Place};

/// Names of values that are files.
const FILES: [&str; 3] = ["FILE", "DIR", "PATH"];

/// What is to be completed.
#[derive(Debug, Clone, Args)]
pub struct CompleteArgs {
    /// The words behind the program's name, up to the one that is being typed.
    #[arg(last = true, value_name = "WORD")]
    pub words: Vec<OsString>,
}

/// A word and what it is.
struct Candidate {
    word: String,
    about: String,
}

/// What may stand in a place.
struct Offer {
    candidates: Vec<Candidate>,
    /// Whether files may stand there, too.
    files: bool,
}

/// Writes to stdout what the last of the words may become.
///
/// # Errors
/// A [`Failure`] where stdout cannot be written; what cannot be found out is left out.
pub fn run(args: CompleteArgs, mut definition: Command) -> Result<ExitCode, Failure> {
    definition.build();
    let words: Vec<String> = args.words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    process::block_on(async {
        let Line { command, typed, place } = place::read(&definition, &words);
        let flags = cluster_args(typed);
        let (Offer { candidates, files }, before, begun) = match place {
            Place::Flag { begun } => (flag_names(command), String::new(), begun),
            Place::Value { arg, before, begun } => (values(command, arg, flags).await, before, begun),
            Place::Word { position, begun } => (words_at(command, position, flags).await, String::new(), begun),
        };
        let mut text = String::new();
        for Candidate { word, about } in candidates.iter().filter(|candidate| candidate.word.starts_with(&begun)) {
            // Writing to a string cannot fail.
            let _ = if about.is_empty() {
                writeln!(text, "{before}{word}")
            } else {
                writeln!(text, "{before}{word}\t{about}")
            };
        }
        text.push_str(if files { ":0\n" } else { ":4\n" });
        write_stdout(&text)?;
        Ok(ExitCode::Done)
    })
}

/// Returns the cluster that was typed so far.
fn cluster_args(typed: Vec<(String, String)>) -> ClusterArgs {
    let mut args = ClusterArgs::default();
    for (id, value) in typed {
        match &*id {
            "kubeconfig" => args.kubeconfig = Some(value.into()),
            "context" => args.context = Some(value),
            "namespace" => args.namespace = Some(value),
            "user" => args.user = Some(value),
            "groups" => args.groups.push(value),
            _ => {}
        }
    }
    args
}

fn flag_names(command: &Command) -> Offer {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let named =
        shown.filter_map(|arg| Some(Candidate { word: format!("--{}", arg.get_long()?), about: about_arg(arg) }));
    Offer { candidates: named.collect(), files: false }
}

/// Returns what may stand where no flag is: commands, or a value.
async fn words_at(command: &Command, position: usize, flags: ClusterArgs) -> Offer {
    let positionals: Vec<&Arg> = command.get_positionals().collect();
    // The last one may stand there several times.
    let is_many = |arg: &&&Arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    let arg = positionals.get(position).or_else(|| positionals.last().filter(is_many));
    let mut offer = match arg {
        Some(arg) => values(command, arg, flags).await,
        None => Offer { candidates: Vec::new(), files: false },
    };
    if position == 0 {
        let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
        offer.candidates.extend(commands.map(|command| Candidate {
            word: command.get_name().to_owned(),
            about: command.get_about().map(|about| first_line(&about.to_string())).unwrap_or_default(),
        }));
    }
    offer
}

/// Returns what the value of an argument may be.
async fn values(command: &Command, arg: &Arg, flags: ClusterArgs) -> Offer {
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        let shown = possible.iter().filter(|value| !value.is_hide_set());
        let candidates = shown.map(|value| Candidate {
            word: value.get_name().to_owned(),
            about: value.get_help().map(|help| first_line(&help.to_string())).unwrap_or_default(),
        });
        return Offer { candidates: candidates.collect(), files: false };
    }
    let value_name = arg.get_value_names().and_then(|names| names.first()).map(clap::builder::Str::as_str);
    let kind = match (arg.get_id().as_str(), value_name) {
        // A capture that is created has a name that none has yet.
        (CAPTURE_ARG, _) if command.get_name() != "create" => Some(Kind::Captures),
        ("context", _) => Some(Kind::Contexts),
        (_, Some("NAMESPACE")) => Some(Kind::Namespaces),
        _ => None,
    };
    let names = match kind {
        Some(kind) => lookup(kind, flags).await,
        None => Vec::new(),
    };
    let candidates = names.into_iter().map(|word| Candidate { word, about: String::new() });
    Offer { candidates: candidates.collect(), files: value_name.is_some_and(|name| FILES.contains(&name)) }
}

fn about_arg(arg: &Arg) -> String {
    arg.get_help().map(|help| first_line(&help.to_string())).unwrap_or_default()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().replace('\t', " ")
}
