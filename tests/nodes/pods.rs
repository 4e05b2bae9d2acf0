//! The processes of pods, as the node sees them.

use std::fs;
use std::path::PathBuf;

use crate::command::run;
use crate::site::{CAPTURE, Site};

/// Returns the name of a collector pod.
pub(crate) fn collector(ordinal: usize) -> String {
    format!("{CAPTURE}-collector-{ordinal}")
}

/// Ends the process of a pod of ours at once, as the kernel does when memory is short; tells whether it had one.
pub(crate) fn kill(namespace: &str, pod: &str) -> bool {
    let Some(pid) = process(namespace, pod) else { return false };
    run("kill", &["-s", "KILL", &pid.to_string()]);
    true
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

/// What changes when a pod is replaced or its container starts anew.
pub(crate) fn lives(site: &Site) -> Vec<(String, String, u64)> {
    let pods = site.get(&["pods", "-l", &format!("tracecapture.dev/capture={CAPTURE}")]);
    let life = |pod: &serde_json::Value| {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default();
        (text(&pod["metadata"]["name"]), text(&pod["metadata"]["uid"]), restarts)
    };
    pods["items"].as_array().into_iter().flatten().map(life).collect()
}
