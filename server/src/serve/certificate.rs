//! The certificate for https: configured, or created at the first start; reloaded while the server runs.
//!
//! A renewed certificate is used without a restart: within a minute of a change of its files, and at once on SIGHUP.
//! SIGHUP also reads the level of the log again. Files that cannot be read, or do not belong together, change nothing.

use crate::config::ServeConfig;
use crate::file::{Stamp, private_folder, remove, stamp, write_private};
use crate::logging;
use anyhow::Context;
use axum_server::tls_rustls::RustlsConfig;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

/// Interval between two looks at the files.
const EVERY: Duration = Duration::from_secs(30);

/// A certificate with its key, and the paths of both.
#[derive(Clone)]
pub(super) struct Certificate {
    pub(super) tls: RustlsConfig,
    cert: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// Loads the certificate if there is a listener for https. A configured one is else reported as not used.
    pub(super) async fn load_for(is_https: bool, config: &ServeConfig) -> anyhow::Result<Option<Self>> {
        if is_https {
            return Self::load(config).await.map(Some);
        }
        if config.tls.is_some() {
            tracing::warn!("tls-cert and tls-key are not used: no listener is https; write --listen https://ADDR:PORT");
        }
        Ok(None)
    }

    /// Loads the configured certificate, or the self-signed one in the data directory.
    async fn load(config: &ServeConfig) -> anyhow::Result<Self> {
        let (cert, key) = match &config.tls {
            Some(files) => files.clone(),
            None => self_signed(&config.database.data_dir)?,
        };
        let tls = RustlsConfig::from_pem_file(&cert, &key)
            .await
            .with_context(|| format!("cannot use the certificate {} with its key", cert.display()))?;
        Ok(Self { tls, cert, key })
    }

    fn stamps(&self) -> [Stamp; 2] {
        [&self.cert, &self.key].map(|path| stamp(path))
    }

    async fn reload(&self) {
        match self.tls.reload_from_pem_file(&self.cert, &self.key).await {
            Ok(()) => tracing::info!(certificate = %self.cert.display(), "the certificate is reloaded"),
            Err(error) => {
                let certificate = self.cert.display();
                tracing::error!(%error, %certificate, "the certificate cannot be read; the one before stays in use");
            }
        }
    }
}

/// Follows the files of a certificate, and the file with the level of the log, until `stop` is cancelled.
pub(super) async fn follow(
    certificate: Option<Certificate>,
    config: ServeConfig,
    mut hangups: Signal,
    stop: CancellationToken,
) {
    let log_stamp = || config.log_file.as_deref().map(stamp);
    let (mut seen, mut seen_log) = (certificate.as_ref().map(Certificate::stamps), log_stamp());
    loop {
        let is_requested = tokio::select! {
            () = stop.cancelled() => return,
            _ = hangups.recv() => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        let now_log = log_stamp();
        if is_requested || now_log != seen_log {
            set_log(&config);
        }
        seen_log = now_log;
        let now = certificate.as_ref().map(Certificate::stamps);
        if let Some(certificate) = certificate.as_ref().filter(|_| is_requested || now != seen) {
            certificate.reload().await;
        }
        seen = now;
    }
}

/// Sets the level of the log, read again from the configuration.
fn set_log(config: &ServeConfig) {
    let set =
        config.read_log_level().map_err(|error| error.to_string()).and_then(|level| logging::set(level.as_deref()));
    match set {
        Ok(()) => tracing::info!("the level of the log is reloaded"),
        Err(error) => tracing::error!(error, "the level of the log cannot be read; it is unchanged"),
    }
}

fn self_signed(data_dir: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    private_folder(data_dir)?;
    let (cert, key) = (data_dir.join("self-signed.crt"), data_dir.join("self-signed.key"));
    if !cert.exists() || !key.exists() {
        // The old certificate is removed first. With another key it would be refused at every later start.
        remove(&cert)?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).context("cannot create a self-signed certificate")?;
        write_private(&key, made.signing_key.serialize_pem().as_bytes())?;
        write_private(&cert, made.cert.pem().as_bytes())?;
    }
    Ok((cert, key))
}
