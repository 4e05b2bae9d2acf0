//! Keeps `ARCHITECTURE.md` true: imports point down its table of floors, neither modules nor files import
//! one another in a circle, and no floor knows more than it may.
//!
//! Reads the sources as text, with comments, literals and test modules blanked out; a rule that could not
//! fail would be worse than none, so each one is also tried on a made-up source that breaks it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod files;
mod paths;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use files::ties;
use paths::paths;
use source::{Source, root, sources};

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
fn files_make_no_circle_within_their_module_either() {
    assert_eq!(circle(&ties(&sources("src"))), None);
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
fn a_circle_of_files_is_found_through_what_others_hand_on() {
    let found = |files: &[(&str, &str)]| {
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        circle(&ties(&sources)).map(|circle| circle.join(" "))
    };
    let straight =
        [("m/a.rs", "use super::b::{B, c};"), ("m/b.rs", "fn f() { crate::m::a::A::new() }"), ("m/mod.rs", "")];
    assert_eq!(found(&straight).unwrap(), "m/a.rs m/b.rs m/a.rs");
    let face = ("m/mod.rs", "mod a;\nmod b;\npub use a::{A, x as y};\npub(crate) use b::B;");
    let through = [face, ("m/a.rs", "use crate::m::B;"), ("m/b.rs", "use super::{y};")];
    assert_eq!(found(&through).unwrap(), "m/a.rs m/b.rs m/a.rs");
    let alias =
        [face, ("m/a.rs", "use crate::m as other;\nfn f() { other::b::run(); }"), ("m/b.rs", "use super::{a};")];
    assert_eq!(found(&alias).unwrap(), "m/a.rs m/b.rs m/a.rs");
    let module = [face, ("m/a.rs", "use super::b;"), ("m/b.rs", "use super::a;")];
    assert_eq!(found(&module).unwrap(), "m/a.rs m/b.rs m/a.rs");

    // A face that hands on is no tie; one that needs what its child makes is, and so is one that calls the child.
    let child = ("m/a.rs", "use super::Face;");
    assert_eq!(found(&[("m/mod.rs", "mod a;\npub use a::A;\npub struct Face;"), child]), None);
    assert!(found(&[("m/mod.rs", "mod a;\npub use a::A;\npub struct Face(A);"), child]).is_some());
    assert!(found(&[("m/mod.rs", "mod a;\npub struct Face;\nfn f() { a::run(); }"), child]).is_some());
    assert_eq!(found(&[("m/mod.rs", "mod a;\n#[cfg(test)]\nmod tests { use super::a::A; }"), child]), None);
    let tests = [("m/mod.rs", "#[cfg(test)]\n#[expect(x)]\npub(crate) mod a;\npub struct Face(a::A);"), child];
    assert_eq!(found(&tests), None);
    assert_eq!(found(&[("m.rs", "use std::a::A;\nuse other::b;"), ("a.rs", "use crate::m::{self, X};")]), None);
    assert_eq!(found(&[("m/mod.rs", "fn f() { a::run(); }"), ("m/a.rs", "pub(in crate::m) fn run() {}")]), None);
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

/// Tells whether a path begins with `wanted`, written out or within a group such as `std::{fs, io}`.
fn names(text: &str, wanted: &str) -> bool {
    let wanted: Vec<_> = wanted.split("::").collect();
    paths(text)
        .iter()
        .any(|path| path.len() >= wanted.len() && path.iter().zip(&wanted).all(|(name, wanted)| name == wanted))
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

/// Returns a circle of imports, the first of them repeated at the end.
fn circle(imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk<'i>(
        at: &'i str,
        (way, done): (&mut Vec<&'i str>, &mut BTreeSet<&'i str>),
        imports: &'i BTreeMap<String, BTreeSet<String>>,
    ) -> Option<Vec<String>> {
        if let Some(start) = way.iter().position(|passed| *passed == at) {
            return Some(way[start..].iter().copied().chain([at]).map(str::to_owned).collect());
        }
        if done.contains(at) {
            return None;
        }
        way.push(at);
        let found = imports.get(at).into_iter().flatten().find_map(|to| walk(to, (way, done), imports));
        way.pop();
        done.insert(at);
        found
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|start| walk(start, (&mut Vec::new(), &mut done), imports))
}
