//! The guarded HTTP client: the only place that builds one.
//!
//! Names are resolved by a resolver of our own, which hands on only the addresses that the egress rules permit, and
//! the connection uses exactly those: an answer that changes between check and connection changes nothing. The
//! client's resolver is not asked for IP literals, so those are checked before the request is made.

pub mod names;
pub mod proxy;
pub mod timing;
pub mod trust;

use model::egress::{Refusal, Rules};
use model::url::{Host, TargetUrl};
use names::{Files, Names, Unresolved};
use proxy::EgressProxy;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Proxy, redirect, retry};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a save waits for a name to resolve.
const SAVE_PATIENCE: Duration = Duration::from_secs(1);
/// How many header lines an answer may have.
const ANSWER_HEADER_LINES: usize = 1000;
/// How many kinds of client are kept: one for each port, TLS setting and way out in use.
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
    proxy: Option<EgressProxy>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rules.fmt(f)
    }
}

impl Guard {
    /// A guard with these rules and the system's names. What is not called directly goes through the proxy.
    pub fn new(rules: Rules, proxy: Option<EgressProxy>) -> Self {
        Self { rules, names: Names::new(Files::default()), proxy }
    }

    /// The guard of the proxy's own address.
    fn of_proxy(&self) -> Self {
        Self::new(EgressProxy::rules(&self.rules), None)
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
    /// does. What the proxy resolves is not asked for here.
    ///
    /// # Errors
    /// The sentence for the URL field.
    pub async fn check_at_save(&self, url: &TargetUrl, is_direct: bool) -> Result<bool, String> {
        let checked = match url.host() {
            Host::Address(_) => self.check_literal(url).map(|()| true),
            Host::Name(_) if self.proxy.is_some() && !is_direct => Ok(true),
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

/// How connections of a client are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    port: u16,
    tls: Tls,
    is_direct: bool,
}

/// How the receiver is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Tls {
    /// There is no encryption, and no certificate is needed.
    Plain,
    /// By its certificate.
    Verified,
    /// Not at all.
    Insecure,
}

/// A client, and whether it goes through the egress proxy.
#[derive(Debug)]
pub struct WayOut {
    /// The client.
    pub client: Client,
    /// Whether the proxy stands between it and the receiver.
    pub is_proxied: bool,
}

/// Clients by port, TLS setting and way out, each with its own kept connections.
pub struct Clients {
    guard: Arc<Guard>,
    /// How long one is used: a connection that is never idle must not hold on to an address its name has left.
    lasts: Duration,
    made: Mutex<HashMap<Kind, (Client, Instant)>>,
}

impl Clients {
    /// No clients yet; each will be used for as long as `lasts`.
    pub fn new(guard: Arc<Guard>, lasts: Duration) -> Self {
        Self { guard, lasts, made: Mutex::default() }
    }

    /// The client for a URL, after checking an address written in it.
    pub fn for_url(&self, url: &TargetUrl, allows_insecure_tls: bool, is_direct: bool) -> Result<WayOut, ClientError> {
        self.guard.check_literal(url)?;
        let tls = match (url.is_https(), allows_insecure_tls) {
            (false, _) => Tls::Plain,
            (true, false) => Tls::Verified,
            (true, true) => Tls::Insecure,
        };
        let is_proxied = self.guard.proxy.is_some() && !is_direct;
        let client = self.find_or_build(Kind { port: url.port(), tls, is_direct: !is_proxied })?;
        Ok(WayOut { client, is_proxied })
    }

    fn find_or_build(&self, kind: Kind) -> Result<Client, ClientError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((client, since)) = made.get(&kind)
            && since.elapsed() < self.lasts
        {
            return Ok(client.clone());
        }
        if made.len() >= CLIENTS_MAX {
            made.clear();
        }
        let client = self.build(kind)?;
        made.insert(kind, (client.clone(), Instant::now()));
        Ok(client)
    }

    #[expect(clippy::disallowed_methods, reason = "the one home of outbound clients")]
    fn build(&self, kind: Kind) -> Result<Client, ClientError> {
        let (guard, port, builder) = match &self.guard.proxy {
            Some(proxy) if !kind.is_direct => {
                let guard = self.guard.of_proxy();
                if let Some(address) = proxy.address() {
                    guard.check(&address.ip().to_string(), address)?;
                }
                (Arc::new(guard), proxy.port(), Client::builder().proxy(Proxy::all(proxy.url().clone())?))
            }
            _ => (self.guard.clone(), kind.port, Client::builder().no_proxy()),
        };
        let builder = match kind.tls {
            Tls::Plain => builder.tls_certs_only([]),
            Tls::Verified => builder.tls_backend_preconfigured(trust::client_config()?),
            Tls::Insecure => builder.tls_danger_accept_invalid_certs(true),
        };
        let client = builder
            .dns_resolver(Arc::new(PortResolver { guard, port }))
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
            .connector_layer(timing::ConnectTimer)
            .build()?;
        Ok(client)
    }
}

/// No client for this URL.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address written in it is refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The system's certificates cannot be read.
    #[error(transparent)]
    Unread(#[from] trust::Unread),
    /// The client could not be built.
    #[error("the HTTP client could not be built")]
    Build(#[from] reqwest::Error),
}

/// Every address this host has now, for listeners on all of them. Empty where the system does not tell.
fn own_addresses() -> Vec<IpAddr> {
    if_addrs::get_if_addrs().unwrap_or_default().into_iter().map(|interface| interface.ip()).collect()
}
