//! Sources as text, with comments, literals and test modules blanked out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::paths::{Names, paths};

/// One file: its path below the folder, its top-level module, and its text without comments and literals.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) module: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let module = path.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        Self { path: path.to_owned(), module, text: blank(text) }
    }

    /// The text without its test modules.
    pub(crate) fn shipped(&self) -> &str {
        let inline = self.for_tests().find(|(_, item)| item.starts_with("mod ") && item.contains('{'));
        &self.text[..inline.map_or(self.text.len(), |(at, _)| at)]
    }

    /// The modules that lead to files which only tests have, as this one declares them.
    pub(crate) fn test_modules(&self) -> impl Iterator<Item = Names> {
        let declared = |item: &str| item.split_once("mod ")?.1.strip_suffix(';').map(str::to_owned);
        self.for_tests().filter_map(move |(_, item)| Some([self.modules(), vec![declared(item)?]].concat()))
    }

    /// What only tests have: where its condition stands, and the first line of it.
    fn for_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.match_indices("#[cfg(test)]\n").filter_map(|(at, _)| {
            // Attributes may stand between the condition and the item.
            self.text[at..].lines().skip(1).find(|line| !line.starts_with("#[")).map(|item| (at, item))
        })
    }

    /// The modules that lead to the file, its own the last; none for the root of the library.
    pub(crate) fn modules(&self) -> Vec<String> {
        let inner = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        inner.split('/').filter(|_| inner != "lib").map(ToOwned::to_owned).collect()
    }

    /// Where a path leads to, from the root on; `None` where it begins with neither `crate`, `self` nor `super`.
    pub(crate) fn whole_path(&self, path: &[String]) -> Option<Names> {
        let (first, mut rest) = path.split_first()?;
        let mut at = self.modules();
        match first.as_str() {
            "crate" | "tracecapture" => at.clear(),
            "self" => {}
            "super" => drop(at.pop()?),
            _ => return None,
        }
        while let Some((_, further)) = rest.split_first().filter(|(name, _)| *name == "super") {
            at.pop()?;
            rest = further;
        }
        Some([&at, rest].concat())
    }

    /// The top-level modules that the file names, by `crate::` or by enough `super::`.
    pub(crate) fn imports(&self) -> BTreeSet<String> {
        let mut named: BTreeSet<_> =
            paths(self.shipped()).iter().filter_map(|path| self.whole_path(path)?.into_iter().next()).collect();
        named.remove(&self.module);
        // Names with a capital are items that the crate's root re-exports, such as macros' helpers.
        named.retain(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
        named
    }
}

/// Replaces comments and the inside of literals by blanks, line ends kept.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let dead = dead_len(rest, out.ends_with(|c: char| c.is_alphanumeric() || c == '_'));
        let taken = dead.max(first.len_utf8());
        let piece = &rest[..taken];
        match dead {
            0 => out.push_str(piece),
            _ => out.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
        }
        rest = &rest[taken..];
    }
    out
}

/// Returns the length of the comment or literal that begins `rest`, 0 where none does.
fn dead_len(rest: &str, within_word: bool) -> usize {
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return until("*/", 2);
    }
    if let Some(raw) = rest.strip_prefix('r').filter(|_| !within_word) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            return until(&format!("\"{}", "#".repeat(hashes)), 1 + hashes + 1);
        }
    }
    match rest.as_bytes() {
        [b'"', ..] => quoted_len(rest, '"'),
        // A lifetime has no closing quote behind its first character; a character literal has.
        [b'\'', b'\\', ..] => quoted_len(rest, '\''),
        [b'\'', ..] if rest.chars().nth(2) == Some('\'') => rest.char_indices().nth(3).map_or(rest.len(), |(at, _)| at),
        _ => 0,
    }
}

/// Returns the length of a literal up to its closing quote, escapes passed over.
fn quoted_len(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads every Rust file below a folder of the tree; a folder that is not there has none.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let base = root().join(folder);
    let (mut found, mut folders) = (Vec::new(), vec![base.clone()]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&base).unwrap().to_str().unwrap();
                found.push(Source::new(name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}
