//! The flags that every command for a cluster has.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::text::quoted;

/// By this id completion knows an argument that is the name of a capture.
pub const CAPTURE_ARG: &str = "capture";

/// Which cluster, which namespace, and as whom.
#[derive(Debug, Clone, Default, Args)]
pub struct ClusterArgs {
    /// The kubeconfig [default: those of KUBECONFIG, `~/.kube/config`, or the service account of a pod].
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one].
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The namespace [default: that of the context].
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Act as this user, such as `system:serviceaccount:shop:support`.
    #[arg(long = "as", value_name = "USER")]
    pub user: Option<String>,
    /// Act as a member of this group; may be repeated.
    #[arg(long = "as-group", value_name = "GROUP", requires = "user")]
    pub groups: Vec<String>,
}

/// A capture by its name.
#[derive(Debug, Clone, Args)]
pub struct NameArgs {
    /// The name of the capture.
    #[arg(id = CAPTURE_ARG, value_name = "NAME")]
    pub name: String,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

impl ClusterArgs {
    /// Returns what has to be typed again for the next command to reach the same namespace of the same cluster.
    pub fn typed(&self, namespace: &str) -> String {
        let mut typed = format!(" -n {namespace}");
        let path = self.kubeconfig.as_ref().map(|path| path.display().to_string());
        for (flag, value) in [("--kubeconfig", path), ("--context", self.context.clone()), ("--as", self.user.clone())]
        {
            if let Some(value) = value {
                // Writing to a string cannot fail.
                let _ = write!(typed, " {flag} {}", quoted(&value));
            }
        }
        for group in &self.groups {
            let _ = write!(typed, " --as-group {}", quoted(group));
        }
        typed
    }
}
