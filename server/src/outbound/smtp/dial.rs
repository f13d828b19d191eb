//! Connects to a mail server: only to addresses that the guard permits, and never through the egress proxy.

use super::failure::Trouble;
use crate::outbound::failure::{sentence, unconnected, used_up};
use crate::outbound::guard::{Guard, ResolveError};
use model::delivery::ErrorCode;
use std::net::{IpAddr, SocketAddr};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Returns the host in the form in which names are looked up and certificates are compared: in ASCII, and an IPv6
/// address without brackets.
pub(super) fn ascii_host(host: &str) -> Option<String> {
    if host.parse::<IpAddr>().is_ok() {
        return Some(host.to_owned());
    }
    match url::Host::parse(host).ok()? {
        url::Host::Domain(name) => Some(name),
        url::Host::Ipv4(address) => Some(address.to_string()),
        url::Host::Ipv6(address) => Some(address.to_string()),
    }
}

/// Connects to the first address of the host that accepts a connection. Each address gets its share of the time until
/// `deadline`.
pub(super) async fn dial(guard: &Guard, host: &str, port: u16, deadline: Instant) -> Result<TcpStream, Trouble> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(ip) => {
            let address = SocketAddr::new(ip, port);
            guard.check(host, address).map(|()| vec![address]).map_err(ResolveError::from)
        }
        Err(_) => guard.resolve(host, port).await,
    };
    let addresses = addresses.map_err(|error| unresolved(&error))?;
    let mut trouble = None;
    for (index, address) in addresses.iter().enumerate() {
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / u32::try_from(addresses.len() - index).unwrap_or(1);
        trouble = Some(match tokio::time::timeout_at(now + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A session consists of short lines, which must not wait for each other.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => match error.raw_os_error().and_then(used_up) {
                Some(resource) => return Err(Trouble::Shortage(resource)),
                None => {
                    let text = format!("Cannot connect: {}.", unconnected(Some(error.kind())));
                    Trouble::failed(ErrorCode::Connect, &text)
                }
            },
            Err(_) => Trouble::TimedOut,
        });
    }
    Err(trouble.unwrap_or_else(|| Trouble::failed(ErrorCode::Dns, "The name of the mail server has no address.")))
}

fn unresolved(error: &ResolveError) -> Trouble {
    match error {
        ResolveError::Refused(refused) => Trouble::failed(ErrorCode::RefusedAddress, &sentence(refused)),
        ResolveError::Unresolved(unresolved) => match unresolved.os_error.and_then(used_up) {
            Some(resource) => Trouble::Shortage(resource),
            None => Trouble::failed(ErrorCode::Dns, &sentence(unresolved)),
        },
    }
}
