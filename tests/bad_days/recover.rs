//! `tracecapture recover` by hand: on torn leftovers, and beside a writer that lives.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::archive::{assert_holds, chunks};
use crate::client::post_one;
use crate::support::{self, Run};

/// Calls `recover` and returns its exit code and what it printed.
fn recover(args: &[&str], data_dir: &Path) -> (Option<i32>, String) {
    let output = support::output(&[&["recover", data_dir.to_str().unwrap()], args].concat());
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn what_a_kill_left_is_planned_then_sealed_then_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let mut acknowledged = Vec::new();
    for writer in ["a", "b", "c"] {
        let run = Run::start(&["--data-dir", data_dir.to_str().unwrap(), "--writer-id", writer]);
        acknowledged.extend((0..3).map(|_| post_one(&run).0));
        run.kill9();
    }
    // As a crash of the machine leaves it: a torn frame here, zeros there.
    let [a, b, c] = ["a", "b", "c"].map(|writer| {
        let name = chunks(&data_dir, ".inprogress").into_iter().find(|name| name.contains(&format!("_{writer}_")));
        data_dir.join("chunks").join(name.unwrap())
    });
    let append = |path: &Path, bytes: &[u8]| {
        fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
    };
    append(&a, b"\x28\xb5\x2f\xfd torn");
    append(&b, &[0; 5000]);
    let before: Vec<_> = [&a, &b, &c].map(|path| fs::read(path).unwrap()).into();

    let (code, plan) = recover(&["--dry-run"], &data_dir);
    assert_eq!((code, plan.matches("would be sealed with 3 spans").count()), (Some(0), 3), "{plan}");
    let after: Vec<_> = [&a, &b, &c].map(|path| fs::read(path).unwrap()).into();
    assert!(before == after && chunks(&data_dir, "").len() == 3, "a dry run changes nothing");

    let (code, done) = recover(&[], &data_dir);
    assert_eq!((code, done.matches("sealed with 3 spans").count()), (Some(0), 3), "{done}");
    assert_eq!(done.matches("quarantined").count(), 1, "{done}");
    assert_eq!(chunks(&data_dir, "").len(), chunks(&data_dir, ".tar").len());
    assert_holds(&data_dir, &acknowledged.into_iter().collect());
    assert_eq!(recover(&[], &data_dir), (Some(0), "nothing to recover\n".to_owned()));
}

#[test]
fn a_chunk_whose_writer_lives_is_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let run = Run::start(&["--data-dir", data_dir.to_str().unwrap()]);
    let (first, _) = post_one(&run);
    for args in [&["--dry-run"][..], &[]] {
        let (code, said) = recover(args, &data_dir);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("left alone, its writer lives: process {}", run.pid())), "{said}");
    }
    let (second, stored) = post_one(&run);
    assert_eq!(stored.status, 200);
    assert_eq!(chunks(&data_dir, "").len(), 1);
    assert!(run.terminate().success());
    assert_holds(&data_dir, &[first, second].into());
}

#[test]
fn a_directory_that_is_none_is_not_found() {
    let scratch = tempfile::tempdir().unwrap();
    let (code, said) = recover(&[], &scratch.path().join("nowhere"));
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("nowhere"), "{said}");
}
