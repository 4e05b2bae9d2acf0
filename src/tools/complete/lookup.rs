//! Names that the cluster or the kubeconfig knows.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::shutdown::Shutdown;
use crate::tools::cluster::args::ClusterArgs;
use crate::tools::cluster::connect::{Cluster, contexts};

/// How long a prompt may wait.
const LIMIT: Duration = Duration::from_secs(2);

/// More names than anybody chooses from.
const MAX_NAMES: u32 = 500;

/// What is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The captures of the namespace.
    Captures,
    /// The namespaces; those with captures, where not all may be listed.
    Namespaces,
    /// The contexts of the kubeconfig.
    Contexts,
}

/// Returns the names that there are; none where that cannot be found out in time.
pub(super) async fn lookup(kind: Kind, flags: ClusterArgs) -> Vec<String> {
    // A plugin of the kubeconfig holds up the thread that asks it, so that is not the one that keeps the time.
    let runtime = Handle::current();
    let search = async { Shutdown::new().blocking(move || runtime.block_on(search(kind, &flags))).await };
    let mut names = timeout(LIMIT, search).await.ok().flatten().unwrap_or_default();
    // What is printed here is taken for words by a shell.
    names.retain(|name| name.bytes().all(|byte| byte.is_ascii_graphic()));
    names.sort();
    names.dedup();
    names
}

async fn search(kind: Kind, flags: &ClusterArgs) -> Option<Vec<String>> {
    if kind == Kind::Contexts {
        return contexts(flags).ok();
    }
    let cluster = Cluster::connect(flags).await.ok()?;
    if kind == Kind::Captures {
        return Some(cluster.list().await.ok()?.iter().map(|capture| capture.name().to_owned()).collect());
    }
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    if let Ok(listed) = namespaces.list_metadata(&ListParams::default().limit(MAX_NAMES)).await {
        return Some(listed.items.iter().map(ResourceExt::name_any).collect());
    }
    Some(cluster.list_all().await.ok()?.iter().map(|capture| capture.namespace().to_owned()).collect())
}
