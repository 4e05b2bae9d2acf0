//! Three collectors on one volume, and pods that die in every way.

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;
use std::time::Instant;

use crate::bundle::check_all;
use crate::command::{attempt, kubectl, until};
use crate::load::{Load, STEADY, Shape, all};
use crate::pods::{collector, kill};
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
        until("every collector is ready", || (site.status()["readyReplicas"] == N_COLLECTORS).then_some(()));
        let load = Load::start(&site.endpoint(), Shape { n_clients: 6, ..STEADY });
        for death in 0..N_DEATHS {
            load.wait_for_more(400);
            end_one(site, death);
        }
        load.wait_for_more(400);
        drain(site, &load);
        site.until_reason("Ready", "Receiving");
        orphan(site, &load, &chunks);
        println!("dying: {} requests without an answer, {} told to come back", load.unanswered(), load.told_to_retry());
        check_all(site, &all(&load.finish()));
    });
}

/// Ends a pod that chance picks, in one of three ways.
fn end_one(site: &Site, way: usize) {
    let chance = RandomState::new().build_hasher().finish();
    let pod = collector(usize::try_from(chance % N_COLLECTORS as u64).unwrap());
    match way % 3 {
        0 => drop(site.kubectl(&["delete", "pod", &pod, "--wait=false"])),
        1 => drop(site.kubectl(&["delete", "pod", &pod, "--force", "--grace-period=0"])),
        _ => until("the pod has a process to be killed", || kill(&site.namespace, &pod).then_some(())),
    }
    println!("dying: ended {pod} in way {}", way % 3);
}

/// Drains the only node: the budget lets one collector go, and the others stay because it cannot come back.
fn drain(site: &Site, load: &Load) {
    until("all collectors are back", || (site.status()["readyReplicas"] == N_COLLECTORS).then_some(()));
    let pods = || site.get(&["pods", "-l", "scenario=dying"])["items"].as_array().cloned().unwrap_or_default();
    until("no pod is on its way out", || {
        let (pods, is_ending) = (pods(), |pod: &serde_json::Value| !pod["metadata"]["deletionTimestamp"].is_null());
        (pods.len() == N_COLLECTORS && !pods.iter().any(is_ending)).then_some(())
    });
    let drained = attempt(
        "kubectl",
        &["drain", "node", "--pod-selector=scenario=dying", "--delete-emptydir-data", "--timeout=15s"],
    );
    let on_node = pods().iter().filter(|pod| pod["spec"]["nodeName"] == "node").count();
    load.wait_for_more(400);
    kubectl(&["uncordon", "node"]);
    let refused = drained.unwrap_err();
    assert!(refused.contains("disruption budget"), "{refused}");
    assert_eq!(on_node, N_COLLECTORS - 1, "one collector is away at a time");
}

/// Kills a collector that is leaving for good: nobody of its name comes back to recover what it left.
fn orphan(site: &Site, load: &Load, chunks: &Path) {
    let pod = collector(N_COLLECTORS - 1);
    let open = || {
        let names = fs::read_dir(chunks).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains(&pod) && name.ends_with(".inprogress")).count()
    };
    let recovered = || site.status()["storage"]["recoveredChunks"].as_u64().unwrap_or_default();
    until("the pod is writing", || (open() > 0).then_some(()));
    // A keeper counts from its start, and the status may still be of the one before.
    let (updated, earlier) = (|| site.status()["lastUpdateTime"].clone(), site.status()["lastUpdateTime"].clone());
    until("the status is of the keeper that runs now", || (updated() != earlier).then_some(()));
    let before = recovered();
    site.kubectl(&["scale", "tcap", CAPTURE, &format!("--replicas={}", N_COLLECTORS - 1)]);
    until("the pod is on its way out", || {
        (!site.get(&["pod", &pod])["metadata"]["deletionTimestamp"].is_null()).then_some(())
    });
    assert!(kill(&site.namespace, &pod), "it ended before it was killed");
    let killed = Instant::now();
    load.wait_for_more(400);
    assert!(open() > 0, "it left nothing to be recovered");
    until("the keeper has recovered the chunk", || (open() == 0).then_some(()));
    println!("dying: recovered {} s after the writer was killed", killed.elapsed().as_secs());
    until("the recovered chunk is counted", || (recovered() > before).then_some(()));
    site.until_reason("RecoveryComplete", "NothingLeft");
}
