//! The effective configuration. The command line precedes the environment, one TOML file and the defaults; each value
//! knows its source.

mod file;
mod merge;
mod options;
mod parse;

pub use options::{DatabaseOptions, ServeOptions};

use crate::clock::zone;
use crate::outbound::proxy::EgressProxy;
use crate::retention::Limits;
use clap::ArgMatches;
use file::read_file;
use ipnet::IpNet;
use jiff::tz::TimeZone;
use merge::Merge;
use model::egress::Policy;
use secrecy::SecretString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The environment variable that contains the master key.
pub const KEY_VARIABLE: &str = "HOOKWRIGHT_KEY";

/// Returns the master key of the environment. An empty variable counts as unset, since compose files may set one.
pub fn key_in_environment() -> Option<SecretString> {
    std::env::var(KEY_VARIABLE).ok().filter(|key| !key.is_empty()).map(SecretString::from)
}

/// Returns the key file that the configuration file names, unless the environment, which precedes it, has the key itself.
fn key_file_of(file: &DatabaseOptions) -> Option<&PathBuf> {
    file.key_file.as_ref().filter(|_| key_in_environment().is_none())
}

/// Returns the line of `check-config` about the variable with the master key.
pub fn key_line(config: &DatabaseConfig) -> String {
    let state = match (key_in_environment(), &config.key_file) {
        (None, _) => "",
        (Some(_), None) => "(set, hidden)",
        (Some(_), Some(_)) => "(set, and not used: key-file precedes it)",
    };
    format!("{KEY_VARIABLE} = {state}\n")
}

/// The highest number of concurrent deliveries of one webhook.
const IN_FLIGHT_MAX: u32 = 64;
/// The longest retention, in days: a hundred years.
const DAYS_MAX: u32 = 36_500;

/// An error in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not valid. The parser's text is left out, since it could repeat a password.
    #[error("the configuration file {path} is not valid: {reason}")]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// One value is wrong.
    #[error("{option}: {reason}")]
    Value {
        /// The option's name.
        option: &'static str,
        /// The reason.
        reason: String,
    },
}

/// The source of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The command line.
    CommandLine,
    /// A `HOOKWRIGHT_…` variable.
    Environment,
    /// The TOML file.
    File,
    /// No source gives a value.
    Default,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CommandLine => "command line",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// The configuration of the database.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// The directory of the data files.
    pub data_dir: PathBuf,
    /// The URL of PostgreSQL, if it is used. May contain a password.
    pub database_url: Option<SecretString>,
    /// The file with the master key.
    pub key_file: Option<PathBuf>,
}

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// True for encrypted connections.
    pub is_https: bool,
}

/// The console's URL for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    /// Scheme, host, and the port unless it is the scheme's default, as browsers send the origin in `Origin`.
    pub origin: String,
    /// True for https, so that cookies are never sent without encryption.
    pub is_https: bool,
}

/// The configuration of `serve`.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the options above say it")]
pub struct ServeConfig {
    pub database: DatabaseConfig,
    pub listen: Vec<Listen>,
    pub tls: Option<(PathBuf, PathBuf)>,
    /// The time zone of a new database. `None`: the system's.
    pub zone: Option<TimeZone>,
    pub public_url: Option<PublicUrl>,
    pub trusted_proxies: Vec<IpNet>,
    pub policy: Policy,
    pub allowed: Vec<IpNet>,
    pub egress_proxy: Option<EgressProxy>,
    pub in_flight_per_webhook: usize,
    pub retention: Limits,
    pub log: Option<String>,
    /// The file from which the level of the log is read again, unless the level came from elsewhere.
    pub log_file: Option<PathBuf>,
    pub demo: Option<SocketAddr>,
}

impl ServeConfig {
    /// Returns the level of the log, read again from the configuration file.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn read_log_level(&self) -> Result<Option<String>, Error> {
        match &self.log_file {
            None => Ok(self.log.clone()),
            Some(path) => Ok(read_file(path)?.serve.log),
        }
    }

    /// Returns the console's URL for people: the public URL, or else that of the first listener. A listener on all
    /// addresses has the URL of this machine.
    pub fn url_for_people(&self, first: Option<Listen>) -> Option<String> {
        if let Some(url) = &self.public_url {
            return Some(url.origin.clone());
        }
        let Listen { address, is_https } = first?;
        let host =
            if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() };
        Some(format!("{}://{host}", if is_https { "https" } else { "http" }))
    }

    /// Returns the hint that belongs to the URL for people where it leads to the console on this machine only.
    pub fn url_hint(&self) -> Option<&'static str> {
        let is_everywhere = self.listen.first().is_some_and(|first| first.address.ip().is_unspecified());
        let hint =
            "From another machine, write the name of this one instead of localhost; --public-url sets the address.";
        Some(hint).filter(|_| is_everywhere && self.public_url.is_none())
    }
}

/// A line of `check-config`: option, value (secrets hidden), and source.
pub type Provenance = (&'static str, String, Source);

/// Merges the options with the file that they name.
pub fn resolve(
    database_options: &DatabaseOptions,
    serve: &ServeOptions,
    matches: &ArgMatches,
) -> Result<(ServeConfig, Vec<Provenance>), Error> {
    let file = database_options.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
    let mut lines = Vec::new();
    let mut merge = Merge { matches, lines: &mut lines };
    let (from, file_from) = (database_options, file.database);
    let data_dir = merge.path("data-dir", from.data_dir.as_ref(), file_from.data_dir.as_ref(), "./data");
    let data_dir = data_dir.unwrap_or_else(|| "./data".into());
    let url = merge.secret(
        "database-url",
        from.database_url.as_ref(),
        file_from.database_url.as_ref(),
        "(not set: the embedded database)",
    );
    let default = match key_in_environment() {
        Some(_) => format!("(not used: the key is in {KEY_VARIABLE})"),
        None => data_dir.join("master.key").display().to_string(),
    };
    let key_file = merge.path("key-file", from.key_file.as_ref(), key_file_of(&file_from), &default);
    let (from, file_from) = (serve, file.serve);
    let listen = merge.list("listen", &from.listen, &file_from.listen, "http://127.0.0.1:8080");
    if listen.is_empty() {
        let reason = "it is empty, and the server would listen nowhere; write it like http://127.0.0.1:8080, or leave it \
                      out for that address";
        return Err(Error::Value { option: "listen", reason: reason.to_owned() });
    }
    let cert = merge.path("tls-cert", from.tls_cert.as_ref(), file_from.tls_cert.as_ref(), "(self-signed for https)");
    let key = merge.path("tls-key", from.tls_key.as_ref(), file_from.tls_key.as_ref(), "(self-signed for https)");
    let zone = merge.text("time-zone", from.time_zone.as_ref(), file_from.time_zone.as_ref(), "(the system's)");
    let public = merge.text("public-url", from.public_url.as_ref(), file_from.public_url.as_ref(), "(none)");
    let proxies = merge.list("trusted-proxy", &from.trusted_proxy, &file_from.trusted_proxy, "");
    let policy = Policy::default().as_str();
    let policy = merge.text("egress-policy", from.egress_policy.as_ref(), file_from.egress_policy.as_ref(), policy);
    let allowed = merge.list("egress-allow", &from.egress_allow, &file_from.egress_allow, "");
    let egress_proxy =
        merge.secret("egress-proxy", from.egress_proxy.as_ref(), file_from.egress_proxy.as_ref(), "(none)");
    let (given, in_file) = (from.in_flight_per_webhook, file_from.in_flight_per_webhook);
    let in_flight_per_webhook = merge.number("in-flight-per-webhook", given, in_file, 8, IN_FLIGHT_MAX)?;
    let retention = Limits {
        settled: days(merge.number("keep-days", from.keep_days, file_from.keep_days, 70, DAYS_MAX)?),
        per_destination: merge.number(
            "keep-per-webhook",
            from.keep_per_webhook,
            file_from.keep_per_webhook,
            100_000,
            u32::MAX,
        )?,
        unmatched: days(merge.number(
            "keep-unmatched-days",
            from.keep_unmatched_days,
            file_from.keep_unmatched_days,
            14,
            DAYS_MAX,
        )?),
    };
    let log = merge.text("log", from.log.as_ref(), file_from.log.as_ref(), "info");
    let demo = merge.text("demo", from.demo.as_ref(), file_from.demo.as_ref(), "(none)");
    let database = DatabaseConfig { data_dir, database_url: url.map(SecretString::from), key_file };
    let wrong = |option, reason: String| Error::Value { option, reason };
    let config = ServeConfig {
        demo: match demo {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| wrong("demo", format!("{text} is not an address and port")))?),
        },
        database,
        listen: listen.iter().map(|url| parse::listen(url)).collect::<Result<_, _>>()?,
        tls: match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("tls-key", "it is missing, and tls-cert needs it".to_owned())),
            (None, Some(_)) => return Err(wrong("tls-cert", "it is missing, and tls-key needs it".to_owned())),
        },
        zone: match zone {
            None => None,
            Some(name) => Some(zone::find(&name).ok_or_else(|| {
                wrong("time-zone", format!("{name} is not a time zone; write it like Europe/Berlin"))
            })?),
        },
        public_url: public.as_deref().map(parse::public_url).transpose()?,
        trusted_proxies: proxies.iter().map(|net| parse::network("trusted-proxy", net)).collect::<Result<_, _>>()?,
        policy: policy
            .map_or(Ok(Policy::default()), |name| name.parse())
            .map_err(|reason| wrong("egress-policy", reason))?,
        allowed: allowed.iter().map(|net| parse::network("egress-allow", net)).collect::<Result<_, _>>()?,
        egress_proxy: egress_proxy
            .map(|url| EgressProxy::parse(&url))
            .transpose()
            .map_err(|reason| wrong("egress-proxy", reason))?,
        log_file: database_options.config.clone().filter(|_| serve.log.is_none()),
        log: match log {
            Some(level) => {
                crate::logging::parse(&level).map_err(|reason| wrong("log", reason))?;
                Some(level)
            }
            None => None,
        },
        in_flight_per_webhook: in_flight_per_webhook as usize,
        retention,
    };
    Ok((config, lines))
}

/// Merges the options of a command that needs only the database.
pub fn resolve_database(options: &DatabaseOptions) -> Result<DatabaseConfig, Error> {
    let file = options.config.as_deref().map(read_file).transpose()?.unwrap_or_default().database;
    Ok(DatabaseConfig {
        key_file: options.key_file.as_ref().or(key_file_of(&file)).cloned(),
        data_dir: options.data_dir.clone().or(file.data_dir).unwrap_or_else(|| "./data".into()),
        database_url: options.database_url.clone().or(file.database_url).map(SecretString::from),
    })
}

fn days(count: u32) -> Duration {
    Duration::from_hours(24 * u64::from(count))
}
