//! The guarded HTTP client: the only place that builds one.
//!
//! Names are resolved by a resolver of our own, which hands on only the addresses that the egress rules permit, and
//! the connection uses exactly those: an answer that changes between check and connection changes nothing. The
//! client's resolver is not asked for IP literals, so those are checked before the request is made.

pub mod names;
pub mod timing;

use model::egress::{Refusal, Rules};
use model::url::{Host, TargetUrl};
use names::{Files, Names, Unresolved};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, redirect, retry};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a save waits for a name to resolve.
const SAVE_PATIENCE: Duration = Duration::from_secs(1);
/// How many header lines an answer may have.
const ANSWER_HEADER_LINES: usize = 1000;
/// How many kinds of client are kept: one for each port and TLS setting in use.
const CLIENTS_MAX: usize = 256;

/// Every address behind a name is refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the host {host} may not be called: {reason}")]
pub struct Refused {
    /// The host as written.
    pub host: String,
    /// Why its last address was refused.
    pub reason: Refusal,
}

/// The egress rules, and the resolver they are applied to.
pub struct Guard {
    rules: Rules,
    names: Names,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rules.fmt(f)
    }
}

impl Guard {
    /// A guard with these rules and the system's names.
    pub fn new(rules: Rules) -> Self {
        Self { rules, names: Names::new(Files::default()) }
    }

    fn check(&self, host: &str, address: SocketAddr) -> Result<(), Refused> {
        self.rules.check(address, own_addresses).map_err(|reason| Refused { host: host.to_owned(), reason })
    }

    /// Refuses an address written in the URL.
    pub fn check_literal(&self, url: &TargetUrl) -> Result<(), Refused> {
        match url.host() {
            Host::Address(ip) => self.check(&ip.to_string(), SocketAddr::new(*ip, url.port())),
            Host::Name(_) => Ok(()),
        }
    }

    /// The permitted addresses of a name.
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
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

    /// The same check at save. A name that does not resolve now is accepted, as it may do so later; answers whether it
    /// does.
    ///
    /// # Errors
    /// The sentence for the URL field.
    pub async fn check_at_save(&self, url: &TargetUrl) -> Result<bool, String> {
        let checked = match url.host() {
            Host::Address(_) => self.check_literal(url).map(|()| true),
            Host::Name(name) => match tokio::time::timeout(SAVE_PATIENCE, self.resolve(name, url.port())).await {
                Ok(Err(ResolveError::Refused(refused))) => Err(refused),
                Ok(Ok(_)) => Ok(true),
                Ok(Err(ResolveError::Unresolved(_))) | Err(_) => Ok(false),
            },
        };
        checked.map_err(|refused| format!("{}.", upper(&refused.to_string())))
    }
}

/// The operating system's number for why no more sockets can be opened now. Libraries do not hand it on.
pub(super) fn socket_error() -> Option<i32> {
    UdpSocket::bind("0.0.0.0:0").err().and_then(|error| error.raw_os_error())
}

fn upper(clause: &str) -> String {
    let mut chars = clause.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[derive(Debug, thiserror::Error)]
enum ResolveError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
}

/// The guard as the client's resolver, for one port: the rules about our own listeners need it.
struct PortResolver {
    guard: Arc<Guard>,
    port: u16,
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

/// Clients by port and TLS setting, each with its own kept connections.
pub struct Clients {
    guard: Arc<Guard>,
    /// How long one is used: a connection that is never idle must not hold on to an address its name has left.
    lasts: Duration,
    made: Mutex<HashMap<(u16, bool), (Client, Instant)>>,
}

impl Clients {
    /// No clients yet; each will be used for as long as `lasts`.
    pub fn new(guard: Arc<Guard>, lasts: Duration) -> Self {
        Self { guard, lasts, made: Mutex::default() }
    }

    /// The client for a URL, after checking an address written in it.
    pub fn for_url(&self, url: &TargetUrl, allows_insecure_tls: bool) -> Result<Client, ClientError> {
        self.guard.check_literal(url)?;
        let key = (url.port(), allows_insecure_tls);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((client, since)) = made.get(&key)
            && since.elapsed() < self.lasts
        {
            return Ok(client.clone());
        }
        if made.len() >= CLIENTS_MAX {
            made.clear();
        }
        let client = self.build(url.port(), allows_insecure_tls)?;
        made.insert(key, (client.clone(), Instant::now()));
        Ok(client)
    }

    #[expect(clippy::disallowed_methods, reason = "the one home of outbound clients")]
    fn build(&self, port: u16, allows_insecure_tls: bool) -> reqwest::Result<Client> {
        Client::builder()
            .dns_resolver(Arc::new(PortResolver { guard: self.guard.clone(), port }))
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .http1_only()
            .http1_title_case_headers()
            // Who answers 2xx has acted: a careless header must not have it act again.
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_max_headers(ANSWER_HEADER_LINES)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(16)
            .tls_danger_accept_invalid_certs(allows_insecure_tls)
            .connector_layer(timing::ConnectTimer)
            .build()
    }
}

/// No client for this URL.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address written in it is refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The client could not be built.
    #[error("the HTTP client could not be built")]
    Build(#[from] reqwest::Error),
}

/// Every address this host has now, for listeners on all of them. Empty where the system does not tell.
fn own_addresses() -> Vec<IpAddr> {
    if_addrs::get_if_addrs().unwrap_or_default().into_iter().map(|interface| interface.ip()).collect()
}
