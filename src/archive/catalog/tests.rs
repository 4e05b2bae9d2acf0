//! Directories with everything in them that there can be, bad inodes included.

use rustix::io::Errno;

use super::*;
use crate::archive::fs::{RealFs, SimFs};
use crate::archive::testing::chunk;

fn prepared() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    layout::prepare(&RealFs, dir.path(), &"a".parse().unwrap()).unwrap();
    dir
}

fn put(path: &Path, len: usize) {
    layout::remove_if_there(&RealFs, path).unwrap();
    RealFs.create_new(path).unwrap().write_all_at(&vec![1; len], 0).unwrap();
}

#[test]
fn tells_what_is_what_and_sorts_by_age() {
    let dir = prepared();
    let (old, young) = (chunk("a", 1, 0), chunk("b", 2, 5));
    let chunks = layout::chunks_dir(dir.path());
    put(&chunks.join(young.file_name(ChunkState::InProgress)), 3);
    put(&chunks.join(old.file_name(ChunkState::Recovering)), 2);
    put(&chunks.join(old.file_name(ChunkState::Sealed)), 1);
    put(&chunks.join("notes.txt"), 100);
    put(&chunks.join(".nfs0001"), 40);
    let quarantine = layout::quarantine_dir(dir.path());
    let quarantined = layout::quarantine_name(&old, 512, 0);
    put(&quarantine.join(&quarantined), 5);
    put(&quarantine.join(layout::copy_name(&old, 9)), 6);
    let inventory = Catalog::new(dir.path()).read(&RealFs).unwrap();
    let chunks_found: Vec<_> = inventory.chunks.iter().map(|c| (c.name.clone(), c.state, c.len)).collect();
    let expected = [
        (old.clone(), ChunkState::Sealed, 1),
        (old.clone(), ChunkState::Recovering, 2),
        (young, ChunkState::InProgress, 3),
    ];
    assert_eq!(chunks_found, expected);
    assert_eq!(inventory.quarantine, [Quarantined { file_name: quarantined, chunk: old.clone(), offset: 512, len: 5 }]);
    assert_eq!(inventory.temporaries[0].file_name, layout::copy_name(&old, 9));
    assert_eq!(inventory.foreign, [chunks.join("notes.txt")]);
    assert_eq!((inventory.unlinked, inventory.total_bytes()), (1, 1 + 2 + 3 + 5 + 6 + 40));
    assert_eq!(inventory.by_name().map(<[Chunk]>::len).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn asks_for_the_size_of_a_sealed_chunk_once() {
    let dir = prepared();
    let sealed = chunk("a", 1, 0);
    let path = layout::chunk_path(dir.path(), &sealed, ChunkState::Sealed);
    put(&path, 1);
    let mut catalog = Catalog::new(dir.path());
    catalog.read(&RealFs).unwrap();
    put(&path, 9);
    assert_eq!(catalog.read(&RealFs).unwrap().chunks[0].len, 1);
    catalog.forget(&sealed);
    assert_eq!(catalog.read(&RealFs).unwrap().chunks[0].len, 9);
}

/// Checks what is found where looking up one file of a chunk in each state, and of the quarantine, fails so.
#[track_caller]
fn check_unreadable(errno: Errno) {
    let fs = SimFs::new(&["/data", "/data/chunks", "/data/quarantine"]);
    let (bad, good) = (chunk("a", 1, 0), chunk("a", 1, 1));
    for (name, state) in [(&bad, ChunkState::Sealed), (&bad, ChunkState::Recovering), (&good, ChunkState::Sealed)] {
        fs.put(layout::chunk_path(Path::new("/data"), name, state), b"four");
    }
    let quarantined = layout::quarantine_name(&bad, 512, 0);
    let in_quarantine =
        [quarantined.clone(), layout::copy_name(&bad, 9)].map(|name| format!("/data/quarantine/{name}"));
    for path in &in_quarantine {
        fs.put(path, b"four");
    }
    let spoiled: Vec<_> =
        fs.paths().into_iter().filter(|path| !path.ends_with(good.file_name(ChunkState::Sealed))).collect();
    for path in &spoiled {
        fs.spoil(path, errno);
    }
    let mut catalog = Catalog::new(Path::new("/data"));
    let inventory = catalog.read(&fs).unwrap();
    let found: Vec<_> = inventory.chunks.iter().map(|c| (&c.name, c.state, c.len, c.unreadable)).collect();
    let expected = [
        (&bad, ChunkState::Sealed, 0, true),
        (&bad, ChunkState::Recovering, 0, true),
        (&good, ChunkState::Sealed, 4, false),
    ];
    assert_eq!(found, expected, "{errno:?}");
    assert!(inventory.unreadable.iter().map(|file| &file.path).eq(&spoiled), "{errno:?}");
    assert_eq!((inventory.quarantine[0].len, inventory.temporaries[0].len), (0, 0));
    // It may be a passing fault: nothing of it is remembered.
    fs.mend();
    let inventory = catalog.read(&fs).unwrap();
    assert_eq!((inventory.total_bytes(), inventory.unreadable), (5 * 4, Vec::new()), "{errno:?}");
}

#[test]
fn a_file_that_alone_cannot_be_looked_up_is_noted_and_the_others_are_read() {
    for errno in [Errno::IO, Errno::UCLEAN, Errno::BADMSG, Errno::ACCESS] {
        check_unreadable(errno);
    }
}

#[test]
fn a_volume_that_is_away_is_an_error() {
    let fs = SimFs::new(&["/data", "/data/chunks", "/data/quarantine"]);
    let path = layout::chunk_path(Path::new("/data"), &chunk("a", 1, 0), ChunkState::Sealed);
    fs.put(&path, b"four");
    fs.spoil(&path, Errno::TIMEDOUT);
    assert_eq!(Catalog::new(Path::new("/data")).read(&fs).unwrap_err().path, path);
}

#[test]
fn a_missing_directory_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let error = Catalog::new(dir.path()).read(&RealFs).unwrap_err();
    assert!(error.to_string().contains("chunks"));
}
