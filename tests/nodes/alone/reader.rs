//! Somebody who reads a page, and types what it says in a directory with a copy of the sources.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::bundle::Bundle;
use crate::command::run;

pub(super) struct Reader {
    dir: TempDir,
    /// What is read.
    pub(super) text: String,
    left: Vec<String>,
    /// What was set in the shell before.
    settings: String,
}

impl Reader {
    /// Opens a page at a heading; what is read ends before the next one of the same level.
    pub(super) fn open(page: &str, heading: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(root.join(page)).unwrap();
        let (_, text) = page.split_once(&format!("{heading}\n")).unwrap();
        let level = heading.split(' ').next().unwrap();
        let text = text.split(&format!("\n{level} ")).next().unwrap().to_owned();
        let dir = tempfile::tempdir().unwrap();
        for sources in ["charts", "config"] {
            symlink(root.join(sources), dir.path().join(sources)).unwrap();
        }
        let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
        let typed = blocks.collect::<String>().replace("\\\n", " ");
        let lines = typed.lines().map(|line| line.split("  #").next().unwrap().trim().to_owned());
        let left = lines.filter(|line| !line.is_empty()).collect();
        Self { dir, text, left, settings: String::new() }
    }

    /// Sets a variable of the shell for everything that is typed from now on.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.settings.extend(["export ", name, "='", value, "'; "]);
    }

    /// Types the commands of the page up to and including the one that has this; returns what the last one prints.
    #[track_caller]
    pub(super) fn types_until(&mut self, last: &str) -> String {
        loop {
            let command = self.next(last);
            // A variable that one line sets is for the next one.
            let command = if sets_variable(&command) { format!("{command}; {}", self.next(last)) } else { command };
            println!("$ {command}");
            let script = format!("cd '{}' && {}{command}", self.dir.path().display(), self.settings);
            let said = run("bash", &["-c", &script]);
            if command.contains(last) {
                return said;
            }
        }
    }

    /// Passes over a command, which begins so.
    #[track_caller]
    pub(super) fn passes_over(&mut self, command: &str) {
        let next = self.next(command);
        assert!(next.starts_with(command), "the page says `{next}`, not `{command}`");
    }

    /// Checks that the page says nothing more.
    #[track_caller]
    pub(super) fn has_read_all(&self) {
        assert_eq!(self.left, Vec::<String>::new(), "the page says more");
    }

    /// Returns the path of a file that the commands write or read.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Takes a bundle that the commands wrote.
    pub(super) fn file(&self, name: &str) -> Bundle {
        Bundle::of(|file| std::fs::rename(self.path(name), file).unwrap())
    }

    #[track_caller]
    fn next(&mut self, wanted: &str) -> String {
        assert!(!self.left.is_empty(), "the page does not say `{wanted}`");
        self.left.remove(0)
    }
}

fn sets_variable(command: &str) -> bool {
    command.split_once('=').is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_lowercase()))
}
