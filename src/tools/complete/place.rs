//! Where in a command line the cursor stands, as far as what is typed so far tells. Pure.

use clap::{Arg, Command};

/// What was typed, up to the word that is not whole yet.
pub(super) struct Line<'a> {
    /// The command that the word belongs to.
    pub(super) command: &'a Command,
    /// Values so far, with the id of their argument.
    pub(super) typed: Vec<(String, String)>,
    /// What the word is to become.
    pub(super) place: Place<'a>,
}

/// What a word is to become.
pub(super) enum Place<'a> {
    /// The name of a flag.
    Flag { begun: String },
    /// The value of an argument; `before` is a part of the same word.
    Value { arg: &'a Arg, before: String, begun: String },
    /// A command, or the value of an argument without a name.
    Word { position: usize, begun: String },
}

/// The way through the words.
struct Walk<'a> {
    command: &'a Command,
    typed: Vec<(String, String)>,
    /// The argument whose value comes next.
    pending: Option<&'a Arg>,
    /// How many values without a name the command has so far.
    position: usize,
    /// Whether `--` was typed.
    no_flags: bool,
}

/// Reads a line; its last word is the one that is being typed.
pub(super) fn read<'a>(root: &'a Command, words: &[String]) -> Line<'a> {
    let mut walk = Walk { command: root, typed: Vec::new(), pending: None, position: 0, no_flags: false };
    let (last, before) = words.split_last().map_or(("", words), |(last, before)| (last.as_str(), before));
    for word in before {
        walk.step(word);
    }
    let place = walk.place(last);
    Line { command: walk.command, typed: walk.typed, place }
}

impl<'a> Walk<'a> {
    fn step(&mut self, word: &str) {
        if let Some(arg) = self.pending {
            // Bash makes a word of its own of the sign in `--flag=value`.
            if word != "=" {
                self.note(arg, word);
                self.pending = None;
            }
            return;
        }
        if self.no_flags || !word.starts_with('-') || word == "-" {
            self.pass(word);
        } else if word == "--" {
            self.no_flags = true;
        } else if let Some(flag) = word.strip_prefix("--") {
            self.long(flag);
        } else {
            self.short(word.trim_start_matches('-'));
        }
    }

    /// Takes a word that is no flag: the command goes on with it, or has it as a value.
    fn pass(&mut self, word: &str) {
        let found = self.command.find_subcommand(word).filter(|_| self.position == 0 && !self.no_flags);
        match found {
            Some(command) => self.command = command,
            None => self.position += 1,
        }
    }

    fn long(&mut self, flag: &str) {
        let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        match (self.find(|arg| arg.get_long() == Some(name)), value) {
            (Some(arg), Some(value)) => self.note(arg, value),
            (arg, None) => self.pending = arg,
            (None, Some(_)) => {}
        }
    }

    /// Takes flags of one letter each, of which the last one may have its value behind it.
    fn short(&mut self, flags: &str) {
        for (at, letter) in flags.char_indices() {
            let Some(arg) = self.find(|arg| arg.get_short() == Some(letter)) else { continue };
            match flags.get(at + letter.len_utf8()..).map(|rest| rest.strip_prefix('=').unwrap_or(rest)) {
                None | Some("") => self.pending = Some(arg),
                Some(value) => self.note(arg, value),
            }
            return;
        }
    }

    /// Finds a flag that has a value.
    fn find(&self, is_meant: impl Fn(&Arg) -> bool) -> Option<&'a Arg> {
        self.command.get_arguments().find(|arg| is_meant(arg) && arg.get_action().takes_values())
    }

    fn note(&mut self, arg: &Arg, value: &str) {
        self.typed.push((arg.get_id().to_string(), value.to_owned()));
    }

    fn place(&self, last: &str) -> Place<'a> {
        let begun = last.to_owned();
        if let Some(arg) = self.pending {
            let begun = if last == "=" { String::new() } else { begun };
            return Place::Value { arg, before: String::new(), begun };
        }
        if self.no_flags || !last.starts_with('-') {
            return Place::Word { position: self.position, begun };
        }
        let valued = last.split_once('=').and_then(|(flag, value)| {
            let name = flag.strip_prefix("--")?;
            Some((self.find(|arg| arg.get_long() == Some(name))?, format!("{flag}="), value.to_owned()))
        });
        match valued {
            Some((arg, before, begun)) => Place::Value { arg, before, begun },
            None => Place::Flag { begun },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;

    fn definition() -> Command {
        let namespace = || Arg::new("namespace").long("namespace").short('n');
        let quiet = Arg::new("quiet").short('q').action(ArgAction::SetTrue);
        let link = Command::new("link").arg(namespace()).arg(quiet).arg(Arg::new("capture"));
        let link = link.subcommand(Command::new("list").arg(namespace()).arg(Arg::new("capture")));
        let mut root = Command::new("tracecapture").subcommand(link);
        root.build();
        root
    }

    /// Reads a line of words; says the command, the namespace that was typed and the place.
    #[track_caller]
    fn check(line: &str, expected: &str) {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let definition = definition();
        let Line { command, typed, place } = read(&definition, &words);
        let place = match place {
            Place::Flag { begun } => format!("flag `{begun}`"),
            Place::Value { arg, before, begun } => format!("value of {} `{before}` `{begun}`", arg.get_id()),
            Place::Word { position, begun } => format!("word {position} `{begun}`"),
        };
        let typed: Vec<_> = typed.into_iter().map(|(id, value)| format!("{id}={value}")).collect();
        assert_eq!(format!("{} [{}] {place}", command.get_name(), typed.join(" ")), expected, "{line}");
    }

    #[test]
    fn commands_flags_and_values_are_told_apart() {
        check("", "tracecapture [] word 0 ``");
        check("li", "tracecapture [] word 0 `li`");
        check("link ", "link [] word 0 ``");
        check("link che", "link [] word 0 `che`");
        check("link list ", "list [] word 0 ``");
        check("link checkout ", "link [] word 1 ``");
        check("link checkout list ", "link [] word 2 ``");
        check("link -", "link [] flag `-`");
        check("link --na", "link [] flag `--na`");
        check("link -- --na", "link [] word 0 `--na`");
        check("link -- list ", "link [] word 1 ``");
    }

    #[test]
    fn values_of_flags_are_found_however_they_are_written() {
        check("link -n ", "link [] value of namespace `` ``");
        check("link --namespace sh", "link [] value of namespace `` `sh`");
        check("link --namespace=sh", "link [] value of namespace `--namespace=` `sh`");
        check("link --namespace = sh", "link [] value of namespace `` `sh`");
        check("link --namespace =", "link [] value of namespace `` ``");
        for typed in
            ["-n shop", "-nshop", "-n=shop", "--namespace shop", "--namespace=shop", "--namespace = shop", "-qn shop"]
        {
            check(&format!("link {typed} "), "link [namespace=shop] word 0 ``");
        }
        check("link -q -x --unknown=1 list -n shop ", "list [namespace=shop] word 0 ``");
    }
}
