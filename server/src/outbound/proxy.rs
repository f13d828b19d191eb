//! The egress proxy: an HTTP proxy for networks that have no direct route to receivers.
//!
//! The proxy resolves the names of receivers, so the egress rules cannot be applied to their addresses here. An address
//! that is written in a URL is still checked. The proxy's address is checked by separate rules,
//! [`EgressProxy::rules`].

use model::egress::{Policy, Rules};
use reqwest::Url;
use std::net::{IpAddr, SocketAddr};

/// A forward proxy, with its credentials if it requires any.
#[derive(Clone, PartialEq, Eq)]
pub struct EgressProxy {
    url: Url,
}

impl EgressProxy {
    /// Reads `http://[USER:PASSWORD@]HOST[:PORT]`.
    ///
    /// # Errors
    /// The message says how the URL has to be written. It does not repeat the URL, which may contain a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shape = || "write it as http://HOST:PORT, with USER:PASSWORD@ before the host if it wants them".to_owned();
        let url = Url::parse(text).map_err(|_| shape())?;
        if url.scheme() != "http" {
            return Err("an egress proxy is spoken to with http://; what passes through it may be https".to_owned());
        }
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if url.host().is_none() || !is_bare { Err(shape()) } else { Ok(Self { url }) }
    }

    /// Returns scheme, host and port, without credentials.
    pub fn shown(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Returns the URL with its credentials. Only the client needs them.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(80)
    }

    /// Returns the address of the proxy, if the URL has an address instead of a name.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let ip = match self.url.host()? {
            url::Host::Ipv4(ip) => IpAddr::V4(ip),
            url::Host::Ipv6(ip) => IpAddr::V6(ip),
            url::Host::Domain(_) => return None,
        };
        Some(SocketAddr::new(ip, self.port()))
    }

    /// Returns the egress rules for the proxy's address. An administrator chose the proxy, so only addresses that are
    /// never called are refused.
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

/// Warns at startup when an environment variable such as `HTTPS_PROXY` is set, since these variables have no effect.
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
    fn proxy_is_shown_without_its_password() {
        let proxy = EgressProxy::parse("http://user:canary@proxy.example:3128").expect("read");
        assert_eq!((proxy.shown().as_str(), proxy.port()), ("http://proxy.example:3128", 3128));
        assert!(!format!("{proxy:?}").contains("canary"));
        assert_eq!(EgressProxy::parse("http://10.0.0.1").expect("read").address(), "10.0.0.1:80".parse().ok());
        for text in ["", "proxy:3128", "https://proxy:3128", "socks5://proxy", "http://proxy/path", "http://canary@"] {
            let message = EgressProxy::parse(text).expect_err(text);
            assert!(!message.contains("canary"), "{message}");
        }
    }

    #[test]
    fn proxy_address_may_be_private_but_not_metadata_or_the_console() {
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
