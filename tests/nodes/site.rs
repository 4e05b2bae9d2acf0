//! A namespace for one scenario, on a cluster with the installation of this tree.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

use serde_json::Value;

use crate::command::{apply, attempt, get, kubectl, until};
use crate::{disk, installation, service};

/// The name of the capture of every scenario.
pub(crate) const CAPTURE: &str = "checkout";

/// Held by each scenario; exclusively by those that would disturb the others.
static SHARED: RwLock<()> = RwLock::new(());

/// A namespace of a scenario, which refuses every pod that the restricted profile refuses.
pub(crate) struct Site {
    pub(crate) namespace: String,
}

/// Runs a scenario beside others, with the operator for all namespaces.
pub(crate) fn beside_others(namespace: &str, scenario: impl FnOnce(&Site)) {
    let _guard = SHARED.read().unwrap_or_else(PoisonError::into_inner);
    installation::ensure();
    play(namespace, scenario);
}

/// Runs a scenario while no other one runs: it takes away what all need.
pub(crate) fn alone(namespace: &str, scenario: impl FnOnce(&Site)) {
    let _guard = SHARED.write().unwrap_or_else(PoisonError::into_inner);
    installation::ensure();
    play(namespace, scenario);
}

fn play(namespace: &str, scenario: impl FnOnce(&Site)) {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let site = Site::enter(namespace);
        scenario(&site);
        site
    }));
    let site = outcome.unwrap_or_else(|panic| {
        // What failed stays as it is, and is written down as it is now: other scenarios go on.
        tell(namespace);
        resume_unwind(panic)
    });
    site.leave();
    println!("{namespace}: done after {} s", began.elapsed().as_secs());
}

/// Tells how a scenario stands that failed, and has everything about the cluster written to its logs.
fn tell(namespace: &str) {
    let folder = format!("failed-{namespace}");
    let written = attempt(&std::env::var("TRACECAPTURE_NODE").unwrap_or_default(), &["describe", &folder]);
    println!("{namespace}: what there is now stands in logs/{folder} of the cluster: {written:?}");
    for (kinds, form) in [("tracecaptures", "yaml"), ("pods,persistentvolumeclaims,endpointslices", "wide")] {
        let shown = attempt("kubectl", &["get", kinds, "-n", namespace, "-o", form]);
        println!("{}", shown.unwrap_or_else(|said| said));
    }
}

impl Site {
    fn enter(namespace: &str) -> Self {
        // One of this name that an earlier scenario left would take along what is made in it now.
        until("no namespace of this name is on its way out", || {
            get(&["namespace", namespace])["metadata"]["deletionTimestamp"].is_null().then_some(())
        });
        apply(
            &[],
            &format!(
                "{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}, \
                 labels: {{pod-security.kubernetes.io/enforce: restricted}}}}}}"
            ),
        );
        let site = Self { namespace: namespace.to_owned() };
        // Without it no pod is admitted, and the controllers make it.
        until("the namespace has its service account", || {
            attempt("kubectl", &["get", "serviceaccount", "default", "-n", namespace]).ok()
        });
        site
    }

    /// Its pods have no work left to do; its disks go with the node.
    fn leave(self) {
        kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }

    /// Makes a disk with a file system of this size, and a volume of it for the claim of the capture; returns where
    /// its files can be seen.
    pub(crate) fn add_disk(&self, size: &str) -> PathBuf {
        disk::make(&self.namespace, &format!("{CAPTURE}-chunks"), size)
    }

    /// Runs `kubectl` in the namespace; it must succeed.
    #[track_caller]
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        kubectl(&[&["-n", &*self.namespace], args].concat())
    }

    /// Returns an object of the namespace, or `null`.
    #[track_caller]
    pub(crate) fn get(&self, args: &[&str]) -> Value {
        get(&[&["-n", &*self.namespace], args].concat())
    }

    /// Applies a manifest to the namespace.
    #[track_caller]
    pub(crate) fn apply(&self, manifest: &str) {
        apply(&["-n", &self.namespace], manifest);
    }

    /// Creates the capture, and waits until it receives and its Service leads to it; the spec is YAML.
    #[track_caller]
    pub(crate) fn capture(&self, spec: &str) {
        self.apply(&format!(
            "apiVersion: tracecapture.dev/v1alpha1\nkind: TraceCapture\nmetadata: {{name: {CAPTURE}}}\nspec: {spec}\n"
        ));
        self.until_receiving();
    }

    /// Waits until the capture receives by the present spec, and its Service leads to it.
    #[track_caller]
    pub(crate) fn until_receiving(&self) {
        self.until_reason("Ready", "Receiving");
        // It is also told while pods go by earlier settings, as that they are stopped.
        self.until_reason("ReceiversReady", "AllReady");
        service::until_led(&self.namespace, &format!("{CAPTURE}-otlp"));
    }

    /// Waits until whoever operates captures now has applied this one: the status may be of those before.
    #[track_caller]
    pub(crate) fn until_operated(&self) {
        // Nothing depends on it, and it is another one than before.
        let wished = self.get(&["tcap", CAPTURE])["spec"]["retention"]["maxAgeSeconds"].as_u64();
        let seconds = wished.unwrap_or(1_000_000) + 1;
        self.patch(&format!("{{\"spec\": {{\"retention\": {{\"maxAgeSeconds\": {seconds}}}}}}}"));
        self.until_receiving();
    }

    /// Changes the capture as `kubectl patch --type merge` does.
    #[track_caller]
    pub(crate) fn patch(&self, change: &str) {
        self.kubectl(&["patch", "tcap", CAPTURE, "--type", "merge", "-p", change]);
    }

    /// Returns the status of the capture.
    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        self.get(&["tcap", CAPTURE])["status"].take()
    }

    /// Waits until a condition has a reason and speaks of the present spec; returns its message.
    #[track_caller]
    pub(crate) fn until_reason(&self, condition: &str, reason: &str) -> String {
        let mut seen = Value::Null;
        let what = format!("{condition} of {} has the reason {reason}", self.namespace);
        let found = catch_unwind(AssertUnwindSafe(|| {
            until(&what, || {
                let capture = self.get(&["tcap", CAPTURE]);
                let generation = capture["metadata"]["generation"].clone();
                seen = capture["status"]["conditions"].clone();
                let told = seen.as_array()?.iter().find(|told| told["type"] == condition)?;
                let is_meant = told["reason"] == reason && told["observedGeneration"] == generation;
                is_meant.then(|| told["message"].as_str().unwrap().to_owned())
            })
        }));
        found.unwrap_or_else(|panic| {
            println!("{what}: {seen:#}");
            resume_unwind(panic)
        })
    }

    /// Returns the address of OTLP over gRPC, from the status.
    #[track_caller]
    pub(crate) fn endpoint(&self) -> String {
        self.status()["endpoints"]["grpc"].as_str().unwrap().to_owned()
    }
}
