//! The options as the command line, the environment and the file give them. Nothing is checked here.

use super::file::one_or_several;
use clap::Args;
use serde::Deserialize;
use std::path::PathBuf;

/// The options of every command: the database, and the key of its secrets.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct DatabaseOptions {
    /// Directory of the embedded database and the generated keys [default: ./data]
    #[arg(long, env = "HOOKWRIGHT_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// PostgreSQL instead of the embedded database: `postgres://…`
    #[arg(long, env = "HOOKWRIGHT_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// File with the master key: 32 bytes in base64; or the key itself in `HOOKWRIGHT_KEY` [default: in the data directory]
    #[arg(long, env = "HOOKWRIGHT_KEY_FILE", value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// TOML file with any of these options, without the dashes
    #[arg(long, env = "HOOKWRIGHT_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
}

/// The options of `serve` alone.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct ServeOptions {
    /// Where to listen: `http://ADDR:PORT` or `https://ADDR:PORT`, repeatable [default: `http://127.0.0.1:8080`]
    #[arg(long, env = "HOOKWRIGHT_LISTEN", value_name = "URL", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_several")]
    pub listen: Vec<String>,
    /// Certificate chain for https, PEM [default: a self-signed one in the data directory]
    #[arg(long, env = "HOOKWRIGHT_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM
    #[arg(long, env = "HOOKWRIGHT_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Time zone of a new database, like `Europe/Berlin`; later it is changed in the console [default: the system's]
    #[arg(long, env = "HOOKWRIGHT_TIME_ZONE", value_name = "ZONE")]
    pub time_zone: Option<String>,
    /// The console's address for people, if it is another than where the server listens, like `https://hooks.example.com`
    #[arg(long, env = "HOOKWRIGHT_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// A reverse proxy, or a network of them, whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted, repeatable
    #[arg(long, env = "HOOKWRIGHT_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_several")]
    pub trusted_proxy: Vec<String>,
    /// Where webhooks may go: internal, internet or listed [default: internal]
    #[arg(long, env = "HOOKWRIGHT_EGRESS_POLICY", value_name = "POLICY")]
    pub egress_policy: Option<String>,
    /// A network that webhooks may call beyond the policy, like `127.0.0.0/8`, repeatable
    #[arg(long, env = "HOOKWRIGHT_EGRESS_ALLOW", value_name = "CIDR", value_delimiter = ',')]
    #[serde(deserialize_with = "one_or_several")]
    pub egress_allow: Vec<String>,
    /// An HTTP proxy that webhooks are sent through, `http://[USER:PASSWORD@]HOST:PORT`
    #[arg(long, env = "HOOKWRIGHT_EGRESS_PROXY", value_name = "URL", hide_env_values = true)]
    pub egress_proxy: Option<String>,
    /// How many deliveries of one webhook are in flight at once, 1 to 64 [default: 8]
    #[arg(long, env = "HOOKWRIGHT_IN_FLIGHT_PER_WEBHOOK", value_name = "COUNT")]
    pub in_flight_per_webhook: Option<u32>,
    /// How many days settled deliveries are retained, with their runs and occurrences [default: 70]
    #[arg(long, env = "HOOKWRIGHT_KEEP_DAYS", value_name = "DAYS")]
    pub keep_days: Option<u32>,
    /// How many settled deliveries of one webhook are retained [default: 100000]
    #[arg(long, env = "HOOKWRIGHT_KEEP_PER_WEBHOOK", value_name = "COUNT")]
    pub keep_per_webhook: Option<u32>,
    /// How many days occurrences that started nothing are retained [default: 14]
    #[arg(long, env = "HOOKWRIGHT_KEEP_UNMATCHED_DAYS", value_name = "DAYS")]
    pub keep_unmatched_days: Option<u32>,
    /// Level of the log: off, error, warn, info, debug or trace, also for parts, `warn,server=debug` [default: info]
    #[arg(long, env = "HOOKWRIGHT_LOG", value_name = "LEVEL")]
    pub log: Option<String>,
    /// Create example content in an empty installation, with a receiver at this address of this machine
    #[arg(long, env = "HOOKWRIGHT_DEMO", value_name = "ADDR:PORT")]
    pub demo: Option<String>,
}
