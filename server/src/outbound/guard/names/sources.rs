//! The sources of addresses: the entries of a hosts file, and the name servers of a `resolv.conf`. The module `names`
//! decides which files these are, and when they are read again.

use super::{Files, Reason};
use crate::outbound::failure::socket_error;
use futures_util::future::{Either, select};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record};
use hickory_resolver::system_conf::parse_resolv_conf;
use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

/// The longest time for which the lack of an address is cached, even if the name server gives a longer TTL: the name
/// may just be being created.
const NEGATIVE_TTL: Duration = Duration::from_secs(2);
/// The longest wait for the addresses of one family once those of the other are known (RFC 8305, section 3). Some name
/// servers never respond to a question for IPv6.
const OTHER_FAMILY: Duration = Duration::from_millis(50);

/// The sources of addresses.
pub(super) struct Sources {
    hosts: HashMap<String, Vec<IpAddr>>,
    servers: TokioResolver,
    /// The domains in which a short name is looked for.
    domains: Vec<Name>,
    /// A name with at least this number of dots is first asked for as it is written.
    dots: usize,
}

impl Sources {
    /// Reads the files. An absent file counts as empty.
    ///
    /// # Errors
    /// Fails when a file cannot be read, so that no resolver with an empty file is cached until the file changes.
    pub(super) fn read(files: &Files) -> Result<Self, NetError> {
        let (servers, hosts) = (read(&files.resolv_conf)?, read(&files.hosts)?);
        // Without a configured name server, the one on this machine is used (resolv.conf(5)).
        let (config, mut options) = parse_resolv_conf(servers).unwrap_or_else(|_| {
            let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
            (ResolverConfig::from_parts(None, Vec::new(), vec![local]), ResolverOpts::default())
        });
        let mut domains: Vec<Name> = config.domain().into_iter().chain(config.search()).cloned().collect();
        domains.dedup();
        let dots = options.ndots;
        options.negative_max_ttl = Some(NEGATIVE_TTL);
        options.use_hosts_file = ResolveHosts::Never;
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        let hosts = read_hosts(&String::from_utf8_lossy(&hosts));
        Ok(Self { hosts, servers: builder.build()?, domains, dots })
    }

    /// Returns the addresses of a name from the hosts file, or else from the name servers. `host` is the name as
    /// written.
    pub(super) async fn find(&self, host: &str, name: &Name) -> Result<Vec<IpAddr>, NetError> {
        match self.hosts.get(&hosts_key(host)) {
            Some(addresses) => Ok(addresses.clone()),
            None => self.ask(name).await,
        }
    }

    /// Returns the complete names that a written name may stand for, in the order in which they are asked for. Each
    /// name is asked for in both families before the next one, since a domain may have an address for any name.
    fn candidates(&self, name: &Name) -> Vec<Name> {
        let mut written = name.clone();
        written.set_fqdn(true);
        if name.is_fqdn() {
            return vec![written];
        }
        let mut names: Vec<_> =
            self.domains.iter().filter_map(|domain| name.clone().append_domain(domain).ok()).collect();
        let is_first = usize::from(name.num_labels()) > self.dots || name.is_localhost();
        names.insert(if is_first { 0 } else { names.len() }, written);
        names
    }

    /// Asks the name servers for the addresses of a name.
    async fn ask(&self, name: &Name) -> Result<Vec<IpAddr>, NetError> {
        let mut failure = None::<NetError>;
        for name in self.candidates(name) {
            let v6 = async { Ok(addresses(&self.servers.ipv6_lookup(name.clone()).await?)) };
            let v4 = async { Ok(addresses(&self.servers.ipv4_lookup(name.clone()).await?)) };
            match both_families(v6, v4).await {
                Ok(found) if !found.is_empty() => return Ok(found),
                // The error of a name server that did not respond is more useful than that of one that knows no
                // address.
                Err(error) if failure.as_ref().is_none_or(|last| reason_of(last).0 == Reason::NoAddress) => {
                    failure = Some(error);
                }
                Ok(_) | Err(_) => {}
            }
        }
        failure.map_or(Ok(Vec::new()), Err)
    }
}

/// Reads a file. An absent file counts as empty. Fails on any other error, since a resolver with an empty file would be
/// cached until the file changes.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

/// Returns the addresses of both families, IPv6 first. Once one family has addresses, waits only briefly for the other.
///
/// # Errors
/// Fails where neither family has an address. The error says that no name server responded or, if one did, that there
/// is no address.
async fn both_families(
    v6: impl Future<Output = Result<Vec<IpAddr>, NetError>>,
    v4: impl Future<Output = Result<Vec<IpAddr>, NetError>>,
) -> Result<Vec<IpAddr>, NetError> {
    let (v6, v4) = (pin!(v6), pin!(v4));
    let is_found = |found: &Result<Vec<IpAddr>, NetError>| found.as_ref().is_ok_and(|found| !found.is_empty());
    let (first, second) = match select(v6, v4).await {
        Either::Left((v6, v4)) if is_found(&v6) => (v6, timeout(OTHER_FAMILY, v4).await.unwrap_or(Ok(Vec::new()))),
        Either::Left((v6, v4)) => (v6, v4.await),
        Either::Right((v4, v6)) if is_found(&v4) => (timeout(OTHER_FAMILY, v6).await.unwrap_or(Ok(Vec::new())), v4),
        Either::Right((v4, v6)) => (v6.await, v4),
    };
    match (first, second) {
        (Ok(v6), Ok(v4)) => Ok([v6, v4].concat()),
        (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => Ok(found),
        (Err(error), Err(_)) if reason_of(&error).0 != Reason::NoAddress => Err(error),
        (_, Err(error)) | (Err(error), _) => Err(error),
    }
}

/// Reads a hosts file (hosts(5)): the addresses of each name.
fn read_hosts(text: &str) -> HashMap<String, Vec<IpAddr>> {
    let mut hosts: HashMap<String, Vec<IpAddr>> = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = fields.next().map(str::parse::<IpAddr>) else { continue };
        for name in fields {
            let addresses = hosts.entry(hosts_key(name)).or_default();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    hosts
}

/// Returns a name in the form in which names of the hosts file are compared: in lower case, without the dot of a
/// complete name.
fn hosts_key(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase()
}

/// Returns the addresses of a lookup.
fn addresses(found: &Lookup) -> Vec<IpAddr> {
    let address = |record: &Record| match record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    };
    found.answers().iter().filter_map(address).collect()
}

/// Returns the reason for an error, with the operating system's number if this machine could not ask.
pub(super) fn reason_of(error: &NetError) -> (Reason, Option<i32>) {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none))
            if matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain) =>
        {
            (Reason::NoAddress, None)
        }
        NetError::Proto(_) => (Reason::InvalidName, None),
        NetError::Io(error) => (Reason::NoResponse, error.raw_os_error()),
        // The library does not say why no socket opened. Another one fails in the same way.
        NetError::NoConnections => (Reason::NoResponse, socket_error()),
        _ => (Reason::NoResponse, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    /// A name server that does not know IPv6 drops the question. Earlier, waiting for its response took as long as a
    /// whole attempt.
    #[tokio::test]
    async fn addresses_of_one_family_hardly_wait_for_the_other() {
        type Found = Result<Vec<IpAddr>, NetError>;
        let v4 = || ready(Found::Ok(vec!["10.1.2.3".parse().unwrap()]));
        let v6 = || ready(Found::Ok(vec!["fd00::1".parse().unwrap()]));
        let slow = || async {
            tokio::time::sleep(OTHER_FAMILY * 4).await;
            v6().await
        };
        assert_eq!(both_families(pending(), v4()).await.unwrap(), v4().await.unwrap());
        assert_eq!(both_families(v6(), pending()).await.unwrap(), v6().await.unwrap());
        assert_eq!(both_families(v6(), v4()).await.unwrap().len(), 2);
        let none = || ready(Found::Ok(Vec::new()));
        let failed = || ready(Found::Err(NetError::Timeout));
        assert_eq!(both_families(slow(), none()).await.unwrap(), v6().await.unwrap(), "the only one is waited for");
        assert_eq!(both_families(slow(), failed()).await.unwrap(), v6().await.unwrap());
        assert!(both_families(failed(), none()).await.is_err());
    }

    #[tokio::test]
    async fn short_name_is_looked_for_in_the_domains_first_and_a_long_one_as_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files { resolv_conf: folder.path().join("resolv.conf"), hosts: folder.path().join("hosts") };
        fs::write(&files.resolv_conf, "nameserver 127.0.0.254\nsearch home.example corp.example\n").unwrap();
        let sources = Sources::read(&files).unwrap();
        let candidates = |name: &str| {
            let names = sources.candidates(&Name::from_str_relaxed(name).unwrap());
            names.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(candidates("nas"), ["nas.home.example.", "nas.corp.example.", "nas."]);
        assert_eq!(candidates("a.b"), ["a.b.", "a.b.home.example.", "a.b.corp.example."]);
        assert_eq!(candidates("a.b."), ["a.b."]);
    }

    #[tokio::test]
    async fn resolver_is_built_without_any_file() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("nowhere");
        assert!(Sources::read(&Files { resolv_conf: nowhere.clone(), hosts: nowhere }).is_ok());
    }
}
