//! Who may ask: the token or the grant, the names of the host, the origin of what changes state.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::{Authority, Uri};
use ring::error::Unspecified;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;

use crate::api::grant::{self, GrantPublicKey};
use crate::clock::Timestamp;

/// Bytes of a token made here: 256 bits.
const TOKEN_BYTES: usize = 32;

/// What a client without a grant is told.
const GRANT_HINT: &str =
    "send `Authorization: Bearer GRANT`: this address answers the gateway and the operator of its installation alone";

/// How requests prove that they may ask.
#[derive(Clone)]
pub enum Access {
    /// One secret for everything, under names that a foreign page cannot have.
    Token {
        /// The secret.
        token: AccessToken,
        /// One line for who does not have it: where it is found.
        hint: &'static str,
        /// The names under which the address may be reached.
        hosts: Hosts,
    },
    /// A grant of the installation for each request, under any name: pods are reached by many.
    ///
    /// A page that found its way here by another name would have no grant to send.
    Grants {
        /// The UID of the capture that grants are for.
        uid: String,
        /// The keys that may have signed them, replaced as a whole while this runs.
        keys: Arc<ArcSwap<Vec<GrantPublicKey>>>,
    },
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Denied {
    /// It was meant for another address.
    #[error("this address is not reached under that host name: use `localhost` or the address itself")]
    UnknownHost,
    /// It carries no valid token.
    #[error("send `Authorization: Bearer TOKEN`: {hint}")]
    NoToken {
        /// Where the token is found.
        hint: &'static str,
    },
    /// It carries no grant.
    #[error("{GRANT_HINT}")]
    NoGrant,
    /// Its grant does not hold.
    #[error("{0}; {GRANT_HINT}")]
    Refused(grant::Refused),
    /// Its grant is for another request, so asking again does not help.
    #[error("the grant is for another capture, method or path")]
    OtherRequest,
}

/// The secret that requests carry as `Authorization: Bearer …`.
///
/// Held as a keyed digest only, so it can neither be shown nor compared byte by byte.
#[derive(Clone)]
pub struct AccessToken(Arc<(hmac::Key, hmac::Tag)>);

/// The host names under which an address may be reached.
///
/// A page on the internet can make its own name resolve to this machine (DNS rebinding); its requests
/// then carry that name. So names are admitted that cannot be such: loopback ones, addresses, and those configured.
#[derive(Debug, Clone)]
pub struct Hosts {
    bound: IpAddr,
    names: Vec<String>,
}

/// Who a request comes from, as it stands in the audit line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Principal(pub(super) &'static str);

impl Access {
    /// Returns who a request comes from.
    pub(super) fn admit(&self, head: &http::Request<()>, now: Timestamp) -> Result<Principal, Denied> {
        match self {
            Self::Token { token, hint, hosts } => {
                if !hosts.admit(head.uri(), head.headers()) {
                    return Err(Denied::UnknownHost);
                }
                token.admit(head.headers()).ok_or(Denied::NoToken { hint })
            }
            Self::Grants { uid, keys } => {
                let text = bearer(head.headers()).and_then(|text| std::str::from_utf8(text).ok());
                let request = (uid.as_str(), head.method().as_str(), head.uri().path());
                match grant::verify(text.ok_or(Denied::NoGrant)?, &keys.load(), request, now) {
                    Ok(()) => Ok(Principal("grant")),
                    Err(grant::Refused::OtherRequest) => Err(Denied::OtherRequest),
                    Err(refused) => Err(Denied::Refused(refused)),
                }
            }
        }
    }
}

impl AccessToken {
    /// Takes a token that was given.
    ///
    /// # Errors
    /// Where the system has no random bytes for the digest's key.
    pub fn new(secret: &str) -> Result<Self, Unspecified> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())?;
        let digest = hmac::sign(&key, secret.as_bytes());
        Ok(Self(Arc::new((key, digest))))
    }

    /// Draws a token; its text is shown to the user once.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub fn draw() -> Result<(String, Self), Unspecified> {
        let mut bytes = [0; TOKEN_BYTES];
        SystemRandom::new().fill(&mut bytes)?;
        let text = URL_SAFE_NO_PAD.encode(bytes);
        let token = Self::new(&text)?;
        Ok((text, token))
    }

    /// Returns who the request comes from, `None` where it carries no valid token; in constant time.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Option<Principal> {
        let (given, (key, digest)) = (bearer(headers)?, &*self.0);
        hmac::verify(key, given, digest.as_ref()).is_ok().then_some(Principal("token"))
    }
}

impl Hosts {
    /// Admits loopback names, the bound address, and `names`; any address where it is bound to more than loopback.
    pub fn new(bound: SocketAddr, names: Vec<String>) -> Self {
        Self { bound: bound.ip(), names }
    }

    /// Tells whether the request may have been meant for this address.
    pub(super) fn admit(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        authority(uri, headers).is_some_and(|authority| self.knows(authority.host()))
    }

    fn knows(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        match host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback() || address == self.bound || !self.bound.is_loopback(),
            Err(_) => host == "localhost" || self.names.contains(&host),
        }
    }
}

/// Returns what stands behind `Bearer` in a request's `Authorization`.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, secret) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| secret.trim_ascii())
}

/// Tells whether a browser's page of another origin sent this; programs that are none send no origin.
pub(super) fn is_cross_origin(uri: &Uri, headers: &HeaderMap) -> bool {
    let foreign_site = headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    let Some(origin) = headers.get(ORIGIN) else { return foreign_site };
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    let same = origin.and_then(|origin| Some(origin.authority()? == &authority(uri, headers)?));
    foreign_site || same != Some(true)
}

/// Returns the authority a request is for: of its absolute form, else of its `Host` header.
fn authority(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(HOST).iter();
    match (uri.authority(), hosts.next(), hosts.next()) {
        (Some(authority), _, None) => Some(authority.clone()),
        (None, Some(host), None) => host.to_str().ok()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_token_alone_admits() {
        let (text, token) = AccessToken::draw().unwrap();
        let admitted = |value: &str| token.admit(&headers(&[("authorization", value)])).is_some();
        assert!(admitted(&format!("Bearer {text}")) && admitted(&format!("bearer  {text}")));
        for wrong in ["", "Bearer", "Bearer ", &text, &format!("Basic {text}"), &format!("Bearer {text}x")] {
            assert!(!admitted(wrong), "{wrong}");
        }
        assert_eq!(token.admit(&HeaderMap::new()), None);
    }

    #[test]
    fn a_grant_admits_to_its_own_request_under_any_name() {
        let (key, _) = grant::GrantKey::draw().unwrap();
        let keys = Arc::new(ArcSwap::from_pointee(vec![key.public().unwrap()]));
        let access = Access::Grants { uid: "u-1".to_owned(), keys: Arc::clone(&keys) };
        let text = |path: &str| {
            let (uid, method, path) = ("u-1".to_owned(), "GET".to_owned(), path.to_owned());
            format!("Bearer {}", key.sign(&grant::Grant { uid, method, path, expires: 1_000 }))
        };
        let ask = |authorization: &str, second: u64| {
            let request = http::Request::get("http://10.0.0.7:4319/a?since=1").header(AUTHORIZATION, authorization);
            access.admit(&request.body(()).unwrap(), Timestamp::from_unix_nanos(second * 1_000_000_000))
        };
        assert_eq!(ask(&text("/a"), 999), Ok(Principal("grant")));
        assert_eq!(ask(&text("/a"), 1_000), Err(Denied::Refused(grant::Refused::Expired)));
        assert_eq!(ask(&text("/b"), 999), Err(Denied::OtherRequest));
        assert_eq!(ask("Bearer secret", 999), Err(Denied::Refused(grant::Refused::Malformed)));
        assert_eq!(ask("Basic x", 999), Err(Denied::NoGrant));
        keys.store(Arc::default());
        assert_eq!(ask(&text("/a"), 999), Err(Denied::Refused(grant::Refused::Signature)));
    }

    #[test]
    fn foreign_names_are_not_served() {
        let admitted = |bound: &str, host: &str| {
            let hosts = Hosts::new(bound.parse().unwrap(), vec!["capture.example".to_owned()]);
            hosts.admit(&"/".parse().unwrap(), &headers(&[("host", host)]))
        };
        for host in ["localhost:4319", "LOCALHOST", "127.0.0.1", "[::1]:4319", "capture.example:80", "127.0.0.2"] {
            assert!(admitted("127.0.0.1:4319", host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "192.168.1.7:4319", "", "a b"] {
            assert!(!admitted("127.0.0.1:4319", host), "{host}");
        }
        assert!(admitted("0.0.0.0:4319", "192.168.1.7:4319") && !admitted("0.0.0.0:4319", "evil.example"));
    }

    #[test]
    fn pages_of_other_origins_change_nothing() {
        let cross = |origin: &str| {
            is_cross_origin(&"/".parse().unwrap(), &headers(&[("host", "localhost:1"), ("origin", origin)]))
        };
        assert!(!cross("http://localhost:1"));
        for origin in ["http://localhost:2", "http://evil.example", "null", ""] {
            assert!(cross(origin), "{origin}");
        }
        assert!(!is_cross_origin(&"/".parse().unwrap(), &headers(&[("host", "localhost:1")])));
        assert!(is_cross_origin(
            &"/".parse().unwrap(),
            &headers(&[("host", "localhost:1"), ("sec-fetch-site", "cross-site")])
        ));
    }
}
