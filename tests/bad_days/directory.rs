//! Directories that cannot be used, that vanish, and that hold what is none of ours.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;

use crate::archive::{assert_holds, capture, chunks};
use crate::client::{get, message, next_id, post_one, span, wait_until};
use crate::support::{self, Run};

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

#[test]
fn a_directory_that_cannot_be_used_is_a_clear_failure() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    fs::write(&file, "").unwrap();
    // Root may write where others may not, but neither may make directories in these.
    for dir in [file.clone(), file.join("below"), Path::new("/proc/data").to_owned(), Path::new("/sys/data").to_owned()]
    {
        let dir = dir.to_str().unwrap();
        let run = support::output(&["run", "--data-dir", dir, "--web-listen", "127.0.0.1:0"]);
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{said}");
        assert!(said.contains(dir) && said.contains("choose another --data-dir"), "{said}");
        assert!(run.stdout.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_vanishes_is_told_and_used_again_once_it_is_back() {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let capture = capture(scratch.path(), "{recovery: {inactiveSeconds: 1}}");
    let run = Run::start(&["-f", &capture, "--data-dir", data_dir.to_str().unwrap()]);
    let mut grpc = TraceServiceClient::connect(run.grpc().to_owned()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(post_one(&run).1.status, 200);
        fs::remove_dir_all(&data_dir).unwrap();
        // Also without a span that fails.
        wait_until("it is not ready", || get(&run, "/readyz").status == 503);
        let said = get(&run, "/readyz").text();
        assert!(said.contains(data_dir.to_str().unwrap()), "{said}");
        let (_, refused) = post_one(&run);
        assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true), "{refused:?}");
        let status = grpc.export(message(vec![span(next_id(), 0)])).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
        assert_eq!(get(&run, "/livez").status, 200);
        fs::create_dir(&data_dir).unwrap();
        // Whoever goes by this sends nothing before it is ready.
        wait_until("it is ready again", || get(&run, "/readyz").status == 200);
    }
    let (id, stored) = post_one(&run);
    assert_eq!(stored.status, 200);
    // The lock went with the directory and was taken again.
    let free = ["--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--web-listen", "127.0.0.1:0"];
    let second = support::output(&[&["run", "--data-dir", data_dir.to_str().unwrap()], &free[..]].concat());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.code() == Some(1) && said.contains(&format!("process {} on ", run.pid())), "{said}");
    assert!(run.terminate().success());
    assert_holds(&data_dir, &[id].into());
}

#[test]
fn what_is_not_ours_is_left_alone_and_named_once() {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let chunks_dir = data_dir.join("chunks");
    fs::create_dir_all(&chunks_dir).unwrap();
    fs::write(chunks_dir.join("notes.txt"), "mine").unwrap();
    fs::write(scratch.path().join("elsewhere"), "mine, too").unwrap();
    let like_chunks = ["tar", "tar.inprogress", "tar.recovering"]
        .map(|ending| ["directory", "link"].map(|kind| format!("20200101T000000.000Z_{kind}_7f3a_000001.{ending}")));
    for [directory, link] in &like_chunks {
        fs::create_dir(chunks_dir.join(directory)).unwrap();
        symlink(scratch.path().join("elsewhere"), chunks_dir.join(link)).unwrap();
    }
    let spec = "{retention: {maxAgeSeconds: 60}, recovery: {inactiveSeconds: 1}}";
    let run = Run::start(&["-f", &capture(scratch.path(), spec), "--data-dir", data_dir.to_str().unwrap()]);
    let (id, stored) = post_one(&run);
    assert_eq!(stored.status, 200);
    // A sweep of the keeper that came after the request, and those before it.
    wait_until("the keeper has seen the chunk", || {
        get(&run, "/api/v1/captures/default/local").json()["storage"]["inProgressChunks"] == 1
    });
    let log = run.stderr();
    for name in like_chunks.iter().flatten().map(String::as_str).chain(["notes.txt"]) {
        let lines = log.lines().filter(|line| line.contains(&format!("{name}\""))).count();
        assert_eq!(lines, 1, "{name} in {log}");
    }
    assert!(run.terminate().success());
    assert_eq!(fs::read_to_string(chunks_dir.join("notes.txt")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(scratch.path().join("elsewhere")).unwrap(), "mine, too");
    for [directory, link] in &like_chunks {
        assert!(chunks_dir.join(directory).is_dir() && chunks_dir.join(link).is_symlink());
    }
    assert_holds(&data_dir, &[id].into());
}

#[test]
fn chunks_of_a_newer_version_are_left_alone_and_refused_in_clear_words() {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let args = ["-f", &capture(scratch.path(), "{recovery: {inactiveSeconds: 1}}"), "--data-dir"];
    let args = [&args[..], &[data_dir.to_str().unwrap()]].concat();
    let first = Run::start(&args);
    assert_eq!(post_one(&first).1.status, 200);
    assert!(first.terminate().success());
    let second = Run::start(&args);
    assert_eq!(post_one(&second).1.status, 200);
    second.kill9();
    let newer = [".tar", ".tar.inprogress"].map(|ending| {
        let name = chunks(&data_dir, ending).pop().unwrap();
        let path = data_dir.join("chunks").join(name);
        let mut bytes = replace(&fs::read(&path).unwrap(), b"TCF1", b"TCF2");
        if ending == ".tar" {
            bytes = replace(&bytes, b"\"format\": 1", b"\"format\": 2");
        }
        fs::write(&path, &bytes).unwrap();
        (path, bytes)
    });
    let third = Run::start(&args);
    let (_, stored) = post_one(&third);
    assert_eq!(stored.status, 200);
    wait_until("the keeper has seen the new chunk", || {
        get(&third, "/api/v1/captures/default/local").json()["storage"]["inProgressChunks"] == 2
    });
    let log = third.stderr();
    assert_eq!(log.matches("later format").count(), 1, "{log}");
    assert!(third.terminate().success());
    for (path, bytes) in newer {
        // One in progress was claimed before it could be read; that is its name, and all that changed.
        let claimed = path.with_extension("recovering");
        let path = if claimed.exists() { claimed } else { path };
        assert!(fs::read(&path).is_ok_and(|now| now == bytes), "{path:?} is not as it was");
        for command in ["verify", "cat"] {
            let refused = support::output(&[command, path.to_str().unwrap()]);
            let said = [refused.stdout, refused.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(!refused.status.success(), "{command}: {said}");
            assert!(said.contains("use a newer tracecapture"), "{command}: {said}");
        }
    }
}
