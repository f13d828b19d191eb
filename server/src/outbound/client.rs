//! HTTP clients for receivers. No other module builds one.
//!
//! Every client resolves names through the [`Guard`], which permits addresses by the egress rules. A client serves one
//! port, because its resolver is not told the port. Clients follow no redirects and retry nothing:
//! `model::delivery::after_attempt` alone decides about retries.

pub mod timing;
pub mod trust;

use super::guard::{Guard, PortResolver, Refused};
use model::webhook::Settings;
use reqwest::{Client, Proxy, redirect, retry};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The most header lines of a response.
const RESPONSE_HEADER_LINES: usize = 1000;
/// The most clients in the cache: one for each port, TLS setting, route and timeout in use.
const CLIENTS_MAX: usize = 256;

/// The time by which the limit for connecting is longer than the limit of an attempt.
const AFTER_ATTEMPT: Duration = Duration::from_millis(100);

/// The properties that all connections of a client share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    port: u16,
    tls: Tls,
    is_direct: bool,
    /// The longest time to connect. Each address of a host gets a share of it, so that the next address is tried when
    /// one does not respond. The limit also ends a connection that is completed for a later request.
    connect_timeout: Duration,
}

/// The check of a receiver's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Tls {
    /// No check: plain http, which needs no certificates.
    Plain,
    /// The certificate is verified.
    Verified,
    /// No check: any certificate is accepted.
    Insecure,
}

/// A client for one webhook.
#[derive(Debug)]
pub struct Route {
    /// The client.
    pub client: Client,
    /// The client connects to the egress proxy instead of the receiver.
    pub is_proxied: bool,
}

/// Clients by port, TLS setting, route and timeout. Each has its own pool of connections.
pub struct Clients {
    guard: Arc<Guard>,
    /// The time after which a client is replaced. A busy connection is never idle for long enough to be closed, so
    /// without this limit it would stay at an address that its name no longer has.
    lifetime: Duration,
    /// The most connections to one host that wait for their next request. Webhooks of one host and timeout share its
    /// connections. Any further connection is closed after its request, and the next attempt connects again.
    idle_per_host: usize,
    cached: Mutex<HashMap<Kind, (Client, Instant)>>,
}

impl Clients {
    /// Returns an empty cache of clients. Each is used for `lifetime`, by at most `attempts` at the same time.
    pub fn new(guard: Arc<Guard>, lifetime: Duration, attempts: usize) -> Self {
        Self { guard, lifetime, idle_per_host: attempts, cached: Mutex::default() }
    }

    /// Returns the guard that the clients connect through.
    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Returns the client for a webhook, after checking an address that is written in its URL.
    pub fn for_webhook(&self, settings: &Settings) -> Result<Route, ClientError> {
        let url = &settings.url;
        self.guard.check_literal(url)?;
        let tls = match (url.is_https(), settings.allows_insecure_tls) {
            (false, _) => Tls::Plain,
            (true, false) => Tls::Verified,
            (true, true) => Tls::Insecure,
        };
        let is_proxied = self.guard.proxy_for(settings.is_direct).is_some();
        let kind = Kind { port: url.port(), tls, is_direct: !is_proxied, connect_timeout: settings.timeout };
        let client = self.find_or_build(kind)?;
        Ok(Route { client, is_proxied })
    }

    fn find_or_build(&self, kind: Kind) -> Result<Client, ClientError> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((client, since)) = cached.get(&kind)
            && since.elapsed() < self.lifetime
        {
            return Ok(client.clone());
        }
        if cached.len() >= CLIENTS_MAX {
            cached.retain(|_, (_, since)| since.elapsed() < self.lifetime);
        }
        if cached.len() >= CLIENTS_MAX {
            cached.clear();
        }
        let client = self.build(kind)?;
        cached.insert(kind, (client.clone(), Instant::now()));
        Ok(client)
    }

    #[expect(clippy::disallowed_methods, reason = "the one home of outbound clients")]
    fn build(&self, kind: Kind) -> Result<Client, ClientError> {
        let (guard, port, builder) = match self.guard.proxy_for(kind.is_direct) {
            Some(proxy) => {
                let guard = self.guard.of_proxy();
                if let Some(address) = proxy.address() {
                    guard.check(&address.ip().to_string(), address)?;
                }
                (Arc::new(guard), proxy.port(), Client::builder().proxy(Proxy::all(proxy.url().clone())?))
            }
            None => (self.guard.clone(), kind.port, Client::builder().no_proxy()),
        };
        let builder = match kind.tls {
            Tls::Plain => builder.tls_certs_only([]),
            Tls::Verified => builder.tls_backend_preconfigured(trust::client_config()?),
            Tls::Insecure => builder.tls_danger_accept_invalid_certs(true),
        };
        let client = builder
            .dns_resolver(Arc::new(PortResolver { guard, port }))
            // This limit is longer than that of the attempt, so that an attempt that cannot connect ends by its own
            // timeout.
            .connect_timeout(kind.connect_timeout + AFTER_ATTEMPT)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .http1_only()
            .http1_title_case_headers()
            // A receiver that responds 2xx has acted: a malformed header line must not make it act again.
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_max_headers(RESPONSE_HEADER_LINES)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(self.idle_per_host)
            .connector_layer(timing::ConnectTimer)
            .build()?;
        Ok(client)
    }
}

/// There is no client for a URL.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address in the URL, or that of the proxy, is refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The system's certificates cannot be read.
    #[error(transparent)]
    Unread(#[from] trust::Unread),
    /// The client could not be built.
    #[error("the HTTP client could not be built")]
    Build(#[from] reqwest::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::guard::names::Files;
    use model::egress::Rules;
    use std::net::Ipv4Addr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    fn webhook(url: &str, timeout: Duration) -> Settings {
        let json = serde_json::json!({
            "name": "w", "url": url, "method": "POST", "authorization": {"type": "none"}, "headers": [],
            "allows_insecure_tls": false, "timeout_ms": timeout.as_millis(), "retries": 0
        });
        serde_json::from_value(json).unwrap()
    }

    /// Returns a listener whose queue is full, and the connection in it: it drops each packet that would begin another.
    async fn full() -> (TcpListener, TcpStream) {
        let full = TcpSocket::new_v4().unwrap();
        full.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let full = full.listen(0).unwrap();
        let first = TcpSocket::new_v4().unwrap().connect(full.local_addr().unwrap()).await.unwrap();
        (full, first)
    }

    fn rules() -> Rules {
        Rules { allowed: vec!["127.0.0.0/8".parse().unwrap()], ..Rules::default() }
    }

    #[tokio::test]
    async fn attempt_at_an_address_that_drops_packets_ends_by_its_own_time_limit() {
        let (full, _first) = full().await;
        let clients = Clients::new(Arc::new(Guard::new(rules(), None)), Duration::from_mins(5), 8);
        let settings = webhook(&format!("http://{}/", full.local_addr().unwrap()), Duration::from_millis(300));
        let client = clients.for_webhook(&settings).unwrap().client;
        let sent = tokio::time::timeout(settings.timeout, client.post(settings.url.as_str()).send()).await;
        assert!(sent.is_err(), "{sent:?}");
    }

    /// Earlier, a host with two addresses was only ever called at the first one.
    #[tokio::test]
    async fn second_address_is_tried_within_the_attempt_where_the_first_drops_packets() {
        let (full, _first) = full().await;
        let address = full.local_addr().unwrap();
        let second = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), address.port())).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files = Files { resolv_conf: folder.path().join("resolv.conf"), hosts: folder.path().join("hosts") };
        std::fs::write(&files.hosts, "127.0.0.1 two.example\n127.0.0.2 two.example\n").unwrap();
        let clients = Clients::new(Arc::new(Guard::with_files(rules(), files)), Duration::from_mins(5), 8);
        let settings = webhook(&format!("http://two.example:{}/", address.port()), Duration::from_secs(2));
        let client = clients.for_webhook(&settings).unwrap().client;
        let respond = async {
            let (mut stream, _) = second.accept().await.unwrap();
            let read = stream.read(&mut [0; 1000]).await.unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            read
        };
        let sent = client.post(settings.url.as_str()).send();
        let (read, sent) = tokio::time::timeout(settings.timeout, async { tokio::join!(respond, sent) }).await.unwrap();
        assert!(read > 0 && sent.unwrap().status() == 204);
    }
}
