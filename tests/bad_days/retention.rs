//! Retention under load: never above the limit, oldest first, and never under a reader's feet.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::archive::{assert_holds, assert_verified, capture, chunks, listed};
use crate::client::{Client, wait_until};
use crate::load::{Load, Shape};
use crate::support::Run;

/// Requests of some 12 kB that hardly compress.
const BULKY: Shape = Shape { n_spans: 4, filler: 3_000 };

/// Returns the bytes of all chunks and of the quarantine; `None` where files went away meanwhile.
fn used_bytes(data_dir: &Path) -> Option<u64> {
    let paths: Vec<_> = ["chunks", "quarantine"].iter().flat_map(|dir| listed(&data_dir.join(dir))).collect();
    // By file, not by name: a chunk that is being renamed is one.
    let sizes: Option<BTreeMap<u64, u64>> =
        paths.iter().map(|path| fs::metadata(path).ok().map(|found| (found.ino(), found.len()))).collect();
    let all_there = paths.iter().all(|path| path.exists());
    sizes.filter(|_| all_there).map(|sizes| sizes.values().sum())
}

/// Returns the sequence number of a chunk's file.
fn number(name: &str) -> Option<u32> {
    name.split('_').nth(3)?.split('.').next()?.parse().ok()
}

/// Returns the sequence number of the newest chunk.
fn newest(data_dir: &Path) -> u32 {
    chunks(data_dir, "").iter().filter_map(|name| number(name)).max().unwrap_or(0)
}

#[test]
fn the_directory_never_exceeds_its_limit_and_the_oldest_go_first() {
    check_limit(256 << 10, 3_000);
}

#[test]
fn the_same_holds_where_every_few_requests_fill_a_chunk() {
    check_limit(32 << 10, 2_000);
}

/// Sends spans of 3 kB until this many are stored, into chunks of which five are kept.
fn check_limit(chunk_bytes: u64, n_spans: u64) {
    let limit = 5 * chunk_bytes;
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let spec = format!("{{chunk: {{maxBytes: {chunk_bytes}}}, retention: {{maxBytes: {limit}}}}}");
    let capture = capture(scratch.path(), &spec);
    let run = Run::start(&["-f", &capture, "--data-dir", data_dir.to_str().unwrap()]);
    let load = Load::start(run.http(), 8, BULKY);
    let (mut n_samples, mut most, mut seen) = (0_u32, 0, HashSet::new());
    wait_until("the directory was filled several times", || {
        let before = chunks(&data_dir, ".tar");
        if let Some(used) = used_bytes(&data_dir) {
            n_samples += 1;
            most = most.max(used);
        }
        let after: HashSet<_> = chunks(&data_dir, ".tar").into_iter().collect();
        // Names sort by time: what is gone is older than all that was there and still is.
        let oldest_left = before.iter().position(|name| after.contains(name)).unwrap_or(before.len());
        assert!(before[oldest_left..].iter().all(|name| after.contains(name)), "{before:?} became {after:?}");
        seen.extend(after);
        load.acknowledged() >= n_spans
    });
    println!("at most {most} of {limit} bytes in {n_samples} samples");
    assert!(most <= limit, "{most} bytes, {} above the limit, in {n_samples} samples", most - limit);
    assert!(most > limit / 2 && n_samples > 20 && seen.len() > 10, "{most} bytes, {n_samples} samples, {seen:?}");
    assert_eq!(load.retries(), 0, "making room must not cost clients a request: {}", run.stderr());
    load.finish();
    assert!(run.terminate().success());
    assert_verified(&data_dir);
}

#[test]
fn a_chunk_too_old_by_its_name_goes() {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let old = data_dir.join("chunks/20200101T000000.000Z_gone_7f3a_000001.tar");
    fs::create_dir_all(old.parent().unwrap()).unwrap();
    fs::write(&old, [0; 1024]).unwrap();
    let spec = "{chunk: {maxAgeSeconds: 1}, retention: {maxAgeSeconds: 3}, recovery: {inactiveSeconds: 1}}";
    let run = Run::start(&["-f", &capture(scratch.path(), spec), "--data-dir", data_dir.to_str().unwrap()]);
    assert!(!old.exists(), "{}", run.stderr());
    assert_eq!(crate::client::post_one(&run).1.status, 200);
    wait_until("the chunk is sealed by age", || chunks(&data_dir, ".tar").len() == 1);
    wait_until("it is evicted by age", || chunks(&data_dir, "").is_empty());
}

#[test]
fn chunks_of_a_running_download_are_spared_until_it_is_read() {
    let scratch = tempfile::tempdir().unwrap();
    let data_dir = scratch.path().join("data");
    let spec = "{chunk: {maxBytes: 2Mi, compression: None}, retention: {maxBytes: 20Mi}}";
    let run = Run::start(&["-f", &capture(scratch.path(), spec), "--data-dir", data_dir.to_str().unwrap()]);
    let shape = Shape { n_spans: 1, filler: 200_000 };
    let fill = |n: u32| {
        let load = Load::start(run.http(), 2, shape);
        wait_until("so many chunks are sealed", || newest(&data_dir) > n);
        load.finish()
    };
    let held = fill(6);
    // The growing one is held as well.
    let (pinned, last_pinned): (Vec<_>, _) = (chunks(&data_dir, ".tar"), newest(&data_dir));
    let mut client = Client::connect(run.web()).unwrap();
    let bearer = format!("Bearer {}", run.token());
    client.begin("GET /api/v1/captures/default/local/bundle.tar", &[("authorization", &bearer)], b"").unwrap();
    let begun = client.head().unwrap();
    assert_eq!(begun.status, 200);
    // More than the limit, while nobody reads on: the bundle is longer than what sockets buffer.
    fill(18);
    let left: HashSet<_> = chunks(&data_dir, ".tar").into_iter().collect();
    assert!(pinned.iter().all(|name| left.contains(name)), "{pinned:?} became {left:?}");
    // The limit holds for the others, and of those the newest stay.
    let mut others: Vec<_> = left.iter().filter_map(|name| number(name)).filter(|&n| n > last_pinned).collect();
    others.sort_unstable();
    assert!((4..10).contains(&others.len()), "{others:?} besides {pinned:?}");
    assert!(others.windows(2).all(|pair| pair[0] + 1 == pair[1]) && others.last() >= Some(&18), "{others:?}");
    let bundle = scratch.path().join("bundle.tar");
    fs::write(&bundle, client.body(begun).unwrap().body).unwrap();
    assert_holds(&bundle, &held);
}
