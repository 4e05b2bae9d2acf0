//! Links between the pages of the repository lead somewhere, and so do their anchors; commands have the flags that pages name.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders whose pages are for users and developers.
const FOLDERS: [&str; 6] = ["", "charts/tracecapture", "docs", "fuzz", "tests/cluster", "tests/interop"];

#[test]
fn links_and_anchors_lead_somewhere() {
    let mut n_links = 0;
    for page in &pages() {
        for link in links_of(&fs::read_to_string(page).unwrap()) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: {link}", page.display());
            if !anchor.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                assert!(anchors_of(&text).iter().any(|known| known == anchor), "{}: {link}", page.display());
            }
            n_links += 1;
        }
    }
    assert!(n_links > 40, "{n_links}");
}

#[test]
fn commands_have_the_flags_that_pages_name() {
    let (mut helps, mut n_flags) = (BTreeMap::new(), 0);
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap().replace("\\\n", " ");
        for words in text.lines().flat_map(commands_of) {
            let n_names = if matches!(words.as_slice(), ["link", "list" | "revoke", ..]) { 2 } else { 1 };
            let (names, arguments) = words.split_at(n_names);
            let help = helps.entry(names.join(" ")).or_insert_with(|| help_of(names));
            for flag in arguments.iter().filter(|word| word.len() > 1 && word.starts_with('-')) {
                let flag = flag.split('=').next().unwrap();
                let is_known = help.split(|c: char| !(c.is_alphanumeric() || c == '-')).any(|word| word == flag);
                assert!(is_known, "{}: `tracecapture {}` has no {flag}", page.display(), names.join(" "));
                n_flags += 1;
            }
        }
    }
    assert!(n_flags > 30, "{n_flags}");
}

/// Returns the words behind `tracecapture` of each command of ours in a line of a code block, or in code within a line.
fn commands_of(line: &str) -> Vec<Vec<&str>> {
    let line = line.split("  #").next().unwrap();
    let commands =
        line.split(['`', '|', ';', '&', '(', ')', '>', '"']).map(|command| command.trim().trim_start_matches("$ "));
    let ours = commands.filter_map(|command| {
        command.strip_prefix("tracecapture ").or_else(|| command.strip_prefix("kubectl tracecapture "))
    });
    ours.map(|words| words.split_whitespace().collect()).collect()
}

/// Returns what a command says of itself; an error where there is no such command.
fn help_of(names: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tracecapture")).args(names).arg("--help").output().unwrap();
    assert!(output.status.success(), "there is no `tracecapture {}`", names.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    FOLDERS.iter().flat_map(|folder| pages_in(&root.join(folder))).collect()
}

fn pages_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect()
}

/// Returns the targets of links within the repository.
fn links_of(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// Returns the anchors of headings as forges make them: lower case, spaces as dashes, nothing but letters, digits and dashes.
fn anchors_of(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    headings.map(|heading| heading.chars().filter_map(kept).collect()).collect()
}
