//! Of the pods that share a volume the first keeps it; the others only write.

use std::time::{Duration, Instant};

use crate::client::{Client, next_id, request, wait_until};
use crate::pod::{BASE, Pod, Site};

/// Small chunks, little retention, and orphans that are due within a second.
const SPEC: &str = "{chunk: {maxBytes: 4Ki}, retention: {maxBytes: 20Ki}, recovery: {inactiveSeconds: 1}, collector: {replicas: 3}, \
     storage: {accessModes: [ReadWriteMany]}}";

fn post_big(pod: &Pod) {
    let ids: Vec<_> = (0..10).map(|_| next_id()).collect();
    let answer = Client::connect(pod.http()).unwrap().post(&request(&ids, 1_000)).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn only_the_keeper_deletes_and_recovers_what_others_left() {
    let site = Site::new(SPEC);
    let (writer, lost) = (site.start("checkout-collector-1"), site.start("checkout-collector-2"));
    assert_eq!(lost.post_one().1.status, 200);
    lost.kill9();
    for _ in 0..10 {
        post_big(&writer);
    }
    // A writer looks four times a second, so it has seen all this and left it alone.
    let began = Instant::now();
    wait_until("a keeper would have come", || began.elapsed() > Duration::from_secs(3));
    let report = site.report(&writer);
    let storage = &report["storage"];
    assert_eq!(report["writer"], "checkout-collector-1");
    assert!(storage["usedBytes"].as_u64() > storage["limitBytes"].as_u64(), "{storage}");
    assert_eq!((&storage["evictedChunks"], &storage["recoveredChunks"]), (&0.into(), &0.into()), "{storage}");
    let orphan = site.chunks(".inprogress").into_iter().find(|name| name.contains("collector-2_"));
    assert!(orphan.is_some(), "{:?}", site.chunks(""));
    for part in ["bundle.tar", "manifest"] {
        let answer = site.ask(&writer, "GET", &format!("{BASE}/{part}"));
        assert_eq!((answer.status, answer.json()["reason"].as_str()), (421, Some("NotTheKeeper")));
    }

    let keeper = site.start("checkout-collector-0");
    wait_until("the keeper keeps the limit", || {
        let storage = site.report(&keeper)["storage"].clone();
        storage["usedBytes"].as_u64() <= storage["limitBytes"].as_u64()
    });
    wait_until("the orphan is no more", || {
        let open = site.chunks(".inprogress");
        !open.iter().any(|name| name.contains("collector-2_"))
    });
    assert!(site.report(&keeper)["storage"]["evictedChunks"].as_u64() > Some(0));
    assert_eq!(site.ask(&keeper, "GET", &format!("{BASE}/bundle.tar")).status, 200);
    post_big(&writer);
}

#[test]
fn a_writer_recovers_at_its_start_what_its_earlier_life_left() {
    let site = Site::new("{}");
    let first = site.start("checkout-collector-1");
    assert_eq!(first.post_one().1.status, 200);
    first.kill9();
    assert_eq!(site.chunks(".inprogress").len(), 1);
    let second = site.start("checkout-collector-1");
    assert_eq!((site.chunks(".inprogress").len(), site.chunks(".tar").len()), (0, 1));
    assert_eq!(site.report(&second)["storage"]["recoveredChunks"], 1);
}

#[test]
fn long_pod_names_stay_apart_on_one_volume() {
    let site = Site::new("{}");
    // As long as a name of a pod can be; two of one set, and one of another that differs late.
    let set = |last: &str| format!("{}-{last}-collector", "a".repeat(52 - 11 - last.len()));
    let names = [format!("{}-1", set("b")), format!("{}-2", set("b")), format!("{}-1", set("c"))];
    let pods: Vec<_> = names.iter().map(|name| site.start(name)).collect();
    let mut writers = Vec::new();
    for (pod, name) in pods.iter().zip(&names) {
        assert_eq!(pod.post_one().1.status, 200);
        let writer = site.report(pod)["writer"].as_str().unwrap().to_owned();
        assert!(writer.len() <= 36 && writer.ends_with(&name[name.len() - 2..]), "{writer}");
        writers.push(writer);
    }
    let chunks = site.chunks(".inprogress");
    assert_eq!(chunks.len(), 3, "{chunks:?}");
    assert!(writers.iter().all(|writer| chunks.iter().any(|chunk| chunk.contains(&format!("_{writer}_")))));
}
