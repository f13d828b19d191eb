//! The egress table: the addresses that may be called.
//!
//! The guarded client checks the address it dials, after the name is resolved. An IPv4 address embedded in an IPv6
//! address is checked too, because a gateway or a dual-stack socket would extract it.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The addresses that may be called. Some are refused under every policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Private and public addresses.
    #[default]
    Internal,
    /// Public addresses only.
    Internet,
    /// Only the networks in `--egress-allow`.
    Listed,
}

impl Policy {
    /// Returns the policy's name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Internet => "internet",
            Self::Listed => "listed",
        }
    }
}

impl std::str::FromStr for Policy {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Internal, Self::Internet, Self::Listed]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or_else(|| "the egress policies are internal, internet and listed".to_owned())
    }
}

/// The configured rules of a process.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The policy.
    pub policy: Policy,
    /// `--egress-allow`: networks that may be called though the policy refuses them.
    pub allowed: Vec<IpNet>,
    /// The console's listeners, which are never called. An unspecified address stands for every address of this host.
    pub listeners: Vec<SocketAddr>,
}

/// The reason why an address may not be called, as a clause for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Link-local addresses, and those of a cloud's metadata service.
    #[error("it is a link-local or metadata address, which is never called")]
    LinkLocal,
    /// `0.0.0.0` and `::`.
    #[error("it is the unspecified address, which is never called")]
    Unspecified,
    /// Multicast and broadcast.
    #[error("it is a multicast or broadcast address, which is never called")]
    Multicast,
    /// Addresses that IANA reserves, for documentation or for the future.
    #[error("it is in a reserved or documentation range; start with --egress-allow to permit it")]
    Reserved,
    /// A listener of the console.
    #[error("it is this console's own listener")]
    OwnListener,
    /// Loopback addresses.
    #[error("it is a loopback address; start with --egress-allow to permit it")]
    Loopback,
    /// Private addresses, under the policy `internet`.
    #[error("it is a private address and the egress policy is internet")]
    Private,
    /// Addresses that are not listed, under the policy `listed`.
    #[error("it is not in --egress-allow and the egress policy is listed")]
    NotListed,
}

impl Rules {
    /// Checks an address before it is dialled. `own_addresses` returns the current addresses of this host, which are
    /// many and change. It is called only if a wildcard listener has the same port.
    ///
    /// # Errors
    /// The reason of the refusal.
    pub fn check(&self, address: SocketAddr, own_addresses: impl Fn() -> Vec<IpAddr>) -> Result<(), Refusal> {
        let ip = address.ip();
        let embedded = embedded(ip);
        // Routers may see the address as written, or an address embedded in it.
        for ip in std::iter::once(ip).chain(embedded.iter().copied()) {
            refuse_always(ip)?;
            if self.is_own_listener(ip, address.port(), &own_addresses) {
                return Err(Refusal::OwnListener);
            }
        }
        // An address that embeds IPv4 addresses is judged by these.
        let judged = if embedded.is_empty() { vec![ip] } else { embedded };
        if self.policy == Policy::Internet && is_private(ip) && !self.is_allowed(ip) {
            return Err(Refusal::Private);
        }
        judged.into_iter().try_for_each(|judged| self.judge(judged, ip))
    }

    fn is_allowed(&self, ip: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(&ip))
    }

    fn judge(&self, ip: IpAddr, written: IpAddr) -> Result<(), Refusal> {
        if self.is_allowed(ip) {
            return Ok(());
        }
        match self.policy {
            _ if ip.is_loopback() => Err(Refusal::Loopback),
            _ if is_reserved(ip) => Err(Refusal::Reserved),
            Policy::Listed if !self.is_allowed(written) => Err(Refusal::NotListed),
            Policy::Internet if is_private(ip) => Err(Refusal::Private),
            Policy::Internal | Policy::Internet | Policy::Listed => Ok(()),
        }
    }

    fn is_own_listener(&self, ip: IpAddr, port: u16, own_addresses: impl Fn() -> Vec<IpAddr>) -> bool {
        self.listeners.iter().filter(|listener| listener.port() == port).any(|listener| {
            let listening = listener.ip().to_canonical();
            listening == ip || (listening.is_unspecified() && (ip.is_loopback() || own_addresses().contains(&ip)))
        })
    }
}

/// Returns the IPv4 addresses that a gateway or socket may extract from an address. Most addresses have none.
#[expect(clippy::match_same_arms, reason = "each arm is one RFC")]
fn embedded(ip: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(v6) = ip else { return Vec::new() };
    let v4 = |high: u16, low: u16| vec![IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))];
    match v6.segments() {
        // ::ffff:a.b.c.d (mapped) and ::ffff:0:a.b.c.d (SIIT, RFC 2765)
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        // ::a.b.c.d (compatible, RFC 4291), but not :: and ::1
        [0, 0, 0, 0, 0, 0, high, low] if (high, low) != (0, 0) && (high, low) != (0, 1) => v4(high, low),
        // 64:ff9b::/96 (NAT64, RFC 6052)
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        // 64:ff9b:1::/48 (local NAT64, RFC 8215): the length of the gateway's prefix is unknown
        [0x64, 0xff9b, 1, ..] => embedded_at_any_prefix(v6.octets()),
        // 2002:AABB:CCDD::/48 (6to4)
        [0x2002, high, low, ..] => v4(high, low),
        // 2001:0::/32 (Teredo): the client's address, inverted
        [0x2001, 0, _, _, _, _, high, low] => v4(!high, !low),
        // …:0:5efe:a.b.c.d and …:200:5efe:a.b.c.d (ISATAP, RFC 5214)
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => v4(high, low),
        _ => Vec::new(),
    }
}

/// Returns the IPv4 addresses that RFC 6052 §2.2 reads with prefixes of 48, 56, 64 and 96 bits. A reading that begins
/// with 0 is left out, since its first bytes are padding of another reading.
fn embedded_at_any_prefix(o: [u8; 16]) -> Vec<IpAddr> {
    let readings = [
        [o[6], o[7], o[9], o[10]],
        [o[7], o[9], o[10], o[11]],
        [o[9], o[10], o[11], o[12]],
        [o[12], o[13], o[14], o[15]],
    ];
    readings.into_iter().filter(|reading| reading[0] != 0).map(|reading| IpAddr::V4(reading.into())).collect()
}

/// Refuses addresses that no configuration permits.
fn refuse_always(ip: IpAddr) -> Result<(), Refusal> {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            match (a, b, c, d) {
                (169, 254, ..) | (100, 100, 100, 200) | (192, 0, 0, 192) | (168, 63, 129, 16) => {
                    Err(Refusal::LinkLocal)
                }
                (0, ..) => Err(Refusal::Unspecified),
                (224..=239, ..) | (255, 255, 255, 255) => Err(Refusal::Multicast),
                _ => Ok(()),
            }
        }
        IpAddr::V6(v6) => {
            let s = v6.segments();
            if v6.is_unspecified() {
                Err(Refusal::Unspecified)
            } else if s[0] & 0xffc0 == 0xfe80 || is_metadata(v6) {
                Err(Refusal::LinkLocal)
            } else if s[0] & 0xff00 == 0xff00 {
                Err(Refusal::Multicast)
            } else {
                Ok(())
            }
        }
    }
}

fn is_metadata(v6: Ipv6Addr) -> bool {
    v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254) || v6 == Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)
}

/// Returns true for IANA special-purpose blocks that are neither globally reachable nor private, and for unallocated
/// IPv6 space. The allocations are `2000::/3`, `fc00::/7` (private) and `::1`.
fn is_reserved(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            matches!((a, b, c), (240..=255, ..) | (192, 0, 0 | 2) | (198, 51, 100) | (203, 0, 113) | (192, 88, 99))
        }
        IpAddr::V6(v6) => match v6.segments() {
            // 2001::/23 protocol assignments, 2001:db8::/32 and 3fff::/20 documentation
            [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => true,
            [first, ..] => !v6.is_loopback() && first & 0xe000 != 0x2000 && first & 0xfe00 != 0xfc00,
        },
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            // 100.64/10 is shared by carriers (RFC 6598), 198.18/15 is for benchmarks (RFC 2544): both are internal
            // networks.
            v4.is_private() || (a == 100 && b & 0xc0 == 64) || (a == 198 && b & 0xfe == 18)
        }
        IpAddr::V6(v6) => v6.segments()[0] & 0xfe00 == 0xfc00,
    }
}

#[cfg(test)]
mod tests;
