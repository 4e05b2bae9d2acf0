//! The rendered manifests, as objects.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The variable with the folder of what was rendered.
const FOLDER: &str = "TRACECAPTURE_RENDERED";

/// Returns every rendered file by its name and its objects; the names are those of `values/`.
pub(crate) fn all() -> Vec<(String, Vec<Value>)> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect();
    files.sort();
    assert!(!files.is_empty(), "nothing was rendered");
    files.iter().map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), read(path))).collect()
}

/// Returns the objects of one rendered file.
pub(crate) fn of(file: &str) -> Vec<Value> {
    read(&folder().join(file))
}

/// Returns what somebody reads who installs with one file of values.
pub(crate) fn notes(file: &str) -> String {
    fs::read_to_string(folder().join(file).with_extension("notes")).unwrap()
}

/// Returns the objects of a file of the repository.
pub(crate) fn of_repository(path: &str) -> Vec<Value> {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
}

/// Returns what every object is told apart by.
pub(crate) fn name_of(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    format!("{} {} {}/{}", text("/apiVersion"), text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}

/// Tells whether Helm makes an object for `helm test` alone.
pub(crate) fn is_hook(object: &Value) -> bool {
    object.pointer("/metadata/annotations/helm.sh~1hook").is_some()
}

fn folder() -> PathBuf {
    env::var_os(FOLDER).map(PathBuf::from).expect("`tests/chart/run` renders the chart and sets TRACECAPTURE_RENDERED")
}

fn read(path: &Path) -> Vec<Value> {
    documents(&fs::read_to_string(path).unwrap())
}

/// Returns the objects of a text with YAML.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let is_content = |line: &str| !line.is_empty() && !line.starts_with('#');
    let documents = format!("\n{text}").split("\n---\n").map(str::to_owned).collect::<Vec<_>>();
    let documents = documents.iter().filter(|document| document.lines().any(is_content));
    documents.map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}
