//! `tracecapture operator`: reconciles `TraceCapture` objects in a cluster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tracing::info;

use super::args::parse_address;
use super::exit::{ExitCode, Failure};
use super::in_cluster;
use super::pod_args::any_address;
use super::process::{self, Stop};
use crate::api::access;
use crate::api::names::ADMIN_PORT;
use crate::clock::SystemClock;
use crate::installation::collector_url;
use crate::operator::options::Options;
use crate::operator::{Operator, Parts};
use crate::shutdown::Shutdown;

/// The flags of `operator`.
#[derive(Debug, Clone, Args)]
pub struct OperatorArgs {
    /// Image of collector pods whose capture names none; as a rule the operator's own.
    #[arg(long, value_name = "IMAGE", env = "TRACECAPTURE_IMAGE")]
    image: String,
    /// When that image is pulled [default: what Kubernetes chooses by its tag].
    #[arg(long, value_name = "POLICY", value_parser = ["Always", "IfNotPresent", "Never"])]
    image_pull_policy: Option<String>,
    /// Secret that images of collector pods are pulled with, in the namespace of each capture; may be repeated.
    #[arg(long, value_name = "NAME")]
    image_pull_secret: Vec<String>,
    /// Namespace of the installation: its Lease and its keys lie here, its gateway runs here.
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE")]
    namespace: String,
    /// Namespace whose captures are reconciled; may be repeated [default: every namespace].
    #[arg(long, value_name = "NAMESPACE")]
    watch_namespace: Vec<String>,
    /// Public base address of downloads, such as `https://captures.example.com` [default: none is published].
    #[arg(long, value_name = "URL", value_parser = in_cluster::parse_base_url)]
    public_url: Option<String>,
    /// Name under which this process takes part in the election of a leader; no two processes may share it.
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: String,
    /// Where a collector pod answers; `{pod}`, `{service}`, `{namespace}` and `{ordinal}` are replaced.
    #[arg(long, value_name = "URL", default_value = collector_url::DEFAULT)]
    collector_url: String,
    /// Address of probes and metrics [default: [::]:8080]. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    admin_listen: Option<SocketAddr>,
    /// The longest life of a link, in seconds, as the gateway has it: those in a status live a day, or that long.
    #[arg(long, value_name = "SECONDS", default_value_t = access::MAX_LINK_SECONDS, value_parser = clap::value_parser!(u64).range(60..=31_536_000))]
    max_link_seconds: u64,
    /// Seconds between two visits of a capture without a reason. Its status is looked at that often, and written where
    /// it changed: its figures by more than 1 %, and once a minute at most.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(5..=3600))]
    revisit_seconds: u64,
    /// Captures that are visited at a time.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    concurrency: u16,
}

impl OperatorArgs {
    fn options(&self) -> Options {
        Options {
            image: self.image.clone(),
            image_pull_policy: self.image_pull_policy.clone(),
            image_pull_secrets: self.image_pull_secret.clone(),
            namespace: self.namespace.clone(),
            watched: in_cluster::watched(&self.watch_namespace),
            public_url: self.public_url.clone(),
            identity: self.identity.clone(),
            collector_url: self.collector_url.clone(),
            max_link_ttl: Duration::from_secs(self.max_link_seconds),
            revisit: Duration::from_secs(self.revisit_seconds),
            concurrency: self.concurrency,
        }
    }
}

/// Runs until SIGTERM or ctrl-C; a second one ends at once, and the lease then ends by itself.
///
/// # Errors
/// A [`Failure`] that says what could not be started.
pub fn run(args: &OperatorArgs) -> Result<ExitCode, Failure> {
    process::block_on(serve(args))
}

async fn serve(args: &OperatorArgs) -> Result<ExitCode, Failure> {
    let stop = Stop::listen()?;
    let (client, server) = in_cluster::connect().await?;
    let address = args.admin_listen.unwrap_or_else(|| SocketAddr::new(any_address(), ADMIN_PORT));
    let (listener, address) = in_cluster::bind(address).await?;
    let options = args.options();
    info!(server, admin = %address, namespace = options.namespace, identity = options.identity, "operator started");
    let operator = Operator::start(Parts { client, clock: Arc::new(SystemClock::new()), options, reports: None });
    let probes = (listener, operator.admin());
    Ok(in_cluster::until_stopped(stop, probes, &Shutdown::new(), operator.stop()).await)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::installation::Watched;

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
