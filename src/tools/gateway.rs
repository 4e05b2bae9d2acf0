//! `tracecapture gateway`: hands out what was captured, to those who may have it.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use clap::Args;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio::time::sleep;
use tracing::{info, warn};

use super::args::parse_address;
use super::exit::{ExitCode, Failure};
use super::in_cluster;
use super::pod_args::any_address;
use super::process::{self, Stop};
use crate::api::access;
use crate::api::names::ADMIN_PORT;
use crate::archive::fs::named;
use crate::clock::SystemClock;
use crate::gateway::options::{Limits, Options};
use crate::gateway::proxies::Network;
use crate::gateway::{Gateway, Parts, Tls};
use crate::installation::collector_url;
use crate::shutdown::Shutdown;
use crate::telemetry::chain;

/// The port of the gateway within its pod, with TLS and without.
const GATEWAY_PORT: u16 = 8443;

/// How often the TLS directory is read anew; a certificate is renewed days before its end.
const READ_TLS_AGAIN: Duration = Duration::from_secs(10);

/// The longest certificate chain or key that is read, in bytes.
const MAX_PEM: u64 = 1 << 20;

/// The flags of `gateway`.
#[derive(Debug, Clone, Args)]
pub struct GatewayArgs {
    /// Namespace of the installation: its keys and the record of its links lie here.
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE")]
    namespace: String,
    /// Namespace whose captures are handed out; may be repeated [default: every namespace].
    #[arg(long, value_name = "NAMESPACE")]
    watch_namespace: Vec<String>,
    /// Public base address, such as `https://captures.example.com`; links begin with it [default: none, and links are given without].
    #[arg(long, value_name = "URL", value_parser = in_cluster::parse_base_url)]
    public_url: Option<String>,
    /// Audience of tokens that are made for this gateway alone; those for the API server are taken, too.
    #[arg(long, value_name = "AUDIENCE", default_value = access::AUDIENCE)]
    audience: String,
    /// Where a collector pod answers; `{pod}`, `{service}`, `{namespace}` and `{ordinal}` are replaced.
    #[arg(long, value_name = "URL", default_value = collector_url::DEFAULT)]
    collector_url: String,
    /// Proxies whose `X-Forwarded-For` is believed: addresses and networks, such as `10.0.0.0/8,fd00::/8` [default: none].
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    trusted_proxies: Vec<Network>,
    /// Directory with `tls.crt` and `tls.key`, as a Secret of type `kubernetes.io/tls` is mounted; read anew when it changes [default: plain HTTP].
    #[arg(long, value_name = "DIR")]
    tls_dir: Option<PathBuf>,
    /// The longest life of a link, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = access::MAX_LINK_SECONDS, value_parser = clap::value_parser!(u64).range(60..=31_536_000))]
    max_link_seconds: u64,
    /// Downloads that run at a time; further ones are told to come back.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096))]
    max_streams: u16,
    /// Address to be asked at [default: every address, and port 8443]. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    listen: Option<SocketAddr>,
    /// Address of probes and metrics [default: every address, and port 8080]. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    admin_listen: Option<SocketAddr>,
}

impl GatewayArgs {
    fn options(&self) -> Options {
        Options {
            namespace: self.namespace.clone(),
            watched: in_cluster::watched(&self.watch_namespace),
            public_url: self.public_url.clone(),
            audience: self.audience.clone(),
            collector_url: self.collector_url.clone(),
            trusted_proxies: self.trusted_proxies.iter().copied().collect(),
            max_link_ttl: Duration::from_secs(self.max_link_seconds),
            limits: Limits::of(self.max_streams.into()),
        }
    }
}

/// Why there is no TLS.
#[derive(Debug, Error)]
enum TlsError {
    /// A file could not be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] std::io::Error),
    /// A file holds something else.
    #[error("{0} holds no {1} in PEM form")]
    Pem(PathBuf, &'static str, #[source] rustls::pki_types::pem::Error),
    /// The certificate and the key do not go together, or cannot be used.
    #[error("cannot use the certificate and the key in {0}")]
    Use(PathBuf, #[source] rustls::Error),
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        Self::new(ExitCode::Failed, error).with_hint("mount a Secret of type `kubernetes.io/tls` there")
    }
}

/// The two files of a TLS directory, as bytes.
#[derive(PartialEq, Eq)]
struct TlsFiles {
    dir: PathBuf,
    certificates: Vec<u8>,
    key: Vec<u8>,
}

/// Runs until SIGTERM or ctrl-C; a second one ends at once.
///
/// # Errors
/// A [`Failure`] that says what could not be started.
pub fn run(args: &GatewayArgs) -> Result<ExitCode, Failure> {
    process::block_on(serve(args))
}

async fn serve(args: &GatewayArgs) -> Result<ExitCode, Failure> {
    let stop = Stop::listen()?;
    let (client, server) = in_cluster::connect().await?;
    let meant = |given: Option<SocketAddr>, port| given.unwrap_or_else(|| SocketAddr::new(any_address(), port));
    let (listener, address) = in_cluster::bind(meant(args.listen, GATEWAY_PORT)).await?;
    let (probe_listener, probe_address) = in_cluster::bind(meant(args.admin_listen, ADMIN_PORT)).await?;
    let background = Shutdown::new();
    let tls = match &args.tls_dir {
        Some(dir) => Some(follow_tls(TlsFiles::read(dir)?, &background)?),
        None => None,
    };
    let options = args.options();
    info!(server, %address, admin = %probe_address, namespace = options.namespace, tls = tls.is_some(), "gateway started");
    let clock = Arc::new(SystemClock::new());
    let gateway = Gateway::start(Parts { client, clock, options, listener, tls });
    let probes = (probe_listener, gateway.admin());
    Ok(in_cluster::until_stopped(stop, probes, &background, gateway.stop()).await)
}

/// Returns the TLS settings of the files, and exchanges them whenever the files are others.
fn follow_tls(files: TlsFiles, background: &Shutdown) -> Result<Tls, Failure> {
    let tls: Tls = Arc::new(ArcSwap::from_pointee(files.settings()?));
    let (current, stage) = (Arc::clone(&tls), background.clone());
    background.spawn("tls", async move {
        let mut known = files;
        loop {
            tokio::select! {
                () = stage.requested() => return,
                () = sleep(READ_TLS_AGAIN) => {}
            }
            let dir = known.dir.clone();
            let read = stage.blocking(move || TlsFiles::read(&dir)).await;
            match read
                .and_then(|files| if files == known { Ok(None) } else { files.settings().map(|s| Some((files, s))) })
            {
                Ok(None) => {}
                Ok(Some((files, settings))) => {
                    current.store(Arc::new(settings));
                    known = files;
                    info!("the certificate was exchanged");
                }
                Err(error) => warn!(error = chain(&error), "the old certificate stays"),
            }
        }
    });
    Ok(tls)
}

impl TlsFiles {
    fn read(dir: &Path) -> Result<Self, TlsError> {
        let read = |name: &str| {
            let path = dir.join(name);
            let mut bytes = Vec::new();
            let read = named::open(&path).and_then(|file| file.take(MAX_PEM).read_to_end(&mut bytes));
            read.map(|_| bytes).map_err(|error| TlsError::Read(path, error))
        };
        Ok(Self { dir: dir.to_owned(), certificates: read("tls.crt")?, key: read("tls.key")? })
    }

    fn settings(&self) -> Result<ServerConfig, TlsError> {
        let no_pem = |name: &str, what| {
            let path = self.dir.join(name);
            move |error| TlsError::Pem(path, what, error)
        };
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificates).collect();
        let certificates = certificates.map_err(no_pem("tls.crt", "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(no_pem("tls.key", "private key"))?;
        let settings = ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key);
        let mut settings = settings.map_err(|error| TlsError::Use(self.dir.clone(), error))?;
        settings.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::gateway::proxies::TrustedProxies;
    use crate::installation::Watched;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        gateway: GatewayArgs,
    }

    fn parse(typed: &[&str]) -> Result<Options, clap::Error> {
        let least = ["gateway", "--namespace", "system"];
        Typed::try_parse_from([&least, typed].concat()).map(|typed| typed.gateway.options())
    }

    #[test]
    fn what_is_not_typed_is_safe() {
        let options = parse(&[]).unwrap();
        assert_eq!((options.watched, options.public_url), (Watched::All, None));
        assert_eq!((options.max_link_ttl.as_secs(), options.limits.link_streams), (7 * 24 * 3600, 4));
        assert_eq!(options.audience, "tracecapture-gateway");
        assert_eq!(options.trusted_proxies, TrustedProxies::default());
    }

    #[test]
    fn values_are_checked_where_they_are_typed() {
        for wrong in [
            ["--public-url", "captures.example.com"],
            ["--max-link-seconds", "1"],
            ["--max-streams", "0"],
            ["--listen", "x"],
            ["--trusted-proxies", "10.0.0.0/8,ingress"],
        ] {
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
        let few = parse(&["--max-streams", "7"]).unwrap().limits;
        assert_eq!((few.streams, few.user_streams), (7, 4), "one user leaves some to others");
        let trusted = ["10.0.0.0/8", "fd00::1"].iter().map(|text| text.parse::<Network>().unwrap()).collect();
        assert_eq!(parse(&["--trusted-proxies", "10.0.0.0/8,fd00::1"]).unwrap().trusted_proxies, trusted);
    }
}
