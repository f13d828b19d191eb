//! Reverse proxies in front of the server, and the console's public URL.
//!
//! Only the headers of a trusted proxy are believed, since any client can send `X-Forwarded-For`.

use crate::config::PublicUrl;
use axum::http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use std::net::IpAddr;

/// The configured public URL and trusted proxies.
#[derive(Debug, Default)]
pub struct Proxies {
    /// The console's URL for people, if it differs from the listener's.
    pub public_url: Option<PublicUrl>,
    trusted: Vec<IpNet>,
}

impl Proxies {
    /// Returns proxies that trust these networks.
    pub fn new(public_url: Option<PublicUrl>, trusted: Vec<IpNet>) -> Self {
        Self { public_url, trusted }
    }

    /// Returns true if this is the address of a trusted proxy.
    pub fn is_trusted(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted.iter().any(|network| network.contains(&peer))
    }

    /// Returns the client's address: the rightmost hop that is not a trusted proxy.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        let lines = headers.get_all("x-forwarded-for").iter().rev().map(HeaderValue::as_bytes);
        for hop in lines.flat_map(|line| line.rsplit(|byte| *byte == b',')) {
            if !self.is_trusted(client) {
                break;
            }
            // Hops to the left of an unreadable hop could be forged.
            let Some(address) = std::str::from_utf8(hop).ok().and_then(|hop| parse_hop(hop.trim())) else { break };
            client = address;
        }
        client
    }
}

/// Parses an address, with or without a port, in brackets or not.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or(hop);
    bare.parse().ok().or_else(|| bare.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_is_the_rightmost_hop_outside_trusted_networks() {
        let proxies = Proxies::new(None, vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        for (peer, hops, client) in [
            ("192.0.2.1", &["203.0.113.9"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["6.6.6.6", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", &["6.6.6.6, unknown"], "10.0.0.1"),
            // A proxy appends to what it has received, whatever bytes these are.
            ("10.0.0.1", &["\u{ff}, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["203.0.113.9", "\u{ff}"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("fd00::1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("::ffff:10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ] {
            let mut headers = HeaderMap::new();
            for hop in hops {
                headers.append("x-forwarded-for", HeaderValue::from_bytes(hop.as_bytes()).unwrap());
            }
            assert_eq!(proxies.client(peer.parse().unwrap(), &headers), client.parse::<IpAddr>().unwrap(), "{hops:?}");
        }
    }
}
