//! Grants: the proof that a request to a collector comes from this installation.
//!
//! A grant names one capture, one method and one path, and ends after seconds. The
//! installation signs it with an Ed25519 key; collectors know only the public half, from
//! their settings, so nothing in a capture's namespace can make one.
//!
//! As text: `v1.<payload>.<signature>`, both in base64url without padding; the signature
//! is over `v1.<payload>`, the payload is the JSON of [`Grant`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clock::Timestamp;

/// The version in front of every grant.
const VERSION: &str = "v1";

/// The longest grant that is looked at, in bytes: uid, method and path of any request fit many times.
const MAX_TEXT_LEN: usize = 4096;

/// Bytes of an Ed25519 public key.
const PUBLIC_KEY_LEN: usize = 32;

/// What a request may do, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The UID of the `TraceCapture`.
    pub uid: String,
    /// The HTTP method; `GET` also stands for `HEAD`.
    pub method: String,
    /// The path, without a query.
    pub path: String,
    /// The Unix second from which on it is void.
    pub expires: u64,
}

/// Why a grant was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// It is no grant.
    #[error("this is no grant")]
    Malformed,
    /// No known key made its signature.
    #[error("no known key signed the grant")]
    Signature,
    /// It has ended. Another one may be asked for.
    #[error("the grant has expired")]
    Expired,
    /// It is for another capture, method or path.
    #[error("the grant is for another request")]
    OtherRequest,
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidKey {
    /// The bytes are no private key in PKCS #8 form.
    #[error("this is no Ed25519 private key in PKCS #8 form")]
    Private,
    /// The text is no public key.
    #[error("this is no Ed25519 public key: 32 bytes in base64url")]
    Public,
    /// The system has no random numbers.
    #[error("cannot draw a key")]
    Random,
}

/// The private key of an installation. It can neither be shown nor compared.
pub struct GrantKey(Ed25519KeyPair);

/// The public half of a [`GrantKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantPublicKey([u8; PUBLIC_KEY_LEN]);

impl GrantKey {
    /// Draws a key; returns its PKCS #8 form too, for the Secret that keeps it.
    ///
    /// # Errors
    /// [`InvalidKey::Random`].
    pub fn draw() -> Result<(Self, Vec<u8>), InvalidKey> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| InvalidKey::Random)?;
        let key = Self::from_pkcs8(document.as_ref())?;
        Ok((key, document.as_ref().to_vec()))
    }

    /// Reads a key in PKCS #8 form.
    ///
    /// # Errors
    /// [`InvalidKey::Private`].
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, InvalidKey> {
        Ed25519KeyPair::from_pkcs8(document).map(Self).map_err(|_| InvalidKey::Private)
    }

    /// Returns the public half.
    ///
    /// # Errors
    /// None in practice: an Ed25519 public key has 32 bytes.
    pub fn public(&self) -> Result<GrantPublicKey, InvalidKey> {
        self.0.public_key().as_ref().try_into().map(GrantPublicKey).map_err(|_| InvalidKey::Public)
    }

    /// Returns a grant as text.
    pub fn sign(&self, grant: &Grant) -> String {
        // A struct of strings and a number always has a JSON form.
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(grant).unwrap_or_default());
        let signed = format!("{VERSION}.{payload}");
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }
}

impl GrantPublicKey {
    /// Returns the key in base64url.
    pub fn to_text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads a key in base64url.
    ///
    /// # Errors
    /// [`InvalidKey::Public`].
    pub fn from_text(text: &str) -> Result<Self, InvalidKey> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| InvalidKey::Public)?;
        bytes.try_into().map(Self).map_err(|_| InvalidKey::Public)
    }

    /// Reads a file of keys, one a line; empty lines and those that begin with `#` are passed over.
    ///
    /// # Errors
    /// [`InvalidKey::Public`] where one line is no key: a file that is half right is not trusted.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, InvalidKey> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(Self::from_text).collect()
    }
}

/// Checks that `text` is a grant, by one of `keys`, for this request and for now.
///
/// `HEAD` is granted by `GET`: it tells less.
///
/// # Errors
/// [`Refused`]; only an expired one is worth another try, with a new grant.
pub fn verify(
    text: &str,
    keys: &[GrantPublicKey],
    (uid, method, path): (&str, &str, &str),
    now: Timestamp,
) -> Result<(), Refused> {
    let (signed, signature) = text.rsplit_once('.').filter(|_| text.len() <= MAX_TEXT_LEN).ok_or(Refused::Malformed)?;
    let payload = signed.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('.')).ok_or(Refused::Malformed)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refused::Malformed)?;
    // The signature first: nothing of what an unknown hand wrote is read.
    let is_signed =
        |key: &GrantPublicKey| UnparsedPublicKey::new(&ED25519, key.0).verify(signed.as_bytes(), &signature).is_ok();
    if !keys.iter().any(is_signed) {
        return Err(Refused::Signature);
    }
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Refused::Malformed)?;
    let grant: Grant = serde_json::from_slice(&payload).map_err(|_| Refused::Malformed)?;
    if now.as_unix_nanos() / 1_000_000_000 >= grant.expires {
        return Err(Refused::Expired);
    }
    let method = if method == "HEAD" { "GET" } else { method };
    if (grant.uid.as_str(), grant.method.as_str(), grant.path.as_str()) != (uid, method, path) {
        return Err(Refused::OtherRequest);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/api/v1/captures/shop/checkout";

    fn grant() -> Grant {
        Grant { uid: "u-1".to_owned(), method: "GET".to_owned(), path: PATH.to_owned(), expires: 1000 }
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_nanos(second * 1_000_000_000)
    }

    fn check(request: (&str, &str, &str), second: u64, expected: Result<(), Refused>) {
        let (key, _) = GrantKey::draw().unwrap();
        let (other, _) = GrantKey::draw().unwrap();
        let keys = [other.public().unwrap(), key.public().unwrap()];
        assert_eq!(verify(&key.sign(&grant()), &keys, request, at(second)), expected, "{request:?}");
    }

    #[test]
    fn a_grant_holds_for_its_request_and_its_time() {
        check(("u-1", "GET", PATH), 999, Ok(()));
        check(("u-1", "HEAD", PATH), 999, Ok(()));
        check(("u-1", "GET", PATH), 1000, Err(Refused::Expired));
        check(("u-2", "GET", PATH), 999, Err(Refused::OtherRequest));
        check(("u-1", "DELETE", PATH), 999, Err(Refused::OtherRequest));
        check(("u-1", "GET", "/api/v1/captures/shop/other"), 999, Err(Refused::OtherRequest));
    }

    #[test]
    fn every_changed_character_is_refused() {
        let (key, pkcs8) = GrantKey::draw().unwrap();
        let keys = [GrantKey::from_pkcs8(&pkcs8).unwrap().public().unwrap()];
        let text = key.sign(&grant());
        for at_byte in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at_byte] = if bytes[at_byte] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verify(&changed, &keys, ("u-1", "GET", PATH), at(1)).is_err(), "{changed}");
        }
        for foreign in ["", ".", "v1..", "v2.e30.AA", &"a".repeat(10_000)] {
            assert!(verify(foreign, &keys, ("u-1", "GET", PATH), at(1)).is_err(), "{foreign}");
        }
        assert_eq!(verify(&text, &[], ("u-1", "GET", PATH), at(1)), Err(Refused::Signature));
    }

    #[test]
    fn keys_survive_their_text() {
        let public = GrantKey::draw().unwrap().0.public().unwrap();
        let file = format!("# of this installation\n\n{}\n", public.to_text());
        assert_eq!(GrantPublicKey::parse_file(&file), Ok(vec![public]));
        assert_eq!(GrantPublicKey::parse_file("nonsense"), Err(InvalidKey::Public));
        assert!(GrantKey::from_pkcs8(b"nonsense").is_err());
    }
}
