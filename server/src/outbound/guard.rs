//! The guard of outbound connections: a client connects only to addresses that pass the egress rules.
//!
//! The guard is the DNS resolver of every client. It resolves a name, drops the addresses that the rules refuse, and
//! hands the rest to the client, which connects to exactly these addresses. So a DNS record that changes between check
//! and connection has no effect. The client does not ask its resolver for IP literals: [`Guard::check_literal`] checks
//! them before each request.

pub mod names;

use super::failure::sentence;
use super::proxy::EgressProxy;
use model::egress::{Refusal, Rules};
use model::url::{Host, TargetUrl};
use names::{Files, Names, Unresolved};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The longest time that a save waits for a name to resolve.
const SAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// All addresses of a host are refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the host {host} may not be called: {reason}")]
pub struct Refused {
    /// The host as written.
    pub host: String,
    /// The reason why the last address of the host was refused.
    pub reason: Refusal,
}

/// The egress rules, and the resolver they are applied to.
pub struct Guard {
    rules: Rules,
    names: Names,
    proxy: Option<EgressProxy>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rules.fmt(f)
    }
}

impl Guard {
    /// Returns a guard with these rules, which resolves names as the system does. All webhooks that are not direct go
    /// through the proxy, if there is one.
    pub fn new(rules: Rules, proxy: Option<EgressProxy>) -> Self {
        Self { rules, names: Names::new(Files::default()), proxy }
    }

    /// Returns a guard that resolves names by these files.
    #[cfg(test)]
    pub(super) fn with_files(rules: Rules, files: Files) -> Self {
        Self { rules, names: Names::new(files), proxy: None }
    }

    /// Returns the guard of connections to the proxy.
    pub(super) fn of_proxy(&self) -> Self {
        Self::new(EgressProxy::rules(&self.rules), None)
    }

    /// Returns the proxy that the requests of a webhook go through. A direct webhook has none.
    pub(super) fn proxy_for(&self, is_direct: bool) -> Option<&EgressProxy> {
        self.proxy.as_ref().filter(|_| !is_direct)
    }

    pub(super) fn check(&self, host: &str, address: SocketAddr) -> Result<(), Refused> {
        self.rules.check(address, local_addresses).map_err(|reason| Refused { host: host.to_owned(), reason })
    }

    /// Refuses a URL whose host is an IP address that the rules do not permit.
    pub fn check_literal(&self, url: &TargetUrl) -> Result<(), Refused> {
        match url.host() {
            Host::Address(ip) => self.check(&ip.to_string(), SocketAddr::new(*ip, url.port())),
            Host::Name(_) => Ok(()),
        }
    }

    /// Returns the permitted addresses of a name. Fails when all are refused.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
        let mut refused = None;
        let mut permitted = Vec::new();
        for ip in self.names.resolve(host).await? {
            let address = SocketAddr::new(ip, port);
            match self.check(host, address) {
                Ok(()) => permitted.push(address),
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            Some(error) if permitted.is_empty() => Err(error.into()),
            _ => Ok(permitted),
        }
    }

    /// Makes the same check when a webhook is saved. Returns false for a name that does not resolve within a second: it
    /// is accepted, since it may resolve later. A name that the proxy will resolve is not looked up here.
    ///
    /// # Errors
    /// The sentence for the URL field.
    pub async fn check_at_save(&self, url: &TargetUrl, is_direct: bool) -> Result<bool, String> {
        match url.host() {
            Host::Name(_) if self.proxy_for(is_direct).is_some() => Ok(true),
            host => self.check_host_at_save(host, url.port()).await,
        }
    }

    /// Makes the same check for a host that is called without the proxy.
    ///
    /// # Errors
    /// The sentence for the field of the host.
    pub async fn check_host_at_save(&self, host: &Host, port: u16) -> Result<bool, String> {
        let checked = match host {
            Host::Address(ip) => self.check(&ip.to_string(), SocketAddr::new(*ip, port)).map(|()| true),
            Host::Name(name) => match tokio::time::timeout(SAVE_TIMEOUT, self.resolve(name, port)).await {
                Ok(Err(ResolveError::Refused(refused))) => Err(refused),
                Ok(Ok(_)) => Ok(true),
                Ok(Err(ResolveError::Unresolved(_))) | Err(_) => Ok(false),
            },
        };
        checked.map_err(|refused| sentence(&refused))
    }
}

/// The reasons why a name has no address that may be called.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    /// The rules permit none of the addresses.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The name has no address.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
}

/// The guard as the resolver of a client that connects to one port. The client does not tell its resolver the port,
/// and the rule about the console's own listeners needs it.
pub(super) struct PortResolver {
    pub(super) guard: Arc<Guard>,
    pub(super) port: u16,
}

impl Resolve for PortResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, port) = (self.guard.clone(), self.port);
        Box::pin(async move {
            match guard.resolve(name.as_str(), port).await {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Err(ResolveError::Refused(error)) => Err(error.into()),
                Err(ResolveError::Unresolved(error)) => Err(error.into()),
            }
        })
    }
}

/// Returns the current addresses of this host, for listeners on all of them. Empty where the system does not list them.
fn local_addresses() -> Vec<IpAddr> {
    if_addrs::get_if_addrs().unwrap_or_default().into_iter().map(|interface| interface.ip()).collect()
}
