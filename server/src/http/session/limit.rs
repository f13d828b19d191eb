//! Limits on sign-ins, so that passwords cannot be guessed and each try's cost stays bounded.

use super::super::client::network;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;

/// The number of keys above which old ones are dropped.
const LIMITS_KEPT: usize = 10_000;

/// Limits of sign-ins: ten tries a minute for each pair of account name and address, and sixty for each address. Each try
/// occupies a core for a while and stores an occurrence, even for a name without an account.
///
/// More than ten tries a minute for one name, from whatever addresses, are delayed instead of refused, so that strangers
/// cannot lock an account.
pub struct SignInLimit {
    names: DefaultKeyedRateLimiter<String>,
    tries: DefaultKeyedRateLimiter<(String, IpAddr)>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
}

impl Default for SignInLimit {
    fn default() -> Self {
        const FOR_NAME: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
        const FOR_ADDRESS: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);
        Self {
            names: RateLimiter::keyed(Quota::per_minute(FOR_NAME)),
            tries: RateLimiter::keyed(Quota::per_minute(FOR_NAME)),
            addresses: RateLimiter::keyed(Quota::per_minute(FOR_ADDRESS)),
        }
    }
}

impl SignInLimit {
    /// Returns true if this address may try this name now.
    pub(super) fn permits(&self, name: &str, address: IpAddr) -> bool {
        // Invented names must not fill the memory.
        if self.tries.len() > LIMITS_KEPT {
            self.names.retain_recent();
            self.tries.retain_recent();
        }
        self.tries.check_key(&(name.chars().take(64).collect(), network(address))).is_ok()
    }

    /// Returns true if a try for this name is delayed, since there were many from all addresses together.
    pub(super) fn slows_down(&self, name: &str) -> bool {
        self.names.check_key(&name.chars().take(64).collect()).is_err()
    }

    /// Returns true if this address may try any name now.
    pub(in crate::http) fn permits_address(&self, address: IpAddr) -> bool {
        // Addresses are counted even when their requests never name an account.
        if self.addresses.len() > LIMITS_KEPT {
            self.addresses.retain_recent();
        }
        self.addresses.check_key(&network(address)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_limited_by_address_and_by_name() {
        let limit = SignInLimit::default();
        let from = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, last]);
        let permitted = (0..200).filter(|number| limit.permits_address(from(*number))).count();
        assert_eq!(permitted, 60);
        assert!(limit.permits_address(IpAddr::from([10, 0, 0, 1])), "somebody else");
        let permitted = (0..20).filter(|_| limit.permits("olga", IpAddr::from([10, 0, 0, 2]))).count();
        assert_eq!(permitted, 10);
        let at_once = (0..20).filter(|_| !limit.slows_down("olga")).count();
        assert_eq!(at_once, 10, "from wherever");
    }
}
