//! Which file takes something from which.
//!
//! A path is followed to the file that defines what it names: down the modules that it goes through, and on through
//! `pub use` lines. So a file that only hands a name on is tied to nothing by that; one that also names it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::paths::{Names, leaves, paths};
use crate::source::Source;

/// The most `pub use` lines that a name is followed through.
const MOST_HANDS: usize = 8;

/// A name that a `use` line brings in.
struct Use {
    path: Names,
    name: String,
    is_handed_on: bool,
}

/// The files of a crate.
struct Files<'s> {
    /// By the modules that lead to them.
    sources: BTreeMap<Names, &'s Source>,
    /// What `use` lines bring in: module and name.
    uses: BTreeMap<(Names, String), Use>,
}

/// Returns the paths of the files that each file takes something from.
///
/// Files that only tests have are none: there a face may well use what uses it.
pub(crate) fn ties(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let of_tests: Vec<_> = sources.iter().flat_map(Source::test_modules).collect();
    let is_shipped = |source: &&Source| !of_tests.iter().any(|module| source.modules().starts_with(module));
    let shipped: Vec<_> = sources.iter().filter(is_shipped).collect();
    let mut files = Files { sources: BTreeMap::new(), uses: BTreeMap::new() };
    for source in &shipped {
        files.sources.insert(source.modules(), source);
        let uses = uses(source.shipped()).1.into_iter();
        files.uses.extend(uses.map(|of| ((source.modules(), of.name.clone()), of)));
    }
    shipped.iter().map(|source| (source.path.clone(), files.tied_to(source))).collect()
}

impl Files<'_> {
    fn tied_to(&self, source: &Source) -> BTreeSet<String> {
        let (own, uses) = uses(source.shipped());
        let is_named = |name: &str| own.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name);
        let needed = uses.into_iter().filter(|of| of.is_handed_on && is_named(&of.name)).map(|of| of.path);
        let mut tied: BTreeSet<_> =
            paths(&own).into_iter().chain(needed).filter_map(|path| self.definer(source, &path, MOST_HANDS)).collect();
        tied.remove(&source.path);
        tied
    }

    /// Returns the path of the file that defines what `path` names in `source`; `None` for what is not of this crate.
    fn definer(&self, source: &Source, path: &[String], hands: usize) -> Option<String> {
        let whole = self.whole_path(source, path)?;
        let deepest = (0..=whole.len()).rev().find(|&len| self.sources.contains_key(&whole[..len]))?;
        let (modules, rest) = whole.split_at(deepest);
        let file = self.sources[modules];
        let handed_on = self.brought_in(modules, rest).filter(|of| of.is_handed_on && hands > 0);
        let further = handed_on.and_then(|of| self.definer(file, &[&of.path, &rest[1..]].concat(), hands - 1));
        Some(further.unwrap_or_else(|| file.path.clone()))
    }

    /// Where a path leads to, from the root on: also one that begins with a child, or with what a `use` line brings in.
    fn whole_path(&self, source: &Source, path: &[String]) -> Option<Names> {
        let modules = source.modules();
        let below = |path: &[String]| {
            let here = [modules.as_slice(), path].concat();
            source.whole_path(path).or_else(|| self.sources.contains_key(&here[..=modules.len()]).then_some(here))
        };
        below(path).or_else(|| below(&[&self.brought_in(&modules, path)?.path, &path[1..]].concat()))
    }

    fn brought_in(&self, modules: &[String], path: &[String]) -> Option<&Use> {
        self.uses.get(&(modules.to_vec(), path.first()?.clone()))
    }
}

/// Returns the text without its `pub use` lines, and the names that its `use` lines bring in.
fn uses(text: &str) -> (String, Vec<Use>) {
    let (mut own, mut uses) = (String::new(), Vec::new());
    for statement in text.split_inclusive(';') {
        let Some((before, tree)) = statement.split_once("use ") else {
            own.push_str(statement);
            continue;
        };
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        let visibility = before[line..].trim();
        let is_handed_on = visibility.starts_with("pub");
        if is_handed_on || visibility.is_empty() {
            let leaves = leaves(tree.trim_end_matches(';')).into_iter();
            uses.extend(leaves.map(|(path, name)| Use { path, name, is_handed_on }));
        }
        own.push_str(if is_handed_on { &statement[..line] } else { statement });
    }
    (own, uses)
}
