//! `tracecapture operator`: reconciles `TraceCapture` objects in a cluster.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use clap::Args;
use kube::config::InferConfigError;
use kube::{Client, Config};
use thiserror::Error;
use tokio::net::TcpListener;
use tracing::info;

use super::args::parse_address;
use super::exit::{ExitCode, Failure};
use super::pod_args::any_address;
use super::process::{self, Stop};
use crate::admin;
use crate::api::names::ADMIN_PORT;
use crate::clock::SystemClock;
use crate::operator::options::{Options, Watched};
use crate::operator::{Operator, Parts};
use crate::shutdown::Shutdown;

/// How long probes in flight have at the very end.
const ADMIN_LIMIT: Duration = Duration::from_secs(1);

/// The flags of `operator`.
#[derive(Debug, Clone, Args)]
pub struct OperatorArgs {
    /// Image of collector pods whose capture names none; as a rule the operator's own.
    #[arg(long, value_name = "IMAGE", env = "TRACECAPTURE_IMAGE")]
    image: String,
    /// When that image is pulled [default: what Kubernetes chooses by its tag].
    #[arg(long, value_name = "POLICY", value_parser = ["Always", "IfNotPresent", "Never"])]
    image_pull_policy: Option<String>,
    /// Namespace of the installation: its Lease and its keys lie here, its gateway runs here.
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE")]
    namespace: String,
    /// Namespace whose captures are reconciled; may be repeated [default: every namespace].
    #[arg(long, value_name = "NAMESPACE")]
    watch_namespace: Vec<String>,
    /// Public base address of downloads, such as `https://captures.example.com` [default: none is published].
    #[arg(long, value_name = "URL", value_parser = parse_base_url)]
    public_url: Option<String>,
    /// Name under which this process takes part in the election of a leader; no two processes may share it.
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: String,
    /// Where a collector pod answers; `{pod}`, `{service}`, `{namespace}` and `{ordinal}` are replaced.
    #[arg(long, value_name = "URL", default_value = "http://{pod}.{service}.{namespace}.svc:4319")]
    collector_url: String,
    /// Address of probes and metrics [default: [::]:8080]. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    admin_listen: Option<SocketAddr>,
    /// Seconds between two visits of a capture without a reason: figures in its status are at most that old.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(5..=3600))]
    revisit_seconds: u64,
    /// Captures that are visited at a time.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
}

impl OperatorArgs {
    fn options(&self) -> Options {
        let watched = match self.watch_namespace.as_slice() {
            [] => Watched::All,
            names => {
                let mut names = names.to_vec();
                names.sort();
                names.dedup();
                Watched::Namespaces(names)
            }
        };
        Options {
            image: self.image.clone(),
            image_pull_policy: self.image_pull_policy.clone(),
            namespace: self.namespace.clone(),
            watched,
            public_url: self.public_url.clone(),
            identity: self.identity.clone(),
            collector_url: self.collector_url.clone(),
            revisit: Duration::from_secs(self.revisit_seconds),
            concurrency: self.concurrency,
        }
    }
}

/// Why an operator did not start.
#[derive(Debug, Error)]
enum OperatorError {
    /// Nothing says where the cluster is.
    #[error("cannot tell where the Kubernetes API server is")]
    Config(#[source] Box<InferConfigError>),
    /// What says so cannot be used.
    #[error("cannot make a client of the Kubernetes API server")]
    Client(#[source] Box<kube::Error>),
    /// The admin address could not be opened.
    #[error("cannot listen on {0}")]
    Bind(SocketAddr, #[source] io::Error),
}

impl From<OperatorError> for Failure {
    fn from(error: OperatorError) -> Self {
        let hint = match &error {
            OperatorError::Config(_) | OperatorError::Client(_) => {
                "run it in a pod with a service account, or set KUBECONFIG"
            }
            OperatorError::Bind(..) => {
                "end the process that has the address, or choose another one; port 0 picks a free one"
            }
        };
        Self::new(ExitCode::Failed, error).with_hint(hint)
    }
}

/// Runs until SIGTERM or ctrl-C; a second one ends at once, and the lease then ends by itself.
///
/// # Errors
/// A [`Failure`] that says what could not be started.
pub fn run(args: &OperatorArgs) -> Result<ExitCode, Failure> {
    // Fails only where a provider is installed already, and then that one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    process::block_on(serve(args))
}

async fn serve(args: &OperatorArgs) -> Result<ExitCode, Failure> {
    let mut stop = Stop::listen()?;
    let config = Config::infer().await.map_err(|error| OperatorError::Config(Box::new(error)))?;
    let server = config.cluster_url.to_string();
    let client = Client::try_from(config).map_err(|error| OperatorError::Client(Box::new(error)))?;
    let address = args.admin_listen.unwrap_or_else(|| SocketAddr::new(any_address(), ADMIN_PORT));
    let listener = TcpListener::bind(address).await.map_err(|error| OperatorError::Bind(address, error))?;
    let address = listener.local_addr().map_err(|error| OperatorError::Bind(address, error))?;
    let options = args.options();
    info!(server, admin = %address, namespace = options.namespace, identity = options.identity, "operator started");
    let operator = Operator::start(Parts { client, clock: Arc::new(SystemClock::new()), options, reports: None });
    let probes = Shutdown::new();
    let current = Arc::new(ArcSwap::from_pointee(operator.admin()));
    probes.spawn("admin", admin::serve(listener, current, probes.clone()));
    stop.requested().await;
    let ended = tokio::select! {
        ended = operator.stop() => ended,
        () = stop.requested() => return Ok(ExitCode::Interrupted),
    };
    probes.stop("admin", ADMIN_LIMIT).await;
    Ok(if ended { ExitCode::Done } else { ExitCode::Failed })
}

/// Reads the base of an address, without a slash at its end.
fn parse_base_url(text: &str) -> Result<String, &'static str> {
    let uri: http::Uri = text.parse().map_err(|_| "write an address such as `https://captures.example.com`")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.query().is_some() {
        return Err("write an address such as `https://captures.example.com`, without a query");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        operator: OperatorArgs,
    }

    fn parse(typed: &[&str]) -> Result<Options, clap::Error> {
        let least = ["operator", "--image", "i:1", "--namespace", "system", "--identity", "operator-0"];
        Typed::try_parse_from([&least, typed].concat()).map(|typed| typed.operator.options())
    }

    #[test]
    fn namespaces_are_those_named_or_all() {
        assert_eq!(parse(&[]).unwrap().watched, Watched::All);
        let typed = ["--watch-namespace", "b", "--watch-namespace", "a", "--watch-namespace", "b"];
        assert_eq!(parse(&typed).unwrap().watched, Watched::Namespaces(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn values_are_checked_where_they_are_typed() {
        let public = parse(&["--public-url", "https://captures.example.com/base/"]).unwrap().public_url;
        assert_eq!(public.as_deref(), Some("https://captures.example.com/base"));
        for wrong in [
            ["--public-url", "captures.example.com"],
            ["--public-url", "ftp://x"],
            ["--revisit-seconds", "1"],
            ["--concurrency", "0"],
            ["--image-pull-policy", "Sometimes"],
        ] {
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
    }
}
