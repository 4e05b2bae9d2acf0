//! What lies in a data directory, as a user sees it: with `verify`, `cat` and `ls`.

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use crate::held::{assert_holds, assert_verified};

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
