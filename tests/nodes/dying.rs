//! Three collectors on one volume, and pods that die in every way.

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;
use std::time::Instant;

use crate::bundle::check_all;
use crate::command::{attempt, run, until};
use crate::load::{Load, STEADY, Shape, all};
use crate::pods::{collector, collectors, freeze, kill, resume, until_ready};
use crate::site::{CAPTURE, Site, beside_others};

const N_COLLECTORS: usize = 3;

/// Pods that die, each in one of the ways.
const N_DEATHS: usize = 9;

const SPEC: &str = "{collector: {replicas: 3, podOverlay: {metadata: {labels: {scenario: dying}}}}, \
    chunk: {maxBytes: 2M}, recovery: {inactiveSeconds: 30}, \
    storage: {storageClassName: local, accessModes: [ReadWriteMany]}}";

#[test]
fn no_acknowledged_span_is_lost_while_pods_die() {
    beside_others("dying", |site| {
        let chunks = site.add_disk("2G").join("chunks");
        site.capture(SPEC);
        until_ready(site, N_COLLECTORS);
        let load = Load::start(&site.endpoint(), Shape { n_clients: 6, ..STEADY });
        for death in 0..N_DEATHS {
            load.wait_for_more(400);
            end_one(site, death);
        }
        load.wait_for_more(400);
        drain(site, &load);
        orphan(site, &load, &chunks);
        println!("dying: {} requests without an answer, {} told to come back", load.unanswered(), load.told_to_retry());
        check_all(site, &all(&load.finish()));
    });
}

/// Ends a pod that chance picks, in one of three ways.
fn end_one(site: &Site, way: usize) {
    let chance = RandomState::new().build_hasher().finish();
    let pod = collector(usize::try_from(chance % N_COLLECTORS as u64).unwrap());
    // One that ended a moment ago may not be there again yet.
    let delete = |how: &[&str]| {
        until("the pod is there to be deleted", || {
            attempt("kubectl", &[&["delete", "pod", &pod, "-n", &site.namespace], how].concat()).ok()
        });
    };
    match way % 3 {
        0 => delete(&["--wait=false"]),
        1 => delete(&["--force", "--grace-period=0"]),
        _ => until("the pod has a process to be killed", || kill(&site.namespace, &pod).then_some(())),
    }
    println!("dying: ended {pod} in way {}", way % 3);
}

/// The node, on which no pod is placed until this is dropped.
struct Cordoned;

impl Drop for Cordoned {
    fn drop(&mut self) {
        // A scenario that fails meanwhile must not take the others with it.
        let _ = attempt("kubectl", &["uncordon", "node"]);
    }
}

/// Drains the only node: the budget lets one collector go, and the others stay because it cannot come back.
fn drain(site: &Site, load: &Load) {
    until_ready(site, N_COLLECTORS);
    until("the budget lets one collector go", || {
        let budget = site.get(&["poddisruptionbudget", "checkout-collector"])["status"].take();
        (budget["currentHealthy"] == N_COLLECTORS && budget["disruptionsAllowed"] == 1).then_some(())
    });
    let cordoned = Cordoned;
    let drained = attempt(
        "kubectl",
        &["drain", "node", "--pod-selector=scenario=dying", "--delete-emptydir-data", "--timeout=30s"],
    );
    let n_on_node = || collectors(site).iter().filter(|pod| pod["spec"]["nodeName"] == "node").count();
    until("one collector is away", || (n_on_node() < N_COLLECTORS).then_some(()));
    load.wait_for_more(400);
    assert_eq!(n_on_node(), N_COLLECTORS - 1, "one collector is away at a time");
    drop(cordoned);
    let refused = drained.unwrap_err();
    assert!(refused.contains("disruption budget"), "{refused}");
}

/// Kills a collector that is leaving for good: nobody of its name comes back to recover what it left.
fn orphan(site: &Site, load: &Load, chunks: &Path) {
    until_ready(site, N_COLLECTORS);
    let pod = collector(N_COLLECTORS - 1);
    let open = || {
        let names = fs::read_dir(chunks).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains(&pod) && name.ends_with(".inprogress")).count()
    };
    // It would seal its chunk as soon as it is asked to end, so it is stopped before; stopped between two chunks, it
    // goes on for a while.
    until("the pod stands still in a chunk", || {
        freeze(&site.namespace, &pod);
        let is_open = open() > 0;
        if !is_open {
            resume(&site.namespace, &pod);
        }
        is_open.then_some(())
    });
    let before = counted(site);
    site.kubectl(&["scale", "tcap", CAPTURE, &format!("--replicas={}", N_COLLECTORS - 1)]);
    until("the pod is on its way out", || {
        let found = site.get(&["pod", &pod]);
        (found.is_null() || !found["metadata"]["deletionTimestamp"].is_null()).then_some(())
    });
    kill(&site.namespace, &pod);
    let killed = Instant::now();
    load.wait_for_more(400);
    until("the keeper has recovered the chunk", || (open() == 0).then_some(()));
    println!("dying: recovered {} s after the writer was killed", killed.elapsed().as_secs());
    until("the recovered chunk is counted and told", || {
        let (now, told) = (counted(site), site.status()["storage"]["recoveredChunks"].as_u64());
        (now > before && told == Some(now)).then_some(())
    });
    site.until_reason("RecoveryComplete", "NothingLeft");
}

/// How many chunks the keeper recovered since it was started: what the status tells may be a minute old, and of the
/// one before.
fn counted(site: &Site) -> u64 {
    let keeper = site.get(&["pod", &collector(0)]);
    let address = format!("http://{}:8080/metrics", keeper["status"]["podIP"].as_str().unwrap());
    let metrics = run("curl", &["-sSf", &address]);
    let line = metrics.lines().find_map(|line| line.strip_prefix("tracecapture_chunks_recovered_total "));
    line.unwrap().parse().unwrap()
}
