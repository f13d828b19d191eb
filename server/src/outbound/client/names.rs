//! Names, resolved as the system does: by its hosts file and its name servers, as both are now.
//!
//! The files are looked at again while the server runs, so that a network that changes needs no restart. The start
//! depends on neither: a server whose targets are addresses needs no name server.

use crate::file::{Stamp, stamp};
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, TokioResolver};
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How often the files are looked at, while names are asked for.
const EVERY: Duration = Duration::from_secs(1);
/// How long a name counts as unknown once nobody knew it, whatever the name server says: one is just being made.
const UNKNOWN_FOR: Duration = Duration::from_secs(2);
/// How long an entry of the hosts file counts, in seconds; another file makes another resolver.
const HOSTS_TTL: u32 = 86_400;

/// A name did not resolve.
#[derive(Debug, Clone, thiserror::Error)]
pub struct Unresolved {
    /// The host as written.
    pub host: String,
    /// Why.
    pub why: Why,
    /// The operating system's number for why nobody could be asked, if that is why.
    pub os_error: Option<i32>,
}

/// Why a name did not resolve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// There is no such name, or it has no address.
    Unknown,
    /// The text cannot be a host name.
    NoName,
    /// No name server answered, or none could tell.
    Silent,
}

impl std::fmt::Display for Unresolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = &self.host;
        match self.why {
            Why::Unknown => write!(f, "the name {host} has no address: check how it is written, and the name servers"),
            Why::NoName => write!(f, "{host:?} cannot be the name of a host: a part of it is too long, or empty"),
            Why::Silent => {
                write!(f, "no name server of this machine could tell the address of {host}: are they reachable?")
            }
        }
    }
}

/// Where the system keeps what it knows of names.
#[derive(Debug, Clone)]
pub struct Files {
    /// The name servers.
    pub resolv_conf: PathBuf,
    /// Names of this network.
    pub hosts: PathBuf,
}

impl Default for Files {
    fn default() -> Self {
        Self { resolv_conf: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into() }
    }
}

impl Files {
    fn stamps(&self) -> [Stamp; 2] {
        [&self.resolv_conf, &self.hosts].map(|path| stamp(path))
    }
}

/// The system's names.
pub struct Names {
    files: Files,
    current: Mutex<Option<Current>>,
}

struct Current {
    looked_at: Instant,
    stamps: [Stamp; 2],
    resolver: TokioResolver,
}

impl Names {
    /// Reads nothing yet.
    pub fn new(files: Files) -> Self {
        Self { files, current: Mutex::new(None) }
    }

    /// The addresses of a name.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Unresolved> {
        let unresolved = |(why, os_error)| Unresolved { host: host.to_owned(), why, os_error };
        let failed = |error: NetError| unresolved(why_not(&error));
        // Container and home networks use underscores, which strict host names do not allow.
        let name = Name::from_str_relaxed(host).map_err(|_| unresolved((Why::NoName, None)))?;
        let found: Vec<_> = self.resolver().map_err(failed)?.lookup_ip(name).await.map_err(failed)?.iter().collect();
        if found.is_empty() { Err(unresolved((Why::Unknown, None))) } else { Ok(found) }
    }

    /// The resolver of the files as they are.
    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(known) = current.as_ref()
            && now.duration_since(known.looked_at) < EVERY
        {
            return Ok(known.resolver.clone());
        }
        let stamps = self.files.stamps();
        if let Some(known) = current.as_mut()
            && known.stamps == stamps
        {
            known.looked_at = now;
            return Ok(known.resolver.clone());
        }
        let resolver = build(&self.files)?;
        *current = Some(Current { looked_at: now, stamps, resolver: resolver.clone() });
        Ok(resolver)
    }
}

/// Reads a file, empty where there is none. Any other failure is one of this machine, and must not look like an absent
/// file for as long as the file stays the same.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

fn build(files: &Files) -> Result<TokioResolver, NetError> {
    let (servers, hosts) = (read(&files.resolv_conf)?, read(&files.hosts)?);
    // Without a configured name server, the one of this machine is asked (resolv.conf(5)).
    let (config, mut options) = parse_resolv_conf(servers).unwrap_or_else(|_| {
        let local = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
        (ResolverConfig::from_parts(None, Vec::new(), vec![local]), ResolverOpts::default())
    });
    options.negative_max_ttl = Some(UNKNOWN_FOR);
    options.use_hosts_file = ResolveHosts::Never;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    let mut resolver = builder.build()?;
    resolver.set_hosts(Arc::new(read_hosts(&String::from_utf8_lossy(&hosts))));
    Ok(resolver)
}

/// The hosts file (hosts(5)), with the names that the library's own reading leaves out.
fn read_hosts(text: &str) -> Hosts {
    let mut hosts = Hosts::default();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
        let kind = if address.is_ipv4() { RecordType::A } else { RecordType::AAAA };
        for word in words {
            let Ok(mut name) = Name::from_str_relaxed(word.to_lowercase()) else { continue };
            name.set_fqdn(true);
            let record = Record::from_rdata(name.clone(), HOSTS_TTL, RData::from(address));
            let lookup = Lookup::new_with_max_ttl(Query::query(name.clone(), kind), [record]);
            hosts.insert(name, kind, lookup);
        }
    }
    hosts
}

/// Why nothing was found, with the operating system's number if this machine could not ask.
fn why_not(error: &NetError) -> (Why, Option<i32>) {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none))
            if matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain) =>
        {
            (Why::Unknown, None)
        }
        NetError::Proto(_) => (Why::NoName, None),
        NetError::Io(error) => (Why::Silent, error.raw_os_error()),
        // The library does not say why; another socket would not open either.
        NetError::NoConnections => {
            (Why::Silent, UdpSocket::bind("0.0.0.0:0").err().and_then(|error| error.raw_os_error()))
        }
        _ => (Why::Silent, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &tempfile::TempDir) -> Files {
        // No name server answers there.
        let resolv_conf = folder.path().join("resolv.conf");
        fs::write(&resolv_conf, "nameserver 127.0.0.254\noptions timeout:1 attempts:1\n").unwrap();
        Files { resolv_conf, hosts: folder.path().join("hosts") }
    }

    #[tokio::test]
    async fn a_name_with_an_underscore_is_found_and_a_new_one_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(&folder);
        fs::write(&files.hosts, "# here\n10.1.2.3 home_assistant Mixed.Case\nfd00::1 mixed.case # too\nnonsense x\n")
            .unwrap();
        let names = Names::new(files.clone());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(names.resolve("home_assistant").await.unwrap(), [ip("10.1.2.3")]);
        let mut both = names.resolve("mixed.case").await.unwrap();
        both.sort();
        assert_eq!(both, [ip("10.1.2.3"), ip("fd00::1")]);
        fs::write(&files.hosts, "10.1.2.4 nas_2\n").unwrap();
        names.current.lock().unwrap().as_mut().unwrap().looked_at -= EVERY;
        assert_eq!(names.resolve("nas_2").await.unwrap(), [ip("10.1.2.4")]);
        let gone = names.resolve("home_assistant").await.unwrap_err();
        assert_eq!(gone.why, Why::Silent, "{gone}");
        let long = names.resolve(&"x".repeat(64)).await.unwrap_err();
        assert_eq!(long.why, Why::NoName, "{long}");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_now_is_not_taken_for_one_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(&folder);
        // A folder in its place: it is there, and reading it fails.
        fs::create_dir(&files.hosts).unwrap();
        let names = Names::new(files.clone());
        let failed = names.resolve("nas_2").await.unwrap_err();
        assert!(failed.why == Why::Silent && failed.os_error.is_some(), "{failed:?}");
        fs::remove_dir(&files.hosts).unwrap();
        fs::write(&files.hosts, "10.1.2.4 nas_2 # caf\u{e9}\n").unwrap();
        assert_eq!(names.resolve("nas_2").await.unwrap().len(), 1, "nothing of the failure stays");
    }

    #[tokio::test]
    async fn without_any_file_the_name_servers_are_those_of_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("nowhere");
        assert!(build(&Files { resolv_conf: nowhere.clone(), hosts: nowhere }).is_ok());
    }
}
