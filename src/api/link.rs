//! Signed links: a way to one capture's bundle for people without a token, until an instant.
//!
//! A link says which capture by its UID, so one that is deleted and made anew is another one;
//! which spans; and until when. It is signed with a key of the installation (HMAC-SHA256), of which two
//! live at a time, so that keys can be exchanged while links are in use.
//!
//! As text: `v1.<key>.<payload>.<signature>`; `<key>` are eight hexadecimal digits that tell keys apart,
//! the payload is the JSON of [`Link`] and the signature over everything before it, both in base64url
//! without padding.
//!
//! # Invariants
//! - Neither a key nor a whole link can be formatted: they get into no log by accident.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::error::Unspecified;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::access::OPENED_PATH;
pub use super::link_scope::{LinkScope, MAX_SERVICE_LEN};
use crate::clock::Timestamp;

/// The version in front of every link.
const VERSION: &str = "v1";

/// What keys are used for, so that a signature of one thing is never one of another.
const PURPOSE: &[u8] = b"tracecapture link\n";

/// The longest link that is looked at, in bytes: the longest scope fits twice.
const MAX_TEXT_LEN: usize = 2048;

/// Bytes of a key.
pub const KEY_LEN: usize = 32;

/// Hexadecimal digits of an id that are shown: enough to name one, too few to guess from.
pub const PREFIX_LEN: usize = 12;

/// Identifies a link: 128 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId([u8; 16]);

/// What a link opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Which link it is.
    pub id: LinkId,
    /// The UID of the `TraceCapture`.
    pub uid: String,
    /// Which of its spans.
    pub scope: LinkScope,
    /// The Unix second from which on it is void.
    pub expires: u64,
}

/// Why a link opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// It is no link of this installation. Nothing in it was read.
    #[error("this is no link")]
    Unknown,
    /// It was one, and has ended.
    #[error("the link has expired")]
    Expired(LinkId),
}

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a key of links has {KEY_LEN} bytes")]
pub struct InvalidKey;

/// A key that signs links.
pub struct LinkKey {
    id: String,
    key: hmac::Key,
}

/// The keys that live: the current one signs, both are accepted.
pub struct LinkKeys {
    current: LinkKey,
    previous: Option<LinkKey>,
}

/// A whole link. It can neither be shown nor compared.
pub struct SignedLink(String);

impl LinkId {
    /// Draws an id.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub fn draw() -> Result<Self, Unspecified> {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Returns the part of the id that is shown.
    pub fn prefix(self) -> String {
        self.to_string().chars().take(PREFIX_LEN).collect()
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl FromStr for LinkId {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let is_id = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_id);
        number.map(|number| Self(number.to_be_bytes())).ok_or(Refused::Unknown)
    }
}

impl Serialize for LinkId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LinkId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl LinkKey {
    /// Makes a key of random bytes.
    ///
    /// # Errors
    /// [`InvalidKey`] where there are too few or too many.
    pub fn new(bytes: &[u8]) -> Result<Self, InvalidKey> {
        if bytes.len() != KEY_LEN {
            return Err(InvalidKey);
        }
        let digest = digest(&SHA256, bytes);
        let id = digest.as_ref().iter().take(4).fold(String::new(), |mut digits, byte| {
            let _ = write!(digits, "{byte:02x}");
            digits
        });
        Ok(Self { id, key: hmac::Key::new(hmac::HMAC_SHA256, bytes) })
    }

    /// Draws the bytes of a key, for the Secret that keeps it.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub fn draw() -> Result<[u8; KEY_LEN], Unspecified> {
        let mut bytes = [0; KEY_LEN];
        SystemRandom::new().fill(&mut bytes)?;
        Ok(bytes)
    }

    fn tag(&self, signed: &str) -> hmac::Tag {
        hmac::sign(&self.key, &[PURPOSE, signed.as_bytes()].concat())
    }

    fn holds(&self, signed: &str, tag: &[u8]) -> bool {
        hmac::verify(&self.key, &[PURPOSE, signed.as_bytes()].concat(), tag).is_ok()
    }
}

impl LinkKeys {
    /// Signs with `current`, and accepts links of `previous`, too.
    pub fn new(current: LinkKey, previous: Option<LinkKey>) -> Self {
        Self { current, previous }
    }

    /// Signs a link: the same link and key give the same text.
    pub fn sign(&self, link: &Link) -> SignedLink {
        let key = &self.current;
        // Texts and numbers always have a JSON form.
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(link).unwrap_or_default());
        let signed = format!("{VERSION}.{}.{payload}", key.id);
        let tag = URL_SAFE_NO_PAD.encode(key.tag(&signed).as_ref());
        SignedLink(format!("{signed}.{tag}"))
    }

    /// Checks that `text` is a link by one of the keys, and that it has not expired; in constant time for each key.
    ///
    /// # Errors
    /// [`Refused::Unknown`] for everything that no key signed, whatever it is; [`Refused::Expired`] for what
    /// was one.
    pub fn verify(&self, text: &str, now: Timestamp) -> Result<Link, Refused> {
        let (signed, tag) = text.rsplit_once('.').filter(|_| text.len() <= MAX_TEXT_LEN).ok_or(Refused::Unknown)?;
        let mut parts = signed.split('.');
        let (Some(VERSION), Some(key), Some(payload), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refused::Unknown);
        };
        let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| Refused::Unknown)?;
        // The signature first: nothing of what an unknown hand wrote is read.
        let known = std::iter::once(&self.current)
            .chain(&self.previous)
            .find(|known| known.id == key && known.holds(signed, &tag));
        known.ok_or(Refused::Unknown)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Refused::Unknown)?;
        let link: Link = serde_json::from_slice(&payload).map_err(|_| Refused::Unknown)?;
        if now.as_unix_nanos() / 1_000_000_000 >= link.expires {
            return Err(Refused::Expired(link.id));
        }
        Ok(link)
    }
}

impl SignedLink {
    /// Returns the path that the link opens at the gateway; whoever has it has the link.
    pub fn expose_path(&self) -> String {
        format!("{OPENED_PATH}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> LinkKey {
        LinkKey::new(&[n; KEY_LEN]).unwrap()
    }

    fn link() -> Link {
        let id = "000102030405060708090a0b0c0d0e0f".parse().unwrap();
        let scope = LinkScope { service: Some("checkout".to_owned()), ..LinkScope::default() };
        Link { id, uid: "u-1".to_owned(), scope, expires: 1000 }
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_nanos(second * 1_000_000_000)
    }

    fn signed_by(n: u8) -> String {
        LinkKeys::new(key(n), None).sign(&link()).expose_path()[OPENED_PATH.len()..].to_owned()
    }

    #[test]
    fn a_link_holds_until_its_end_and_through_one_exchange_of_keys() {
        let text = signed_by(1);
        let check = |keys: LinkKeys, second: u64, expected: Result<Link, Refused>| {
            assert_eq!(keys.verify(&text, at(second)), expected, "{second}");
        };
        check(LinkKeys::new(key(1), None), 999, Ok(link()));
        check(LinkKeys::new(key(1), None), 1000, Err(Refused::Expired(link().id)));
        check(LinkKeys::new(key(2), Some(key(1))), 999, Ok(link()));
        check(LinkKeys::new(key(3), Some(key(2))), 999, Err(Refused::Unknown));
    }

    #[test]
    fn every_changed_or_missing_character_is_refused() {
        let (text, keys) = (signed_by(1), LinkKeys::new(key(1), Some(key(2))));
        for at_byte in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at_byte] = if bytes[at_byte] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(keys.verify(&changed, at(1)), Err(Refused::Unknown), "{changed}");
            assert_eq!(keys.verify(&text[..at_byte], at(1)), Err(Refused::Unknown), "{at_byte}");
        }
        for foreign in ["", ".", "...", "v1...", "v2.a.b.c", &format!("{text}.x"), &"a".repeat(10_000)] {
            assert_eq!(keys.verify(foreign, at(1)), Err(Refused::Unknown), "{foreign}");
        }
    }

    #[test]
    fn an_expired_link_that_was_changed_tells_nothing() {
        let keys = LinkKeys::new(key(1), None);
        let text = signed_by(2);
        assert_eq!(keys.verify(&text, at(2000)), Err(Refused::Unknown));
    }

    #[test]
    fn ids_and_keys_have_one_form() {
        let id = LinkId::draw().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.prefix().len(), PREFIX_LEN);
        for bad in ["", "0", &"F".repeat(32), &"g".repeat(32)] {
            assert!(bad.parse::<LinkId>().is_err(), "{bad}");
        }
        assert!(LinkKey::new(&[0; 31]).is_err() && LinkKey::new(&LinkKey::draw().unwrap()).is_ok());
    }
}
