//! Keeps `ARCHITECTURE.md` true: imports point down its table of floors, without circles, and no floor knows more than it may.
//!
//! Reads the sources as text, with comments, literals and test modules blanked out; a rule that could not
//! fail would be worse than none, so each one is also tried on a made-up source that breaks it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Imports between modules of one floor that are wanted; the reverse of each is not.
const BESIDE: &[(&str, &str)] = &[("archive", "otlp"), ("admin", "http1"), ("cli", "tools")];

/// Where files are touched: (beginning of the path, why).
const FILE_SEAMS: &[(&str, &str)] = &[
    ("archive/fs", "the seam that tests replace to make a disk fail"),
    ("tools/capture_file.rs", "reads what a person wrote, which may be a pipe or a link, not a volume of ours"),
];

/// Words that must not stand in a module's paths: (module, word).
const UNKNOWN_TO: &[(&str, &str)] = &[
    ("archive", "tokio"),
    ("archive", "hyper"),
    ("archive", "kube"),
    ("otlp", "tokio"),
    ("otlp", "hyper"),
    ("otlp", "kube"),
    ("otlp", "std::net"),
];

/// What no file says, tests included, and why not.
const NOWHERE: &[(&str, &str)] = &[
    ("#[allow(", "use `#[expect(.., reason = \"..\")]`"),
    ("#![allow(", "use `#![expect(.., reason = \"..\")]`"),
    ("#[ignore", "a test that does not run proves nothing"),
    ("#[should_panic", "assert what happens, not that something did"),
    ("thread::sleep", "wait for the event itself, with a deadline"),
    ("unsafe {", "this crate has no unsafe code"),
];

/// The places that pause, one for each kind of tests: between two looks at a directory, a process or a cluster's
/// objects, which tell nobody when they change.
const POLLS: [(&str, &str); 2] = [("bad_days/client.rs", "thread::sleep"), ("nodes/command.rs", "thread::sleep")];

#[test]
fn imports_point_down() {
    let floors = floors(&fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap());
    let faults: Vec<_> = sources("src").iter().flat_map(|source| import_faults(source, &floors)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn imports_make_no_circle() {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources("src").iter().filter(|source| source.module != "lib") {
        imports.entry(source.module.clone()).or_default().extend(source.imports());
    }
    assert_eq!(circle(&imports), None);
}

#[test]
fn no_floor_knows_more_than_it_may() {
    let faults: Vec<_> = sources("src").iter().flat_map(knowledge_faults).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn no_file_says_what_the_house_forbids() {
    let faults: Vec<_> = ["src", "tests", "benches", "examples"]
        .into_iter()
        .flat_map(sources)
        .flat_map(|source| forbidden_faults(&source))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn each_rule_fails_on_a_source_that_breaks_it() {
    let floors = floors("| 4 | `collector` | x |\n| 2 | `archive`, `otlp`, `api` | x |\n| 1 | `ids` | x |\n");
    let faults = |path: &str, text: &str| import_faults(&Source::new(path, text), &floors);
    assert_eq!(faults("archive/name.rs", "use crate::{ids::Writer, otlp::{Line, batch}};"), Vec::<String>::new());
    assert_eq!(faults("archive/name.rs", "// use crate::collector\nconst A: &str = \"crate::collector\";").len(), 0);
    assert_eq!(faults("archive/name.rs", "#[cfg(test)]\nmod tests { use crate::collector::x; }").len(), 0);
    assert_eq!(
        faults("archive/name.rs", "#[cfg(test)]\n#[expect(a)]\nmod tests { use crate::collector::x; }").len(),
        0
    );
    assert_eq!(faults("archive/name.rs", "#[cfg(test)]\nmod testing;\nuse crate::collector::x;").len(), 1);
    assert_eq!(faults("archive/name.rs", "use crate::collector::Queue;").len(), 1);
    assert_eq!(faults("otlp/walk.rs", "fn f() { crate::archive::name::parse(); }").len(), 1);
    assert_eq!(faults("ids.rs", "use super::{api::X, archive};").len(), 2);
    assert_eq!(faults("archive/fs/real.rs", "use super::super::super::collector;").len(), 1);
    assert_eq!(faults("stray.rs", "").len(), 1);

    let arrow = |from: &str, to: &str| (from.to_owned(), BTreeSet::from([to.to_owned()]));
    assert_eq!(circle(&BTreeMap::from([arrow("a", "b"), arrow("b", "c")])), None);
    let found = circle(&BTreeMap::from([arrow("a", "b"), arrow("b", "c"), arrow("c", "b")]));
    assert_eq!(found, Some(vec!["b".to_owned(), "c".to_owned(), "b".to_owned()]));

    let faults = |path: &str, text: &str| knowledge_faults(&Source::new(path, text)).len();
    assert_eq!(faults("archive/fs.rs", "use std::fs::File;"), 0);
    assert_eq!(faults("archive/writer.rs", "use std::{fs::File, io};"), 1);
    assert_eq!(faults("collector/web.rs", "std::fs::read(path)"), 1);
    assert_eq!(faults("archive/writer.rs", "use tokio::fs;"), 1);
    assert_eq!(forbidden_faults(&Source::new("x.rs", "#[ignore = \"slow\"] fn f() {}")).len(), 1);
}

/// One file: its path below the folder, its top-level module, and its text without comments and literals.
struct Source {
    path: String,
    module: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let module = path.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        Self { path: path.to_owned(), module, text: blank(text) }
    }

    /// The text without its test modules.
    fn shipped(&self) -> &str {
        // Attributes may stand between the condition and the module.
        let is_module = |at: usize| {
            let rest = self.text[at..].lines().skip(1).find(|line| !line.starts_with("#["));
            rest.is_some_and(|line| line.starts_with("mod ") && line.contains('{'))
        };
        let tests = self.text.match_indices("#[cfg(test)]\n").map(|(at, _)| at).find(|&at| is_module(at));
        &self.text[..tests.unwrap_or(self.text.len())]
    }

    /// The top-level modules that the file names, by `crate::` or by enough `super::`.
    fn imports(&self) -> BTreeSet<String> {
        let inner = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let to_root = "super::".repeat(inner.split('/').count());
        let mut named = BTreeSet::new();
        for prefix in ["crate::", &to_root, "tracecapture::"] {
            for path in paths_after(self.shipped(), prefix) {
                named.insert(path.split("::").next().unwrap().to_owned());
            }
        }
        named.remove(&self.module);
        named.remove("super");
        // Names with a capital are items that the crate's root re-exports, such as macros' helpers.
        named.retain(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
        named
    }
}

/// Reads the table of floors: module to floor.
fn floors(page: &str) -> BTreeMap<String, u8> {
    let mut floors = BTreeMap::new();
    for row in page.lines() {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, number, modules, _, _] = cells.as_slice() else { continue };
        let Ok(floor) = number.parse() else { continue };
        floors.extend(modules.split(", ").map(|module| (module.trim_matches('`').to_owned(), floor)));
    }
    assert!(!floors.is_empty(), "the page has no table of floors");
    floors
}

fn import_faults(source: &Source, floors: &BTreeMap<String, u8>) -> Vec<String> {
    let from = &source.module;
    // The library's root only declares its modules.
    if from == "lib" {
        return Vec::new();
    }
    let Some(floor) = floors.get(from) else {
        return vec![format!("{}: module `{from}` has no floor in ARCHITECTURE.md", source.path)];
    };
    let allowed = |to: &String| match floors.get(to) {
        Some(below) => below < floor || BESIDE.contains(&(from, to)),
        None => false,
    };
    let bad = |to: &String| format!("{}: `{from}` imports `{to}`", source.path);
    source.imports().iter().filter(|to| !allowed(to)).map(bad).collect()
}

fn knowledge_faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    let is_seam = FILE_SEAMS.iter().any(|(path, _)| source.path.starts_with(path));
    if !is_seam && names(source.shipped(), "std::fs") {
        faults.push(format!("{}: `std::fs` outside `archive::fs`", source.path));
    }
    for (_, word) in UNKNOWN_TO.iter().filter(|(module, _)| *module == source.module) {
        if names(source.shipped(), word) {
            faults.push(format!("{}: `{}` must not know `{word}`", source.path, source.module));
        }
    }
    faults
}

fn forbidden_faults(source: &Source) -> Vec<String> {
    let said = NOWHERE.iter().filter(|(text, _)| source.text.contains(text));
    let found = said.filter(|(text, _)| !POLLS.contains(&(&*source.path, *text)));
    found.map(|(text, why)| format!("{}: `{text}`: {why}", source.path)).collect()
}

/// Tells whether a path begins with `wanted`, written out or within a group such as `std::{fs, io}`.
fn names(text: &str, wanted: &str) -> bool {
    match wanted.split_once("::") {
        Some((root, item)) => {
            paths_after(text, &format!("{root}::")).iter().any(|path| path.split("::").next() == Some(item))
        }
        None => !paths_after(text, &format!("{wanted}::")).is_empty(),
    }
}

/// Returns what follows each `prefix` that begins a path: one entry, or one for each member of a group.
fn paths_after(text: &str, prefix: &str) -> Vec<String> {
    let in_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut paths = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        if text[..at].ends_with(in_path) {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => paths.extend(members(group)),
            None => paths.push(rest.chars().take_while(|&c| in_path(c)).collect()),
        }
    }
    paths
}

/// Splits the inside of `{a::b, c::{d, e}}`, from behind its opening brace, into `a::b` and `c::`.
fn members(group: &str) -> Vec<String> {
    let (mut depth, mut members) = (0_u32, vec![String::new()]);
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => members.push(String::new()),
            c if depth == 0 && !c.is_whitespace() => members.last_mut().unwrap().push(c),
            _ => {}
        }
    }
    members.retain(|member| !member.is_empty());
    members
}

/// Returns a circle of imports, its first module repeated at the end.
fn circle(imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(at: &str, way: &mut Vec<String>, imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
        if let Some(start) = way.iter().position(|module| module == at) {
            return Some(way[start..].iter().cloned().chain([at.to_owned()]).collect());
        }
        way.push(at.to_owned());
        let found = imports.get(at).into_iter().flatten().find_map(|to| walk(to, way, imports));
        way.pop();
        found
    }
    imports.keys().find_map(|module| walk(module, &mut Vec::new(), imports))
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

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads every Rust file below a folder of the tree; a folder that is not there has none.
fn sources(folder: &str) -> Vec<Source> {
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
