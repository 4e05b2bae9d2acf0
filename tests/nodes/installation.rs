//! The installation that all scenarios use: the chart of this tree, installed by Helm.

use std::sync::{Mutex, PoisonError};

use crate::command::{TIMEOUT, kubectl, run};
use crate::service;

/// The namespace of the installation.
pub(crate) const NAMESPACE: &str = "tracecapture-system";

/// The address of the gateway within the cluster.
pub(crate) const GATEWAY: &str = "http://tracecapture-gateway.tracecapture-system.svc";

/// The Service of the gateway.
const GATEWAY_SERVICE: &str = "tracecapture-gateway";

/// The name of the release.
const RELEASE: &str = "tracecapture";

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/tracecapture");

/// Set while the installation is as every scenario wants it.
static INSTALLED: Mutex<bool> = Mutex::new(false);

/// Installs the chart for all namespaces, unless it is there.
pub(crate) fn ensure() {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*installed {
        install(&[]);
        *installed = true;
    }
}

/// Installs or upgrades, with values of its own; the next scenario finds the usual ones again.
pub(crate) fn install(values: &[&str]) {
    let public = format!("gateway.publicUrl={GATEWAY}");
    let mut args = vec!["upgrade", "--install", RELEASE, CHART, "--namespace", NAMESPACE, "--create-namespace"];
    args.extend(["--wait", TIMEOUT, "--set", &public]);
    for value in values {
        args.extend(["--set", value]);
    }
    run("helm", &args);
    service::until_led(NAMESPACE, GATEWAY_SERVICE);
}

/// Does what every later scenario must not find, and has the installation made anew for them.
pub(crate) fn disturb(change: impl FnOnce()) {
    *INSTALLED.lock().unwrap_or_else(PoisonError::into_inner) = false;
    change();
}

/// Uninstalls, as a person does.
pub(crate) fn uninstall() {
    run("helm", &["uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", TIMEOUT]);
}

/// Runs `kubectl` in the namespace of the installation; it must succeed.
#[track_caller]
pub(crate) fn system(args: &[&str]) -> String {
    kubectl(&[&["-n", NAMESPACE], args].concat())
}

/// Sets how many pods of a part there are, and waits until it is so.
pub(crate) fn scale(part: &str, replicas: u8) {
    let deployment = format!("deployment/tracecapture-{part}");
    system(&["scale", &deployment, &format!("--replicas={replicas}")]);
    system(&["rollout", "status", &deployment, TIMEOUT]);
    if replicas == 0 {
        let label = format!("app.kubernetes.io/component={part}");
        system(&["wait", "--for=delete", "pod", "-l", &label, TIMEOUT]);
    } else if part == "gateway" {
        service::until_led(NAMESPACE, GATEWAY_SERVICE);
    }
}
