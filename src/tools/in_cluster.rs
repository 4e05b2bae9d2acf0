//! What the roles that talk to the API server have in common at their start.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use kube::config::InferConfigError;
use kube::{Client, Config};
use thiserror::Error;
use tokio::net::TcpListener;

use super::exit::{ExitCode, Failure};
use super::process::Stop;
use crate::admin::{self, Admin};
use crate::installation::Watched;
use crate::shutdown::Shutdown;

/// Why a role did not start.
#[derive(Debug, Error)]
enum StartError {
    /// Nothing says where the cluster is.
    #[error("cannot tell where the Kubernetes API server is")]
    Config(#[source] Box<InferConfigError>),
    /// What says so cannot be used.
    #[error("cannot make a client of the Kubernetes API server")]
    Client(#[source] Box<kube::Error>),
    /// An address could not be opened.
    #[error("cannot listen on {0}")]
    Bind(SocketAddr, #[source] io::Error),
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let hint = match &error {
            StartError::Config(_) | StartError::Client(_) => {
                "run it in a pod with a service account, or set KUBECONFIG"
            }
            StartError::Bind(..) => {
                "end the process that has the address, or choose another one; port 0 picks a free one"
            }
        };
        Self::new(ExitCode::Failed, error).with_hint(hint)
    }
}

/// Makes a client of the API server of this pod, or of the kubeconfig; returns the server's address, too.
///
/// # Errors
/// A [`Failure`] that says what is missing.
pub(super) async fn connect() -> Result<(Client, String), Failure> {
    // Fails only where a provider is installed already, and then that one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config::infer().await.map_err(|error| StartError::Config(Box::new(error)))?;
    let server = config.cluster_url.to_string();
    let client = Client::try_from(config).map_err(|error| StartError::Client(Box::new(error)))?;
    Ok((client, server))
}

/// Opens an address; returns the one that it became.
///
/// # Errors
/// A [`Failure`] that says which address could not be had.
pub(super) async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let bound = |error| StartError::Bind(address, error);
    let listener = TcpListener::bind(address).await.map_err(bound)?;
    let address = listener.local_addr().map_err(bound)?;
    Ok((listener, address))
}

/// Serves probes and metrics until SIGTERM or ctrl-C, then ends the role, and last of all the probes; a second signal
/// ends at once.
pub(super) async fn until_stopped(
    mut stop: Stop,
    (listener, admin): (TcpListener, Admin),
    background: &Shutdown,
    end: impl Future<Output = bool>,
) -> ExitCode {
    let current = Arc::new(ArcSwap::from_pointee(admin));
    background.spawn("admin", admin::serve(listener, current, background.clone()));
    stop.requested().await;
    let ended = tokio::select! {
        ended = end => ended,
        () = stop.requested() => return ExitCode::Interrupted,
    };
    background.stop("admin", admin::END_LIMIT).await;
    if ended { ExitCode::Done } else { ExitCode::Failed }
}

/// Returns whose captures are meant: those of the namespaces that were typed, or all.
pub(super) fn watched(names: &[String]) -> Watched {
    if names.is_empty() {
        return Watched::All;
    }
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    Watched::Namespaces(names)
}

/// Reads the base of an address, without a slash at its end.
pub(super) fn parse_base_url(text: &str) -> Result<String, &'static str> {
    let uri: http::Uri = text.parse().map_err(|_| "write an address such as `https://captures.example.com`")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.query().is_some() {
        return Err("write an address such as `https://captures.example.com`, without a query");
    }
    Ok(text.trim_end_matches('/').to_owned())
}
