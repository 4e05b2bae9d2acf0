//! What lies in a data directory, as a user sees it: with `verify`, `cat` and `ls`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use crate::held::assert_verified;
use crate::held::span_ids;

/// Writes a capture of this `spec` (in braces) and returns its path as text.
pub(crate) fn capture(dir: &Path, spec: &str) -> String {
    let path = dir.join("capture.yaml");
    fs::write(&path, capture_text(spec)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The text of a capture.
pub(crate) fn capture_text(spec: &str) -> String {
    format!(
        "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\n\
         metadata: {{name: local, namespace: default}}\nspec: {spec}\n"
    )
}

/// The names in `chunks/` that end so, sorted.
pub(crate) fn chunks(data_dir: &Path, ending: &str) -> Vec<String> {
    let mut names: Vec<String> = listed(&data_dir.join("chunks"))
        .into_iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name.ends_with(ending))
        .collect();
    names.sort();
    names
}

/// What is in a directory; nothing where it is away.
pub(crate) fn listed(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).map(|entries| entries.map(|entry| entry.unwrap().path()).collect()).unwrap_or_default()
}

/// Asserts that an archive verifies and holds every acknowledged span; returns how often each id is there.
#[track_caller]
pub(crate) fn assert_holds(data_dir: &Path, acknowledged: &HashSet<u64>) -> HashMap<u64, usize> {
    assert_verified(data_dir);
    let found = span_ids(data_dir);
    let lost = acknowledged.iter().filter(|id| !found.contains_key(id)).count();
    assert!(lost == 0, "{lost} of {} acknowledged spans are lost", acknowledged.len());
    found
}
