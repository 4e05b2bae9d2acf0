//! Pods, and their processes as the node sees them.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::command::{attempt, until};
use crate::site::{CAPTURE, Site};

/// Returns the name of a collector pod.
pub(crate) fn collector(ordinal: usize) -> String {
    format!("{CAPTURE}-collector-{ordinal}")
}

/// Ends the process of a pod of ours at once, as the kernel does when memory is short; tells whether it had one.
pub(crate) fn kill(namespace: &str, pod: &str) -> bool {
    signal(namespace, pod, "KILL")
}

/// Stops the process of a pod where it is: it does nothing more, whatever it is asked to, until it is killed.
pub(crate) fn freeze(namespace: &str, pod: &str) {
    until(&format!("{pod} has a process that can be frozen"), || signal(namespace, pod, "STOP").then_some(()));
}

/// Lets the process of a pod go on.
pub(crate) fn resume(namespace: &str, pod: &str) {
    signal(namespace, pod, "CONT");
}

/// Sends a signal to the process of a pod; tells whether it had one, which may end at any time.
fn signal(namespace: &str, pod: &str, signal: &str) -> bool {
    process(namespace, pod).is_some_and(|pid| attempt("kill", &["-s", signal, &pid.to_string()]).is_ok())
}

/// Returns the process that was told that it is this pod.
fn process(namespace: &str, pod: &str) -> Option<u32> {
    let identity = [format!("POD_NAME={pod}"), format!("POD_NAMESPACE={namespace}")];
    let is_meant = |process: &PathBuf| {
        // One that is gone meanwhile is not meant.
        let variables = fs::read(process.join("environ")).unwrap_or_default();
        let variables: Vec<&[u8]> = variables.split(|&byte| byte == 0).collect();
        identity.iter().all(|wanted| variables.contains(&wanted.as_bytes()))
    };
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    processes.filter(is_meant).find_map(|process| process.file_name()?.to_str()?.parse().ok())
}

/// The collector pods of the capture.
pub(crate) fn collectors(site: &Site) -> Vec<Value> {
    let pods = site.get(&["pods", "-l", &format!("tracecapture.dev/capture={CAPTURE}")]);
    pods["items"].as_array().cloned().unwrap_or_default()
}

/// What changes when a pod is replaced or its container starts anew.
pub(crate) fn lives(site: &Site) -> Vec<(String, String, u64)> {
    let life = |pod: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default();
        (text(&pod["metadata"]["name"]), text(&pod["metadata"]["uid"]), restarts)
    };
    collectors(site).iter().map(life).collect()
}

/// Waits until there are so many collector pods, each ready and none on its way out, as they themselves are told of:
/// the status of the capture may speak of those that were there before.
pub(crate) fn until_ready(site: &Site, n_pods: usize) {
    let is_ready = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array();
        let is_told = |told: &Value| told["type"] == "Ready" && told["status"] == "True";
        pod["metadata"]["deletionTimestamp"].is_null() && conditions.is_some_and(|all| all.iter().any(is_told))
    };
    until(&format!("{n_pods} collectors are ready"), || {
        let pods = collectors(site);
        (pods.len() == n_pods && pods.iter().all(is_ready)).then_some(())
    });
}

/// Returns the version of the pods' template: with another one, they are replaced by and by.
pub(crate) fn template(site: &Site) -> String {
    until("the set is looked at as it is", || {
        let set = site.get(&["statefulset", &format!("{CAPTURE}-collector")]);
        let is_seen = set["metadata"]["generation"] == set["status"]["observedGeneration"];
        set["status"]["updateRevision"].as_str().filter(|_| is_seen).map(ToOwned::to_owned)
    })
}
