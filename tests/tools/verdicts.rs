//! What `verify` says of directories, chunks and bundles.

use std::sync::Arc;

use tracecapture::archive::bundle::{BundleReader, Bundles};
use tracecapture::archive::committed::Committed;
use tracecapture::archive::frame::Compression;
use tracecapture::archive::fs::RealFs;
use tracecapture::archive::manifest::SealedBy;
use tracecapture::archive::name::ChunkState;
use tracecapture::archive::snapshot::{Filter, Scope};
use tracecapture::ids::CaptureId;

use crate::chunks::{Built, append, bundle_with, chunk_name};
use crate::{Files, built, data_directory, run};

#[test]
fn every_golden_directory_gets_its_verdict() {
    let table = [
        ("sealed-zstd", 0, "ok", 12),
        ("sealed-gzip", 0, "ok", 12),
        ("sealed-none", 0, "ok", 12),
        ("torn-zstd", 0, "torn", 10),
        ("torn-gzip", 0, "torn", 10),
        ("torn-none", 0, "torn", 10),
        ("zero-filled-tail", 0, "torn", 10),
        ("damaged-inside", 5, "damaged", 10),
        ("quarantined", 0, "recovered", 10),
    ];
    for (name, code, status, spans) in table {
        let path = format!("{}/tests/golden/v1/{name}", env!("CARGO_MANIFEST_DIR"));
        let (found, stdout, _) = run(&["verify", "-ojson", &path], b"");
        let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((found, &report["chunks"][0]["status"]), (code, &status.into()), "{name}");
        assert_eq!(report["totals"]["spans"], spans, "{name}");
    }
}

#[test]
fn a_recovered_chunk_is_told_from_others() {
    let files = Files::new();
    let built = Built { sealed_by: SealedBy::Recovery, ..built(1, Compression::Zstd) };
    let path = files.write(&built.file(ChunkState::Sealed), &built.sealed());
    let (code, stdout, _) = run(&["verify", &path, "-o", "json"], b"");
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (code, &report["chunks"][0]["status"], &report["totals"]["recovered"]),
        (0, &"recovered".into(), &1.into())
    );
    assert_eq!((&report["totals"]["spans"], &report["totals"]["failed"]), (&3.into(), &0.into()));
}

#[test]
fn an_index_or_manifest_that_says_otherwise_is_damage() {
    let (mut other, files) = (built(1, Compression::Zstd), Files::new());
    other.frames[1].trailer.facts.items += 1;
    let path = files.write(&other.file(ChunkState::Sealed), &other.sealed());
    let (code, stdout, _) = run(&["verify", &path], b"");
    assert_eq!(code, 5);
    assert!(stdout.contains("the index lists 3 frames that are not the 3 found"), "{stdout}");
    assert!(stdout.contains("the manifest says 4 spans, 3 are there"), "{stdout}");
}

#[test]
fn a_bundle_is_held_against_its_manifest() {
    let built = built(1, Compression::Zstd);
    let share = |n: u32, items: u64| format!("{{\"chunk\":\"{}\",\"frames\":3,\"items\":{items}}}", chunk_name(n));
    for (chunks, code, text) in [
        (share(1, 3), 0, "total: 1 chunk (1 ok"),
        (share(1, 4), 5, "the bundle's manifest says 3 frames and 4 spans, 3 and 3 are there"),
        (share(2, 3), 5, "the bundle's manifest does not list it, or it is there twice"),
        (format!("{},{}", share(1, 3), share(2, 1)), 5, "1 chunks that its manifest lists are missing"),
    ] {
        let mut tar = Vec::new();
        append(&mut tar, "manifest.json", format!("{{\"format\":1,\"chunks\":[{chunks}]}}").as_bytes());
        tar.extend_from_slice(&built.sealed());
        let (found, stdout, _) = run(&["verify", "-"], &tar);
        assert_eq!(found, code, "{stdout}");
        assert!(stdout.contains(text), "{stdout}");
    }
}

#[test]
fn a_download_keeps_what_its_manifest_promises() {
    let dir = tempfile::tempdir().unwrap();
    data_directory(dir.path());
    let capture = CaptureId::new("default", "local").unwrap();
    let bundles = Arc::new(Bundles::new(Arc::new(RealFs), dir.path(), capture, Committed::new()));
    let of_service = Filter { service: Some("stock".to_owned()), ..Filter::default() };
    let of_trace = Filter { trace_id: Some(format!("{:032x}", 2).parse().unwrap()), ..Filter::default() };
    for (filter, n_spans) in [(Filter::default(), 3), (of_service, 1), (of_trace, 2)] {
        let bundle = Arc::new(bundles.lay_out(bundles.freeze(&Scope::Bundle(filter.clone())).unwrap()).unwrap());
        let mut tar = vec![0; usize::try_from(bundle.content_len()).unwrap()];
        assert_eq!(BundleReader::new(Arc::clone(&bundles), bundle).read_at(0, &mut tar).unwrap(), tar.len());
        let (code, stdout, _) = run(&["verify", "-"], &tar);
        assert_eq!(code, 0, "{filter:?}: {stdout}");
        assert!(stdout.contains(&format!(" 0 damaged, 0 recovered), {n_spans} spans, ")), "{filter:?}: {stdout}");
    }
}

#[test]
fn what_a_bundle_says_is_missing_is_told() {
    let (built, lost) = (built(1, Compression::Zstd), chunk_name(2));
    let share = format!("{{\"chunk\":\"{}\",\"frames\":3,\"items\":3", built.name);
    let filter = "\"filter\":{\"traceId\":\"00000000000000000000000000000001\"},";
    let unreadable = "its file could not be read where the bundle was made";
    for (manifest, text) in [
        (format!("{{\"chunks\":[{share}}}],\"unreadable\":[\"{lost}\"]}}"), unreadable),
        (format!("{{{filter}\"chunks\":[],\"unreadable\":[\"{lost}\"]}}"), unreadable),
        (format!("{{\"chunks\":[{share},\"damaged\":true}}]}}"), "its file was damaged where the bundle was made"),
    ] {
        let tar = bundle_with(&manifest, &[built.members()]);
        let (code, stdout, _) = run(&["verify", "-"], &tar);
        assert_eq!(code, 5, "{manifest}: {stdout}");
        assert!(stdout.contains(text) && stdout.contains(" 1 damaged, 0 recovered), 3 spans, "), "{stdout}");
        let (code, json, _) = run(&["verify", "-", "-o", "json"], &tar);
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((code, &report["totals"]["failed"], &report["totals"]["atSource"]), (5, &1.into(), &1.into()));
    }
}

#[test]
fn a_chunk_that_was_damaged_before_it_was_downloaded_is_told() {
    let dir = tempfile::tempdir().unwrap();
    data_directory(dir.path());
    let path = dir.path().join("chunks").join(chunk_name(1).file_name(ChunkState::Sealed));
    let held = std::fs::read(&path).unwrap();
    std::fs::write(&path, &held[..held.len() - 700]).unwrap();
    let capture = CaptureId::new("default", "local").unwrap();
    let bundles = Arc::new(Bundles::new(Arc::new(RealFs), dir.path(), capture, Committed::new()));
    let snapshot = bundles.freeze(&Scope::Bundle(Filter::default())).unwrap();
    let bundle = Arc::new(bundles.lay_out(snapshot).unwrap());
    let mut tar = vec![0; usize::try_from(bundle.content_len()).unwrap()];
    assert_eq!(BundleReader::new(Arc::clone(&bundles), bundle).read_at(0, &mut tar).unwrap(), tar.len());
    let (code, stdout, _) = run(&["verify", "-"], &tar);
    let (row, rest) = stdout.split_once('\n').unwrap();
    assert!(row.starts_with(&format!("damaged    {}  2 spans", chunk_name(1))), "{stdout}");
    assert!(row.contains("its file was damaged where the bundle was made"), "{stdout}");
    assert_eq!((code, rest.contains("(1 ok, 0 torn, 1 damaged, 0 recovered), 3 spans")), (5, true), "{stdout}");
}
