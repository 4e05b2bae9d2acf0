//! The door to the gateway: its public address, or the API server's service proxy.

use std::time::Duration;

use http::header::{AUTHORIZATION, IF_RANGE, RANGE};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::client::Body;
use kube::{Client, Config};
use thiserror::Error;

use super::{DownloadArgs, Via};
use crate::tools::cluster::captures::Seen;
use crate::tools::cluster::connect::{Cluster, stranger};
use crate::tools::exit::{ExitCode, Failure};

/// The header that carries a token where `Authorization` does not arrive: the API server's service proxy drops it.
const TOKEN_HEADER: &str = "x-tracecapture-token";

/// The audience of tokens that are made for the gateway alone.
const AUDIENCE: &str = "tracecapture-gateway";

/// How long a token made for a download is good: a download that takes longer gets another one when it goes on.
const TOKEN_SECONDS: i64 = 3600;

/// How long a connection may be silent.
const IDLE_LIMIT: Duration = Duration::from_mins(1);

/// Where bundles are asked for, and with which token.
pub(super) struct Door<'a> {
    client: Client,
    /// Path and query of the bundle.
    target: PathAndQuery,
    header: HeaderName,
    /// What stands before the token in the header.
    scheme: &'static str,
    cluster: &'a Cluster,
    args: &'a DownloadArgs,
}

/// Why there is no way in.
#[derive(Debug, Error)]
enum DoorError {
    #[error("the capture {0} has no address for downloads in its status")]
    NoAddress(String),
    #[error("the address `{0}` in the capture's status is none that can be asked")]
    Address(String),
    #[error("the address `{0}` in the capture's status has no TLS: anybody on the way could read the token")]
    Plain(String),
    #[error("there is no token to show to the gateway")]
    NoToken,
    #[error("--as does not reach the gateway, which would see the kubeconfig's own token")]
    Impersonated,
    #[error("the API server made no token for the service account {0}")]
    EmptyToken(String),
}

impl<'a> Door<'a> {
    /// Finds the way that the flags ask for.
    ///
    /// # Errors
    /// A [`Failure`] where there is no such way, or no token for it.
    pub(super) async fn find(args: &'a DownloadArgs, cluster: &'a Cluster, query: &str) -> Result<Self, Failure> {
        let has_own_token = args.token.is_some() || args.service_account.is_some();
        if args.capture.cluster.user.is_some() && !has_own_token {
            return Err(Failure::new(ExitCode::Usage, DoorError::Impersonated)
                .with_hint("add --service-account NAME, or set TRACECAPTURE_TOKEN"));
        }
        let url = match args.via {
            Via::Apiserver => None,
            Via::Auto | Via::Url => {
                let capture = cluster.get(&args.capture.name).await?;
                let url = capture.status().bundle.and_then(|bundle| bundle.url);
                if url.is_none() && args.via == Via::Url {
                    return Err(no_address(&capture));
                }
                url
            }
        };
        let door = match url {
            Some(url) => Self::by_url(args, cluster, &url, query)?,
            None => Self::by_api_server(args, cluster, query)?,
        };
        // Better said before a file is touched.
        door.token().await?;
        Ok(door)
    }

    fn by_url(args: &'a DownloadArgs, cluster: &'a Cluster, url: &str, query: &str) -> Result<Self, Failure> {
        let wrong =
            || Failure::new(ExitCode::Failed, DoorError::Address(url.to_owned())).with_hint("try --via apiserver");
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(wrong()) };
        let is_local = matches!(authority.host(), "localhost" | "127.0.0.1" | "[::1]");
        match scheme {
            "https" => {}
            "http" if is_local || args.allow_http => {}
            "http" => {
                return Err(Failure::new(ExitCode::Failed, DoorError::Plain(url.to_owned()))
                    .with_hint("use --via apiserver, or --allow-http where the network is yours"));
            }
            _ => return Err(wrong()),
        }
        let base = format!("{scheme}://{authority}").parse().map_err(|_| wrong())?;
        let mut config = Config::new(base);
        config.root_cert_file.clone_from(&args.certificate_authority);
        config.read_timeout = Some(IDLE_LIMIT);
        config.reset_reader_on_write = true;
        let target = target(uri.path(), query).ok_or_else(wrong)?;
        Ok(Self { client: stranger(config)?, target, header: AUTHORIZATION, scheme: "Bearer ", cluster, args })
    }

    fn by_api_server(args: &'a DownloadArgs, cluster: &'a Cluster, query: &str) -> Result<Self, Failure> {
        let (namespace, name) = (&cluster.namespace, &args.capture.name);
        let path = format!(
            "/api/v1/namespaces/{}/services/http:tracecapture-gateway:http/proxy/api/v1/captures/{namespace}/{name}/bundle.tar",
            args.gateway_namespace
        );
        let target = target(&path, query).ok_or_else(|| {
            Failure::new(ExitCode::Usage, DoorError::Address(path.clone()))
                .with_hint("look at the name and the namespaces")
        })?;
        let header = HeaderName::from_static(TOKEN_HEADER);
        Ok(Self { client: cluster.impatient()?, target, header, scheme: "", cluster, args })
    }

    /// Asks for the bundle, from a byte on where there is a tag to continue.
    ///
    /// # Errors
    /// A [`Failure`] where there is no token; what the connection says inside.
    pub(super) async fn ask(&self, from: Option<(u64, &str)>) -> Result<Result<Response<Body>, kube::Error>, Failure> {
        let mut token = HeaderValue::from_str(&format!("{}{}", self.scheme, self.token().await?))
            .map_err(|_| no_token("the token has characters that no header takes"))?;
        token.set_sensitive(true);
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from(self.target.clone());
        request.headers_mut().insert(self.header.clone(), token);
        if let Some((position, tag)) = from {
            let range = HeaderValue::from_str(&format!("bytes={position}-"));
            if let (Ok(range), Ok(tag)) = (range, HeaderValue::from_str(tag)) {
                request.headers_mut().insert(RANGE, range);
                request.headers_mut().insert(IF_RANGE, tag);
            }
        }
        Ok(self.client.send(request).await)
    }

    /// Returns the token; anew each time, since those of plugins and requests expire.
    async fn token(&self) -> Result<String, Failure> {
        if let Some(token) = &self.args.token {
            return Ok(token.clone());
        }
        if let Some(account) = &self.args.service_account {
            return self.requested(account).await;
        }
        self.cluster.token().await?.ok_or_else(|| {
            no_token(
                "the kubeconfig has a client certificate or nothing: add --service-account NAME, an account with the \
                 ClusterRole tracecapture-support, or set TRACECAPTURE_TOKEN (`kubectl create token NAME`)",
            )
        })
    }

    async fn requested(&self, account: &str) -> Result<String, Failure> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.cluster.client.clone(), &self.cluster.namespace);
        let spec = TokenRequestSpec {
            audiences: vec![AUDIENCE.to_owned()],
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let what = format!("request a token of the service account {}/{account}", self.cluster.namespace);
        let params = PostParams::default();
        let made = self.cluster.ask(what, accounts.create_token_request(account, &params, &request)).await?;
        let token = made.status.map(|status| status.token).filter(|token| !token.is_empty());
        token.ok_or_else(|| Failure::new(ExitCode::Denied, DoorError::EmptyToken(account.to_owned())))
    }
}

fn target(path: &str, query: &str) -> Option<PathAndQuery> {
    let text = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    text.parse().ok()
}

fn no_address(capture: &Seen) -> Failure {
    Failure::new(ExitCode::NotFound, DoorError::NoAddress(capture.id()))
        .with_hint("use --via apiserver, or give the operator its --public-url")
}

fn no_token(hint: &str) -> Failure {
    Failure::new(ExitCode::Denied, DoorError::NoToken).with_hint(hint)
}
