//! Resolves names as the system does: by its hosts file, and by the name servers in `resolv.conf`.
//!
//! A name in the hosts file has only the addresses from there: no name server is asked for more.
//!
//! Both files are read again when they change, so that a change of the network needs no restart. Neither is read at
//! startup: a server that calls only IP addresses needs no name server.

mod sources;

use crate::file::{Stamp, stamp};
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::Name;
use sources::{Sources, reason_of};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The shortest time between two checks of the files for changes. They are checked when a name is resolved.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A name did not resolve.
#[derive(Debug, Clone, thiserror::Error)]
pub struct Unresolved {
    /// The host as written.
    pub host: String,
    /// The reason.
    pub reason: Reason,
    /// The operating system's number of the error, if this machine could not ask a name server.
    pub os_error: Option<i32>,
}

/// The reasons why a name does not resolve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The name does not exist, or has no address.
    NoAddress,
    /// The text cannot be a host name.
    InvalidName,
    /// No name server responded, or all of them failed.
    NoResponse,
}

impl std::fmt::Display for Unresolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = &self.host;
        match self.reason {
            Reason::NoAddress => {
                write!(f, "the name {host} has no address: check how it is written, and the name servers")
            }
            Reason::InvalidName => {
                write!(f, "{host:?} cannot be the name of a host: a part of it is too long, or empty")
            }
            Reason::NoResponse => {
                write!(f, "no name server of this machine could tell the address of {host}: are they reachable?")
            }
        }
    }
}

/// The paths of the system's files about names.
#[derive(Debug, Clone)]
pub struct Files {
    /// The list of name servers.
    pub resolv_conf: PathBuf,
    /// The names with fixed addresses.
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

/// A resolver that follows the system's files.
pub struct Names {
    files: Files,
    current: Mutex<Option<Current>>,
}

struct Current {
    checked_at: Instant,
    stamps: [Stamp; 2],
    sources: Arc<Sources>,
}

impl Names {
    /// Returns a resolver that reads the files when it is first used.
    pub fn new(files: Files) -> Self {
        Self { files, current: Mutex::new(None) }
    }

    /// Returns the addresses of a name: at least one.
    ///
    /// # Errors
    /// Fails when the name has no address, or no name server responds.
    pub async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, Unresolved> {
        let unresolved = |(reason, os_error)| Unresolved { host: host.to_owned(), reason, os_error };
        let failed = |error: NetError| unresolved(reason_of(&error));
        // Container and home networks use underscores, which strict host names do not allow.
        let name = Name::from_str_relaxed(host).map_err(|_| unresolved((Reason::InvalidName, None)))?;
        let sources = self.sources().map_err(failed)?;
        let found = sources.find(host, &name).await.map_err(failed)?;
        if found.is_empty() { Err(unresolved((Reason::NoAddress, None))) } else { Ok(found) }
    }

    /// Returns the sources by the current files. Reads them anew when a file has changed.
    fn sources(&self) -> Result<Arc<Sources>, NetError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(cached) = current.as_ref()
            && now.duration_since(cached.checked_at) < CHECK_INTERVAL
        {
            return Ok(cached.sources.clone());
        }
        let stamps = self.files.stamps();
        if let Some(cached) = current.as_mut()
            && cached.stamps == stamps
        {
            cached.checked_at = now;
            return Ok(cached.sources.clone());
        }
        let sources = Arc::new(Sources::read(&self.files)?);
        *current = Some(Current { checked_at: now, stamps, sources: sources.clone() });
        Ok(sources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn files(folder: &tempfile::TempDir) -> Files {
        // No name server responds at this address.
        let resolv_conf = folder.path().join("resolv.conf");
        fs::write(&resolv_conf, "nameserver 127.0.0.254\noptions timeout:1 attempts:1\n").unwrap();
        Files { resolv_conf, hosts: folder.path().join("hosts") }
    }

    #[tokio::test]
    async fn names_with_underscores_resolve_and_a_changed_hosts_file_needs_no_restart() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(&folder);
        fs::write(&files.hosts, "# here\n10.1.2.3 home_assistant Mixed.Case\nfd00::1 mixed.case # too\nnonsense x\n")
            .unwrap();
        let names = Names::new(files.clone());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(names.resolve("home_assistant").await.unwrap(), [ip("10.1.2.3")]);
        assert_eq!(names.resolve("Home_Assistant.").await.unwrap(), [ip("10.1.2.3")]);
        let mut both = names.resolve("mixed.case").await.unwrap();
        both.sort();
        assert_eq!(both, [ip("10.1.2.3"), ip("fd00::1")]);
        fs::write(&files.hosts, "10.1.2.4 nas_2\n").unwrap();
        names.current.lock().unwrap().as_mut().unwrap().checked_at -= CHECK_INTERVAL;
        assert_eq!(names.resolve("nas_2").await.unwrap(), [ip("10.1.2.4")]);
        let gone = names.resolve("home_assistant").await.unwrap_err();
        assert_eq!(gone.reason, Reason::NoResponse, "{gone}");
        let long = names.resolve(&"x".repeat(64)).await.unwrap_err();
        assert_eq!(long.reason, Reason::InvalidName, "{long}");
    }

    #[tokio::test]
    async fn unreadable_hosts_file_fails_and_is_not_cached_as_absent() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(&folder);
        // A folder exists, and reading it as a file fails.
        fs::create_dir(&files.hosts).unwrap();
        let names = Names::new(files.clone());
        let failed = names.resolve("nas_2").await.unwrap_err();
        assert!(failed.reason == Reason::NoResponse && failed.os_error.is_some(), "{failed:?}");
        fs::remove_dir(&files.hosts).unwrap();
        fs::write(&files.hosts, "10.1.2.4 nas_2 # caf\u{e9}\n").unwrap();
        assert_eq!(names.resolve("nas_2").await.unwrap().len(), 1, "the failure is not cached");
    }
}
