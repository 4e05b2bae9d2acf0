//! From which address a request comes, where proxies stand in front. Pure.
//!
//! `X-Forwarded-For` is a claim that anybody can make. It is read from its right end, which the nearest proxy wrote,
//! and for as long as whoever wrote the next part is trusted: what stands further left may be invented.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::{HeaderMap, HeaderName};
use thiserror::Error;

/// Where a proxy adds the address that it was asked from.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word is taken; by default none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies(Vec<Network>);

/// A network of IPv4 or of IPv6 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many bits its addresses have in common.
    prefix: u32,
}

/// The text is no network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no network: write an address such as `10.0.0.7`, or a network such as `10.0.0.0/8` or `fd00::/8`")]
pub struct InvalidNetwork(String);

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = || InvalidNetwork(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        // Clients have IPv4 addresses in their own form here, so a network in the other form would hold none of them.
        if address != address.to_canonical() {
            return Err(invalid());
        }
        let width = bits(address).1;
        let prefix = prefix.map_or(Ok(width), |bits| bits.parse().map_err(|_| invalid()))?;
        if prefix > width { Err(invalid()) } else { Ok(Self { address, prefix }) }
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        let ((own, width), (other, other_width)) = (bits(self.address), bits(address));
        // All bits shifted out: a network of every address.
        width == other_width && (own ^ other).checked_shr(u128::BITS - self.prefix).unwrap_or(0) == 0
    }
}

impl FromIterator<Network> for TrustedProxies {
    fn from_iter<T: IntoIterator<Item = Network>>(networks: T) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl TrustedProxies {
    /// Returns the address of who asks: that of the connection, or the right-most one of the header that is no
    /// trusted proxy's.
    ///
    /// Where a trusted proxy wrote no address, it is the proxy's own; where all are trusted, the left-most one.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        // Each proxy adds to the last line, or adds a line.
        for line in headers.get_all(FORWARDED_FOR).iter().rev() {
            let Ok(line) = line.to_str() else { return client };
            for claim in line.rsplit(',') {
                let Some(address) = claimed(claim).filter(|_| self.trusts(client)) else { return client };
                client = address;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// Reads an address, which some proxies write with a port.
fn claimed(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address| address.to_canonical())
}

/// Returns the bits of an address, from the highest one on, and how many there are.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << (u128::BITS - u32::BITS), u32::BITS),
        IpAddr::V6(address) => (u128::from(address), u128::BITS),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// Checks whom a request comes from, by the networks that are trusted, the connection's address and the header's lines.
    fn check(trusted: &[&str], peer: &str, lines: &[&str], client: &str) {
        let proxies: TrustedProxies = trusted.iter().map(|text| text.parse::<Network>().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        let found = proxies.client(peer.parse().unwrap(), &headers);
        assert_eq!(found.to_string(), client, "{trusted:?} {peer} {lines:?}");
    }

    #[test]
    fn strangers_are_not_believed() {
        check(&[], "192.0.2.1", &["198.51.100.7"], "192.0.2.1");
        check(&["10.0.0.0/8"], "192.0.2.1", &["198.51.100.7"], "192.0.2.1");
        check(&["10.0.0.0/8"], "11.0.0.1", &["198.51.100.7"], "11.0.0.1");
    }

    #[test]
    fn the_right_most_address_that_is_no_proxy_counts() {
        let trusted = ["10.0.0.0/8", "fd00::/8"];
        check(&trusted, "10.1.2.3", &["198.51.100.7"], "198.51.100.7");
        check(&trusted, "::ffff:10.1.2.3", &["127.0.0.1, 198.51.100.7"], "198.51.100.7");
        check(&trusted, "fd00::1", &["127.0.0.1,198.51.100.7 , 10.9.9.9"], "198.51.100.7");
        check(&trusted, "fd00::1", &["127.0.0.1", "198.51.100.7", "10.9.9.9"], "198.51.100.7");
        check(&trusted, "10.1.2.3", &["10.0.0.5, 10.0.0.6"], "10.0.0.5");
        check(&["0.0.0.0/0", "::/0"], "10.1.2.3", &["203.0.113.9, 2001:db8::1"], "203.0.113.9");
    }

    #[test]
    fn a_proxy_that_names_nobody_answers_for_itself() {
        for line in ["", "unknown", "198.51.100.7, _hidden", "198.51.100.7 10.0.0.1", "1.2.3", "\u{e4}"] {
            check(&["10.0.0.0/8"], "10.1.2.3", &[line], "10.1.2.3");
        }
        check(&["10.0.0.0/8"], "10.1.2.3", &[], "10.1.2.3");
    }

    #[test]
    fn addresses_have_several_forms() {
        for (claim, client) in [
            ("198.51.100.7:4711", "198.51.100.7"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
        ] {
            check(&["10.1.2.3"], "10.1.2.3", &[claim], client);
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0.0/-1", "a/8", "::ffff:10.0.0.0/104"] {
            assert_eq!(text.parse::<Network>(), Err(InvalidNetwork(text.to_owned())));
        }
    }
}
