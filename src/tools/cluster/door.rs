//! The door to the gateway: its public address, or the API server's service proxy.
//!
//! # Invariants
//! - A token goes to the API server or to the capture's published address alone, and is never printed.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::client::Body;
use kube::{Client, Config};
use thiserror::Error;

use super::args::ClusterArgs;
use super::captures::Seen;
use super::connect::{Cluster, stranger};
use super::text::quoted;
use crate::api::access::{AUDIENCE, CAPTURES_PATH, INSTALLATION_NAMESPACE, PROXIED_SERVICE, TOKEN_HEADER};
use crate::ids::CaptureId;
use crate::tools::exit::{ExitCode, Failure};

/// How long a token is good that is made for the gateway: a download that takes longer gets another one when it goes on.
const TOKEN_SECONDS: i64 = 3600;

/// How long a connection may be silent.
pub const IDLE_LIMIT: Duration = Duration::from_mins(1);

/// Which way to the gateway, and with which token.
#[derive(Debug, Clone, Args)]
pub struct DoorArgs {
    /// The way: the address in the capture's status, or the API server's proxy; `auto` takes the address if there is one.
    #[arg(long, value_enum, default_value_t = Via::Auto, value_name = "WAY")]
    via: Via,
    /// Namespace of the installation, whose gateway is asked through the API server.
    #[arg(long, value_name = "NAMESPACE", default_value = INSTALLATION_NAMESPACE)]
    gateway_namespace: String,
    /// Ask the API server for a token of this service account of the capture's namespace, instead of the kubeconfig's.
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// The certificates that the address in the status is trusted by [default: those of the system].
    #[arg(long, value_name = "FILE")]
    certificate_authority: Option<PathBuf>,
    /// Send the token also to an address without TLS.
    #[arg(long)]
    allow_http: bool,
    /// The token, instead of the kubeconfig's.
    // Hidden, because a command line is visible to every user of the machine: the
    // documented way is the variable.
    #[arg(long, hide = true, env = "TRACECAPTURE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Via {
    Auto,
    Url,
    Apiserver,
}

/// The gateway, as somebody with a token reaches it.
pub struct Door<'a> {
    client: Client,
    /// What stands before the paths of the gateway.
    prefix: String,
    /// The public address, where the way is by it: without a slash at the end.
    public: Option<String>,
    header: HeaderName,
    /// What stands before the token in the header.
    scheme: &'static str,
    cluster: &'a Cluster,
    args: &'a DoorArgs,
}

/// Why there is no way in.
#[derive(Debug, Error)]
enum DoorError {
    #[error("the capture {0} has no address for downloads in its status")]
    NoAddress(String),
    #[error("no capture of the namespace {0} has an address for downloads in its status")]
    NoAddressAt(String),
    #[error("the address `{0}` in the capture's status is none that can be asked")]
    Address(String),
    #[error("the address `{0}` in the capture's status has no TLS: anybody on the way could read the token")]
    Plain(String),
    #[error("`{0}` is no namespace")]
    Namespace(String),
    #[error("there is no token to show to the gateway")]
    NoToken,
    #[error("--as does not reach the gateway, which would see the kubeconfig's own token")]
    Impersonated,
    #[error("the API server made no token for the service account {0}")]
    EmptyToken(String),
}

impl DoorArgs {
    /// Returns what has to be typed again for the next command to take the same way.
    pub fn typed(&self) -> String {
        let via = match self.via {
            Via::Auto => None,
            Via::Url => Some("url".to_owned()),
            Via::Apiserver => Some("apiserver".to_owned()),
        };
        let is_default = self.gateway_namespace == INSTALLATION_NAMESPACE;
        let flags = [
            ("--via", via),
            ("--gateway-namespace", (!is_default).then(|| self.gateway_namespace.clone())),
            ("--service-account", self.service_account.clone()),
            ("--certificate-authority", self.certificate_authority.as_ref().map(|path| path.display().to_string())),
        ];
        let mut typed = String::new();
        for (flag, value) in flags {
            if let Some(value) = value {
                // Writing to a string cannot fail.
                let _ = write!(typed, " {flag} {}", quoted(&value));
            }
        }
        if self.allow_http {
            typed.push_str(" --allow-http");
        }
        typed
    }
}

impl<'a> Door<'a> {
    /// Finds the way that the flags ask for; without a capture by the address of any of the namespace.
    ///
    /// # Errors
    /// A [`Failure`] where there is no such way, or no token for it.
    pub async fn find(
        args: &'a DoorArgs,
        (cluster, flags): (&'a Cluster, &ClusterArgs),
        capture: Option<&CaptureId>,
    ) -> Result<Self, Failure> {
        let has_own_token = args.token.is_some() || args.service_account.is_some();
        if flags.user.is_some() && !has_own_token {
            return Err(Failure::new(ExitCode::Usage, DoorError::Impersonated)
                .with_hint("add --service-account NAME, or set TRACECAPTURE_TOKEN"));
        }
        let address = match (args.via, capture) {
            (Via::Apiserver, _) => None,
            (Via::Auto | Via::Url, Some(capture)) => {
                let seen = cluster.get(capture.name()).await?;
                let address = address(&seen);
                if address.is_none() && args.via == Via::Url {
                    return Err(no_address(DoorError::NoAddress(seen.id())));
                }
                address
            }
            (Via::Url, None) => {
                let address = cluster.list().await?.iter().find_map(address);
                Some(address.ok_or_else(|| no_address(DoorError::NoAddressAt(cluster.namespace.clone())))?)
            }
            // Who may not list captures may still pass the API server's proxy.
            (Via::Auto, None) => cluster.list().await.unwrap_or_default().iter().find_map(address),
        };
        let door = match address {
            Some(url) => Self::by_url(args, cluster, &url)?,
            None => Self::by_api_server(args, cluster)?,
        };
        // Better said before a file is touched.
        door.token().await?;
        Ok(door)
    }

    /// Goes by the address of a bundle, as a status has it.
    fn by_url(args: &'a DoorArgs, cluster: &'a Cluster, url: &str) -> Result<Self, Failure> {
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
        let (prefix, _) = uri.path().split_once(CAPTURES_PATH).ok_or_else(wrong)?;
        let origin = format!("{scheme}://{authority}");
        let mut config = Config::new(origin.parse().map_err(|_| wrong())?);
        config.root_cert_file.clone_from(&args.certificate_authority);
        config.read_timeout = Some(IDLE_LIMIT);
        config.reset_reader_on_write = true;
        let (header, public) = (AUTHORIZATION, Some(format!("{origin}{prefix}")));
        let (client, prefix) = (stranger(config)?, prefix.to_owned());
        Ok(Self { client, prefix, public, header, scheme: "Bearer ", cluster, args })
    }

    fn by_api_server(args: &'a DoorArgs, cluster: &'a Cluster) -> Result<Self, Failure> {
        let namespace = &args.gateway_namespace;
        let prefix = format!("/api/v1/namespaces/{namespace}/services/{PROXIED_SERVICE}/proxy");
        if namespace.contains('/') || prefix.parse::<PathAndQuery>().is_err() {
            return Err(Failure::new(ExitCode::Usage, DoorError::Namespace(namespace.clone()))
                .with_hint("look at --gateway-namespace"));
        }
        let header = HeaderName::from_static(TOKEN_HEADER);
        Ok(Self { client: cluster.impatient()?, prefix, public: None, header, scheme: "", cluster, args })
    }

    /// Returns the public address of the gateway, where the way is by it: without a slash at the end.
    pub fn public(&self) -> Option<&str> {
        self.public.as_deref()
    }

    /// Asks the gateway; the request names path and query as the gateway knows them.
    ///
    /// # Errors
    /// A [`Failure`] where there is no token; what the connection says inside.
    pub async fn ask(&self, mut request: Request<Body>) -> Result<Result<Response<Body>, kube::Error>, Failure> {
        let mut token = HeaderValue::from_str(&format!("{}{}", self.scheme, self.token().await?))
            .map_err(|_| no_token("the token has characters that no header takes"))?;
        token.set_sensitive(true);
        let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        let target: Uri = format!("{}{path}", self.prefix)
            .parse()
            .map_err(|_| Failure::new(ExitCode::Failed, DoorError::Address(self.prefix.clone())))?;
        *request.uri_mut() = target;
        request.headers_mut().insert(self.header.clone(), token);
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
                "the kubeconfig has a client certificate or nothing: add --service-account NAME, an account that may \
                 do this (ClusterRole tracecapture-support for downloads, tracecapture-admin for links), or set \
                 TRACECAPTURE_TOKEN (`kubectl create token NAME`)",
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

/// Returns the address of a capture's bundle.
fn address(capture: &Seen) -> Option<String> {
    capture.status().bundle.and_then(|bundle| bundle.url)
}

fn no_address(error: DoorError) -> Failure {
    Failure::new(ExitCode::NotFound, error).with_hint("use --via apiserver, or give the operator its --public-url")
}

fn no_token(hint: &str) -> Failure {
    Failure::new(ExitCode::Denied, DoorError::NoToken).with_hint(hint)
}
