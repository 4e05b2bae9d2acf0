//! `tracecapture completion`: scripts that complete commands, flags and names in a shell.
//!
//! Those of bash, zsh, fish and kubectl ask `tracecapture complete` each time, and so know the captures that there are.

use clap::{Args, ValueEnum};
use clap_complete::Shell as StaticShell;

use super::exit::{ExitCode, Failure};
use super::output::write_stdout;

/// Stands for the name of the program.
const PROGRAM: &str = "PROGRAM";

/// Stands for the name of the program as a part of a function's name.
const FUNCTION: &str = "FUNCTION";

const BASH: &str = r#"# bash completion of PROGRAM: source it, or put it into a file of that name where bash-completion finds it.
_FUNCTION() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :0) compopt -o default ;;
            :*) ;;
            *) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done < <("$1" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null </dev/null)
}
complete -F _FUNCTION PROGRAM
"#;

const ZSH: &str = r#"#compdef PROGRAM
# zsh completion of PROGRAM: source it, or put it as `_PROGRAM` into a directory of `fpath`.
_FUNCTION() {
    local line files=
    local -a found
    while IFS= read -r line; do
        case $line in
            :0) files=1 ;;
            :*) ;;
            *$'\t'*) found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
            *) found+=("${line//:/\\:}") ;;
        esac
    done < <("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null </dev/null)
    _describe 'PROGRAM' found
    [[ -z $files ]] || _files
}
if [[ ${funcstack[1]} == _PROGRAM ]]; then
    _FUNCTION "$@"
else
    compdef _FUNCTION PROGRAM
fi
"#;

const FISH: &str = r"# fish completion of PROGRAM: source it, or put it as `PROGRAM.fish` into a directory of `fish_complete_path`.
function __FUNCTION
    set -l words (commandline -opc) (commandline -ct)
    for line in (command $words[1] complete -- $words[2..-1] 2>/dev/null </dev/null)
        switch $line
            case ':0'
                __fish_complete_path (commandline -ct)
            case ':*'
            case '*'
                echo $line
        end
    end
end
complete -c PROGRAM -f -a '(__FUNCTION)'
";

const KUBECTL: &str = r#"#!/bin/sh
# kubectl runs this to complete `kubectl tracecapture`: put it as `kubectl_complete-tracecapture`, executable, into the PATH.
exec kubectl-tracecapture complete -- "$@" 2>/dev/null </dev/null
"#;

/// The flags of `completion`.
#[derive(Debug, Clone, Args)]
pub struct CompletionArgs {
    /// The shell that reads the script; `kubectl` for the file `kubectl_complete-tracecapture` in the `PATH`.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Who reads a completion script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// Elvish; names of captures are not completed there.
    Elvish,
    /// Fish.
    Fish,
    /// kubectl, which asks on behalf of its own shell.
    Kubectl,
    /// `PowerShell`; names of captures are not completed there.
    Powershell,
    /// Zsh.
    Zsh,
}

/// Writes the completion script of `definition` for the shell of `args` to stdout.
///
/// # Errors
/// A [`Failure`] where stdout cannot be written.
pub fn run(args: &CompletionArgs, mut definition: clap::Command, program: &str) -> Result<ExitCode, Failure> {
    // The plugin is completed under the name of its file, which holds no space.
    let program = program.replace(' ', "-");
    let mut fixed = |shell: StaticShell| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut definition, &program, &mut script);
        String::from_utf8_lossy(&script).into_owned()
    };
    let own = |script: &str| script.replace(PROGRAM, &program).replace(FUNCTION, &program.replace('-', "_"));
    let script = match args.shell {
        Shell::Bash => own(BASH),
        Shell::Zsh => own(ZSH),
        Shell::Fish => own(FISH),
        Shell::Kubectl => own(KUBECTL),
        Shell::Elvish => fixed(StaticShell::Elvish),
        Shell::Powershell => fixed(StaticShell::PowerShell),
    };
    write_stdout(&script)?;
    Ok(ExitCode::Done)
}
