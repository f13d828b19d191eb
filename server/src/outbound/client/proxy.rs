//! The way out through an HTTP proxy, where a network has no other.
//!
//! The proxy resolves the names of receivers, so that no rule about their addresses can be applied here. An address that
//! is written in a URL is checked all the same, and the proxy's own address is one that may be called.

use model::egress::{Policy, Rules};
use reqwest::Url;
use std::net::{IpAddr, SocketAddr};

/// A forward proxy, with credentials where it wants some.
#[derive(Clone, PartialEq, Eq)]
pub struct EgressProxy {
    url: Url,
}

impl EgressProxy {
    /// Reads `http://[USER:PASSWORD@]HOST[:PORT]`.
    ///
    /// # Errors
    /// Says how it is written, without the URL: that may carry a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shape = || "write it as http://HOST:PORT, with USER:PASSWORD@ before the host if it wants them".to_owned();
        let url = Url::parse(text).map_err(|_| shape())?;
        if url.scheme() != "http" {
            return Err("an egress proxy is spoken to with http://; what passes through it may be https".to_owned());
        }
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if url.host().is_none() || !is_bare { Err(shape()) } else { Ok(Self { url }) }
    }

    /// Scheme, host and port, without credentials.
    pub fn shown(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The URL with its credentials, for the client alone.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    /// The address of the proxy, if the URL has one instead of a name.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let ip = match self.url.host()? {
            url::Host::Ipv4(ip) => IpAddr::V4(ip),
            url::Host::Ipv6(ip) => IpAddr::V6(ip),
            url::Host::Domain(_) => return None,
        };
        Some(SocketAddr::new(ip, self.port()))
    }

    /// Rules for the proxy's own address. An administrator has named the proxy: only addresses that are never called are
    /// refused.
    pub(super) fn rules(rules: &Rules) -> Rules {
        let everywhere = ["0.0.0.0/0", "::/0"].iter().filter_map(|net| net.parse().ok()).collect();
        Rules { policy: Policy::Internal, allowed: everywhere, listeners: rules.listeners.clone() }
    }
}

impl std::fmt::Debug for EgressProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Says at the start where the variables of other programs ask for a proxy and nothing is sent through one.
pub fn warn_of_variables() {
    let set = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    let found = set.into_iter().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if let Some(name) = found {
        tracing::warn!("{name} is set and not used: start with --egress-proxy to send webhooks through a proxy");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_and_shown_without_its_password() {
        let proxy = EgressProxy::parse("http://user:canary@proxy.example:3128").expect("read");
        assert_eq!((proxy.shown().as_str(), proxy.port()), ("http://proxy.example:3128", 3128));
        assert!(!format!("{proxy:?}").contains("canary"));
        assert_eq!(EgressProxy::parse("http://10.0.0.1").expect("read").address(), "10.0.0.1:80".parse().ok());
        for text in ["", "proxy:3128", "https://proxy:3128", "socks5://proxy", "http://proxy/path", "http://canary@"] {
            let words = EgressProxy::parse(text).expect_err(text);
            assert!(!words.contains("canary"), "{words}");
        }
    }

    #[test]
    fn a_proxy_may_be_private_and_never_be_metadata_or_the_console() {
        let listeners = vec!["127.0.0.1:8080".parse().expect("an address")];
        let rules = EgressProxy::rules(&Rules { policy: Policy::Internet, listeners, ..Rules::default() });
        let check = |address: &str| rules.check(address.parse().expect("an address"), Vec::new);
        for address in ["10.0.0.1:3128", "127.0.0.1:3128", "8.8.8.8:80"] {
            assert_eq!(check(address), Ok(()), "{address}");
        }
        for address in ["169.254.169.254:80", "0.0.0.0:3128", "127.0.0.1:8080", "224.0.0.1:80"] {
            assert!(check(address).is_err(), "{address}");
        }
    }
}
