//! Where to send: the URL that was typed.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use http::Uri;
use http::uri::{Authority, Scheme};
use thiserror::Error;

/// The ports that OTLP is assigned.
const GRPC_PORT: u16 = 4317;
const HTTP_PORT: u16 = 4318;

/// The path of the trace service's only call.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The path of traces over HTTP, where the URL has none.
const TRACES: &str = "/v1/traces";

/// The transports of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// gRPC, in clear text (h2c) for `http://`.
    Grpc,
    /// HTTP/1.1 with protobuf.
    Http,
}

/// The URL of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    typed: String,
    is_tls: bool,
    authority: Authority,
    /// Path and query; empty where there is none.
    path: String,
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidTarget {
    /// It is no URL, or has no host.
    #[error("write a URL such as `http://localhost:4317` or `https://otlp.example.com/v1/traces`")]
    NoUrl,
    /// It is neither http nor https.
    #[error("the URL begins with neither `http://` nor `https://`")]
    Scheme,
    /// It holds a user name.
    #[error("the URL holds a user: give credentials as --header, such as `--header Authorization='Basic …'`")]
    User,
}

impl Target {
    /// Tells whether the URL has a path.
    pub(in super::super) fn has_path(&self) -> bool {
        !self.path.is_empty()
    }

    /// Tells whether the URL is rather one of OTLP over HTTP.
    pub(in super::super) fn suggests_http(&self) -> bool {
        self.has_path() || self.authority.port_u16() == Some(HTTP_PORT)
    }

    /// Returns scheme, host and port to connect to.
    pub(super) fn address(&self, protocol: Protocol) -> Uri {
        let scheme = if self.is_tls { Scheme::HTTPS } else { Scheme::HTTP };
        let authority = self.with_port(protocol).parse().unwrap_or_else(|_| self.authority.clone());
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(scheme);
        parts.authority = Some(authority);
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
        Uri::from_parts(parts).unwrap_or_default()
    }

    /// Returns the URL of an export.
    pub(super) fn export_url(&self, protocol: Protocol) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        let path = match protocol {
            Protocol::Grpc => EXPORT,
            Protocol::Http if self.has_path() => &self.path,
            Protocol::Http => TRACES,
        };
        format!("{scheme}://{}{path}", self.with_port(protocol))
    }

    fn with_port(&self, protocol: Protocol) -> String {
        match (self.authority.port_u16(), self.is_tls, protocol) {
            (Some(_), ..) | (None, true, _) => self.authority.to_string(),
            (None, false, Protocol::Grpc) => format!("{}:{GRPC_PORT}", self.authority),
            (None, false, Protocol::Http) => format!("{}:{HTTP_PORT}", self.authority),
        }
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let uri: Uri = text.parse().map_err(|_| InvalidTarget::NoUrl)?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) => return Err(InvalidTarget::Scheme),
            None => return Err(InvalidTarget::NoUrl),
        };
        let authority = uri.authority().filter(|authority| !authority.host().is_empty()).ok_or(InvalidTarget::NoUrl)?;
        if authority.as_str().contains('@') {
            return Err(InvalidTarget::User);
        }
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        let path = if path == "/" { String::new() } else { path.to_owned() };
        Ok(Self { typed: text.to_owned(), is_tls, authority: authority.clone(), path })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_paths_are_those_of_otlp_unless_they_are_typed() {
        let check = |typed: &str, protocol, url: &str| {
            let target: Target = typed.parse().unwrap();
            let found = target.export_url(protocol);
            assert_eq!(found.replace(EXPORT, "/E"), url);
            assert!(found.starts_with(target.address(protocol).to_string().trim_end_matches('/')), "{found}");
        };
        check("http://h", Protocol::Grpc, "http://h:4317/E");
        check("http://h/", Protocol::Http, "http://h:4318/v1/traces");
        check("https://h", Protocol::Grpc, "https://h/E");
        check("https://h/otlp?x=1", Protocol::Http, "https://h/otlp?x=1");
        check("http://[::1]:9", Protocol::Http, "http://[::1]:9/v1/traces");
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        let check = |text: &str, why| assert_eq!(text.parse::<Target>(), Err(why), "{text}");
        check("localhost:4317", InvalidTarget::NoUrl);
        check("/v1/traces", InvalidTarget::NoUrl);
        check("grpc://h:4317", InvalidTarget::Scheme);
        check("http://user:secret@h", InvalidTarget::User);
    }
}
