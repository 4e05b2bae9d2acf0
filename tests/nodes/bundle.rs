//! Downloads through the gateway, and what is in them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::command::{attempt, kubectl, run, until};
use crate::held::{assert_verified, span_ids};
use crate::rights::{account, until_can};
use crate::site::{CAPTURE, Site};

/// A service account that may download what the namespace captured, and nothing else.
pub(crate) const SUPPORT: &str = "support";

/// Makes the account, and returns a token of it.
pub(crate) fn support_token(site: &Site) -> String {
    support_token_by(site, "ClusterRole")
}

/// As [`support_token`]; an installation for named namespaces has a role in each of them instead of one for all.
fn support_token_by(site: &Site, role: &str) -> String {
    site.apply(&format!(
        "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {SUPPORT}}}}}\n---\n\
         {{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: {SUPPORT}}}, \
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {role}, name: tracecapture-support}}, \
         subjects: [{{kind: ServiceAccount, name: {SUPPORT}, namespace: {}}}]}}",
        site.namespace
    ));
    until_can(&account(&site.namespace, SUPPORT), "get", "tracecaptures/bundle", &site.namespace);
    kubectl(&["create", "token", SUPPORT, "-n", &site.namespace]).trim().to_owned()
}

/// Returns the address of the bundle, from the status.
#[track_caller]
pub(crate) fn url(site: &Site) -> String {
    until("the status has the address of the bundle", || Some(site.status()["bundle"]["url"].as_str()?.to_owned()))
}

/// Downloads the bundle from the address in the status with a support user's token, as `curl` users do.
#[track_caller]
pub(crate) fn download(site: &Site) -> Bundle {
    download_by(site, "ClusterRole")
}

/// As [`download`], where the right comes from a role of this kind.
#[track_caller]
pub(crate) fn download_by(site: &Site, role: &str) -> Bundle {
    site.until_reason("DownloadReady", "Available");
    let (token, url) = (support_token_by(site, role), url(site));
    let header = format!("Authorization: Bearer {token}");
    // A pod that was replaced a moment ago is found by its name a moment later, and the condition may be of the one
    // before; the gateway says `503` meanwhile. The download itself is then not tried twice.
    until(&format!("{url} is answered"), || attempt("curl", &["-sSfI", "-H", &header, &url]).ok());
    Bundle::of(|file| drop(run("curl", &["-sSf", "-H", &header, "-o", file.to_str().unwrap(), &url])))
}

/// A bundle on this machine.
pub(crate) struct Bundle {
    path: PathBuf,
    _dir: TempDir,
}

impl Bundle {
    /// Has a bundle written to a file, and verifies it.
    #[track_caller]
    pub(crate) fn of(fetch: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bundle.tar");
        fetch(&path);
        assert_verified(&path);
        Self { path, _dir: dir }
    }

    /// The spans in it.
    pub(crate) fn ids(&self) -> HashSet<u64> {
        span_ids(&self.path).into_keys().collect()
    }
}

/// Checks that of what was acknowledged to each client only the oldest is missing; returns how many are.
///
/// Retention deletes whole chunks from the oldest on, and a client sends in order.
#[track_caller]
pub(crate) fn check_newest(held: &HashSet<u64>, acknowledged: &[Vec<u64>]) -> usize {
    let mut n_evicted = 0;
    for sent in acknowledged {
        let first = sent.iter().position(|id| held.contains(id));
        let first = first.unwrap_or_else(|| panic!("not even the youngest of {} is there", sent.len()));
        let lost = sent[first..].iter().filter(|id| !held.contains(id)).count();
        assert_eq!(lost, 0, "{lost} acknowledged spans are missing among younger ones");
        n_evicted += first;
    }
    n_evicted
}

/// Checks that everything acknowledged is in the final bundle, and tells the figures.
#[track_caller]
pub(crate) fn check_all(site: &Site, acknowledged: &HashSet<u64>) {
    let held = download(site).ids();
    let lost = acknowledged.difference(&held).count();
    println!(
        "{}: {} spans acknowledged, {} found in {CAPTURE}, {lost} lost",
        site.namespace,
        acknowledged.len(),
        held.len()
    );
    assert_eq!(lost, 0, "acknowledged spans are missing");
}
