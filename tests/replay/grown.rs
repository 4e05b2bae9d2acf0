//! What was added between two replays with one checkpoint: all of it is sent, and nothing else.

use std::path::Path;

use tempfile::TempDir;
use tracecapture::archive::frame::Compression;
use tracecapture::archive::name::ChunkState::{InProgress, Recovering, Sealed};

use crate::chunks::{Built, SPAN, Span, append, bundle};
use crate::endpoint::Endpoint;
use crate::support::output;

/// Files by name, with what they hold; `None` removes one.
type Files<'a> = &'a [(String, Option<Vec<u8>>)];

/// The `n`th chunk, with a frame for each span.
fn chunk(n: u32, spans: &[&str]) -> Built {
    let spans: Vec<Span<'_>> = spans.iter().zip(1..).map(|(name, trace)| Span { name, trace, ..SPAN }).collect();
    Built::new(n, Compression::Zstd, &spans.chunks(1).collect::<Vec<_>>())
}

/// A data directory's file of a chunk that is written to.
fn open(n: u32, spans: &[&str]) -> (String, Option<Vec<u8>>) {
    let chunk = chunk(n, spans);
    (format!("d/{}", chunk.file(InProgress)), Some(chunk.open))
}

/// A data directory's file of a sealed chunk.
fn sealed(n: u32, spans: &[&str]) -> (String, Option<Vec<u8>>) {
    let chunk = chunk(n, spans);
    (format!("d/{}", chunk.file(Sealed)), Some(chunk.sealed()))
}

fn without(mut file: (String, Option<Vec<u8>>)) -> (String, Option<Vec<u8>>) {
    file.1 = None;
    file
}

fn lines(name: &str, spans: &[&str]) -> (String, Option<Vec<u8>>) {
    let lines: String = spans.iter().map(|name| Span { name, ..SPAN }.line()).collect();
    (name.to_owned(), Some(lines.into_bytes()))
}

fn write(directory: &Path, files: Files<'_>) {
    for (name, content) in files {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match content {
            Some(content) => std::fs::write(path, content).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
    }
}

/// Replays `paths` with `before` in them, then with `after`; checks what the second one and a third one send.
///
/// The second one ends with `code` and says `stderr`, as does the third.
fn check(paths: &[&str], before: Files<'_>, after: Files<'_>, sent: &[&str], (code, stderr): (i32, &str)) {
    let files = TempDir::new().unwrap();
    let endpoint = Endpoint::start(&[]);
    let at = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let replay = || {
        let mut words = vec!["replay".to_owned()];
        words.extend(paths.iter().map(|path| at(path)));
        words.extend(["--to", endpoint.url(), "--checkpoint", &at("checkpoint")].map(str::to_owned));
        let done = output(&words.iter().map(String::as_str).collect::<Vec<_>>());
        (done.status.code(), endpoint.taken(), String::from_utf8(done.stderr).unwrap())
    };
    write(files.path(), before);
    let (first, names, said) = replay();
    assert!(first == Some(0) && !names.is_empty() && said.is_empty(), "{names:?}: {said}");
    write(files.path(), after);
    for expected in [sent, &[]] {
        let (found, names, said) = replay();
        assert_eq!(
            (found, names.iter().map(String::as_str).collect::<Vec<_>>().as_slice()),
            (Some(code), expected),
            "{said}"
        );
        assert!(said.contains(stderr) && said.is_empty() == stderr.is_empty(), "{said}");
    }
}

#[test]
fn every_chunk_that_is_written_to_is_gone_on_with() {
    let (a, b) = (open(1, &["a1", "a2"]), open(2, &["b1"]));
    let before = [a.clone(), b.clone()];
    check(&["d"], &before, &[open(1, &["a1", "a2", "a3"])], &["a3"], (0, ""));
    check(&["d"], &before, &[open(1, &["a1", "a2", "a3"]), open(2, &["b1", "b2"])], &["a3", "b2"], (0, ""));
    let since = [sealed(1, &["a1", "a2", "a3"]), without(a.clone()), sealed(2, &["b1"]), without(b)];
    check(&["d"], &before, &since, &["a3"], (0, ""));
    let grown = chunk(1, &["a1", "a2", "a3"]);
    let since = [without(a), (format!("d/{}", grown.file(Recovering)), Some(grown.open))];
    check(&["d"], &before, &since, &["a3"], (0, ""));
}

#[test]
fn a_chunk_that_sorts_before_those_that_are_done_is_sent() {
    let before = [sealed(1, &["a1"]), open(3, &["c1"])];
    check(&["d"], &before, &[open(2, &["b1", "b2"])], &["b1", "b2"], (0, ""));
}

#[test]
fn a_newer_bundle_under_the_old_name_is_gone_on_with() {
    let growing = bundle(&[chunk(1, &["a1"]).open, chunk(2, &["b1", "b2"]).open]);
    let newer = bundle(&[chunk(1, &["a1", "a2", "a3"]).members(), chunk(2, &["b1", "b2", "b3"]).open]);
    let file = |bundle| [("x.tar".to_owned(), Some(bundle))];
    check(&["x.tar"], &file(growing.clone()), &file(newer), &["a2", "a3", "b3"], (0, ""));
    let cut = growing[..growing.len() - 2_048].to_vec();
    check(&["x.tar"], &file(growing), &file(cut), &[], (5, "cut short"));
}

#[test]
fn parts_of_one_chunk_in_several_bundles_are_no_copies() {
    let file = |name: &str, spans: &[&str]| (format!("d/{name}"), Some(bundle(&[chunk(1, spans).open])));
    check(&["d"], &[file("cart.tar", &["a1"])], &[file("shop.tar", &["s1", "s2"])], &["s1", "s2"], (0, ""));
}

#[test]
fn members_of_others_between_chunks_are_counted_apart() {
    let lines = |spans: &[&str]| lines("", spans).1.unwrap();
    let mut tar = Vec::new();
    append(&mut tar, "x.jsonl", &lines(&["x1"]));
    tar.extend(chunk(1, &["a1"]).open);
    let mut grown = tar.clone();
    append(&mut grown, "y.jsonl", &lines(&["y1"]));
    let file = |tar| [("x.tar".to_owned(), Some(tar))];
    check(&["x.tar"], &file(tar), &file(grown), &["y1"], (0, ""));
}

#[test]
fn earlier_files_and_paths_are_gone_on_with() {
    let before = [lines("d/a.jsonl", &["a1"]), lines("d/b.jsonl", &["b1"]), lines("c.jsonl", &["c1"])];
    let after = [lines("d/a.jsonl", &["a1", "a2"]), lines("d/a0.jsonl", &["a3"])];
    check(&["d", "c.jsonl"], &before, &after, &["a2", "a3"], (0, ""));
}

#[test]
fn a_file_that_was_replaced_is_told() {
    let before = [lines("a.jsonl", &["a1", "a2"])];
    let said = "it holds less than was sent of it";
    check(&["a.jsonl"], &before, &[lines("a.jsonl", &["n1"])], &[], (5, said));
}

#[test]
fn an_earlier_path_that_is_gone_is_told_and_holds_up_nothing() {
    let before = [lines("a.jsonl", &["a1"]), lines("b.jsonl", &["b1"])];
    let after = [without(before[0].clone()), lines("b.jsonl", &["b1", "b2"])];
    check(&["a.jsonl", "b.jsonl"], &before, &after, &["b2"], (6, "cannot find"));
}

#[test]
fn behind_a_chunk_that_retention_took_it_goes_on() {
    let (a, b) = (sealed(1, &["a1"]), open(2, &["b1"]));
    let after = [without(b.clone()), sealed(3, &["c1"])];
    let said = "is gone, what was not sent of it is lost";
    let files = TempDir::new().unwrap();
    let endpoint = Endpoint::start(&[]);
    let (data, checkpoint) = (files.path().join("d"), files.path().join("checkpoint"));
    let flags = ["--to", endpoint.url(), "--checkpoint", checkpoint.to_str().unwrap()];
    let replay = || output(&[&["replay", data.to_str().unwrap()], flags.as_slice()].concat());
    write(files.path(), &[a, b]);
    replay();
    assert_eq!(endpoint.taken(), ["a1", "b1"]);
    write(files.path(), &after);
    let done = replay();
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert_eq!((done.status.code(), endpoint.taken()), (Some(0), vec!["c1".to_owned()]), "{stderr}");
    assert!(stderr.contains(said), "{stderr}");
}

#[test]
fn a_checkpoint_of_an_earlier_version_is_refused_with_its_version() {
    let files = TempDir::new().unwrap();
    let checkpoint = files.path().join("checkpoint");
    std::fs::write(&checkpoint, r#"{"format":1,"paths":["x"],"to":"http://h","shiftNanos":"0"}"#).unwrap();
    let done = output(&["replay", "x", "--to", "http://h", "--checkpoint", checkpoint.to_str().unwrap()]);
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.code() == Some(2) && stderr.contains("has format 1, this program reads 2"), "{stderr}");
}
