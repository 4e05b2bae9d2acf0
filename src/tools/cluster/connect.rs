//! The way to the API server, and who asks there.

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Request, Response};
use kube::client::{Body, ConfigExt as _};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::{BoxError, Layer as _, ServiceExt as _, service_fn};

use super::args::ClusterArgs;
use super::error::ClusterError;
use crate::ids::CaptureId;
use crate::installation::nesting;
use crate::tools::exit::{ExitCode, Failure};

/// How long a connection may take: a server that is there accepts within a second.
pub(in crate::tools) const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long the API server may take for one answer about objects.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A cluster as the flags name it.
pub struct Cluster {
    /// The client of the API server.
    pub client: Client,
    /// What it was made of.
    config: Config,
    /// The namespace that was named, or that of the context.
    pub namespace: String,
}

impl Cluster {
    /// Makes a client by the flags; nothing is asked yet, but an exec plugin may run.
    ///
    /// # Errors
    /// A [`Failure`] where nothing says which cluster, or what says so cannot be used.
    pub async fn connect(args: &ClusterArgs) -> Result<Self, Failure> {
        // Fails only where a provider is installed already, and then that one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = config(args).await?;
        config.connect_timeout = Some(CONNECT_LIMIT);
        config.disable_compression = true;
        if args.user.is_some() {
            config.auth_info.impersonate.clone_from(&args.user);
            config.auth_info.impersonate_groups = (!args.groups.is_empty()).then(|| args.groups.clone());
        }
        let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config.clone()).map_err(|error| ClusterError::Client(Box::new(error)))?;
        Ok(Self { client: nesting::limited(client), config, namespace })
    }

    /// Returns the capture of this name in the namespace.
    ///
    /// # Errors
    /// A [`Failure`] where no capture can have the name.
    pub fn id_of(&self, name: &str) -> Result<CaptureId, Failure> {
        CaptureId::new(&self.namespace, name).map_err(|error| Failure::new(ExitCode::Usage, error))
    }

    /// Returns a client of the same server that tries nothing a second time, for who counts tries and says so.
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub fn impatient(&self) -> Result<Client, Failure> {
        let mut config = self.config.clone();
        config.default_retry = false;
        Client::try_from(config).map_err(|error| ClusterError::Client(Box::new(error)).into())
    }

    /// Waits for an answer of the API server, but not for ever.
    ///
    /// `what` completes "cannot …".
    ///
    /// # Errors
    /// What the API server says as a [`Failure`] with the exit code for it.
    pub async fn ask<T>(
        &self,
        what: impl Into<String>,
        answer: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(ANSWER_LIMIT, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(ClusterError::of(what.into(), error).into()),
            Err(_) => Err(ClusterError::Time { what: what.into(), limit: ANSWER_LIMIT }.into()),
        }
    }

    /// Returns the token that the kubeconfig has, gets from a file or from an exec plugin; `None` where it has none.
    ///
    /// # Errors
    /// A [`Failure`] where the file or the plugin fails.
    pub async fn token(&self) -> Result<Option<String>, Failure> {
        let failed = |error: BoxError| Failure::from(ClusterError::Token(error));
        let Some(layer) = self.config.auth_layer().map_err(|error| failed(Box::new(error)))? else { return Ok(None) };
        // What the client would send to the API server is read off a request that goes nowhere.
        let nowhere = service_fn(|request: Request<Body>| async move {
            Ok::<_, BoxError>(Response::new(request.headers().get(AUTHORIZATION).cloned()))
        });
        let header = layer.layer(nowhere).oneshot(Request::new(Body::empty())).await.map_err(failed)?.into_body();
        let text = header.as_ref().and_then(|value| value.to_str().ok());
        Ok(text.and_then(|text| text.strip_prefix("Bearer ")).map(|token| token.trim().to_owned()))
    }
}

async fn config(args: &ClusterArgs) -> Result<Config, ClusterError> {
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    let config = match (&args.kubeconfig, &args.context) {
        (Some(path), _) => {
            let kubeconfig = Kubeconfig::read_from(path).map_err(|error| ClusterError::Config(Box::new(error)))?;
            Config::from_custom_kubeconfig(kubeconfig, &options).await
        }
        (None, Some(_)) => Config::from_kubeconfig(&options).await,
        (None, None) => return Config::infer().await.map_err(|error| ClusterError::Config(Box::new(error))),
    };
    config.map_err(|error| ClusterError::Config(Box::new(error)))
}

/// Returns the contexts of the kubeconfig.
///
/// # Errors
/// A [`Failure`] where there is none that can be read.
pub fn contexts(args: &ClusterArgs) -> Result<Vec<String>, Failure> {
    let read = args.kubeconfig.as_ref().map_or_else(Kubeconfig::read, Kubeconfig::read_from);
    let kubeconfig = read.map_err(|error| ClusterError::Config(Box::new(error)))?;
    Ok(kubeconfig.contexts.into_iter().map(|context| context.name).collect())
}

/// Makes a client of something else than the API server, which is told nothing of who asks.
///
/// # Errors
/// A [`Failure`] where it cannot be made, such as without any root certificate.
pub(in crate::tools) fn stranger(mut config: Config) -> Result<Client, Failure> {
    config.auth_info = AuthInfo::default();
    config.connect_timeout = Some(CONNECT_LIMIT);
    config.disable_compression = true;
    config.default_retry = false;
    Client::try_from(config).map_err(|error| ClusterError::Client(Box::new(error)).into())
}
