//! `hookwright serve`: opens everything in order, runs until told to stop, and lets what is under way finish.

use crate::clock::{Clock, Follower};
use crate::config::{DatabaseConfig, KEY_VARIABLE, Listen, ServeConfig};
use crate::dispatch::Dispatcher;
use crate::dispatch::client::Guard;
use crate::http::live::Pulse;
use crate::http::{BODY_PATIENCE, Http, router, site};
use crate::inbox;
use crate::intake::Intake;
use crate::retention::Retention;
use crate::service::{Services, account, demo};
use crate::store::{Store, claim, connect, listen, setting};
use crate::vault::{Vault, create_private};
use anyhow::{Context, bail};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use model::egress::Rules;
use secrecy::{ExposeSecret, SecretString};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long requests under way may take once the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// Opens the database as it is.
async fn open_store(config: &DatabaseConfig) -> anyhow::Result<Store> {
    let store = match &config.database_url {
        Some(url) => {
            let url = url.expose_secret();
            if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
                bail!("the database URL has to begin with postgres://");
            }
            connect::open_postgres(url).await.context("cannot open the PostgreSQL database")?
        }
        None => {
            std::fs::create_dir_all(&config.data_dir)
                .with_context(|| format!("cannot make the data directory {}", config.data_dir.display()))?;
            connect::open_sqlite(&config.data_dir)
                .await
                .with_context(|| format!("cannot open the database in {}", config.data_dir.display()))?
        }
    };
    Ok(store)
}

/// The database with its schema up to date, for the commands beside `serve`: a server that is running on the embedded
/// one keeps the schema it has been started with.
pub async fn open_beside(config: &DatabaseConfig) -> anyhow::Result<Store> {
    if config.database_url.is_some() {
        return migrated(config).await;
    }
    if let Some(_lock) = try_lock_directory(&config.data_dir)? {
        return migrated(config).await;
    }
    let store = open_store(config).await?;
    if connect::is_outdated(&store).await.context("cannot read the schema of the database")? {
        bail!(
            "the server on {} is of an earlier version, and its database too; start it with this version first",
            config.data_dir.display()
        );
    }
    Ok(store)
}

async fn migrated(config: &DatabaseConfig) -> anyhow::Result<Store> {
    let store = open_store(config).await?;
    connect::migrate(&store).await.context("cannot bring the database's schema up to date")?;
    Ok(store)
}

/// Finds the master key, and refuses one that is not this database's.
async fn open_vault(config: &DatabaseConfig, store: &Store) -> anyhow::Result<Vault> {
    let vault = match (&config.key_file, std::env::var(KEY_VARIABLE)) {
        (Some(path), _) => Vault::from_file(path)?,
        (None, Ok(key)) => Vault::from_base64(&SecretString::from(key), KEY_VARIABLE)?,
        (None, Err(_)) if config.database_url.is_none() => {
            Vault::from_file_or_new(&config.data_dir.join("master.key"))?
        }
        (None, Err(_)) => bail!(
            "with PostgreSQL the master key comes from --key-file or {KEY_VARIABLE}, the same on every node: \
             32 random bytes in base64, as `openssl rand -base64 32` makes them"
        ),
    };
    let known = setting::insert_once(store.write(), "key_fingerprint", vault.fingerprint()).await?;
    if known != vault.fingerprint() {
        bail!("this master key is not the one the database's secrets are sealed with; use the key it was started with");
    }
    Ok(vault)
}

/// Keeps a second server off the data directory for as long as it is open.
fn lock_directory(data_dir: &Path) -> anyhow::Result<std::fs::File> {
    let Some(lock) = try_lock_directory(data_dir)? else {
        bail!("another hookwright is already serving {}; stop it first", data_dir.display());
    };
    Ok(lock)
}

/// The lock of the data directory, unless somebody has it.
fn try_lock_directory(data_dir: &Path) -> anyhow::Result<Option<std::fs::File>> {
    std::fs::create_dir_all(data_dir).with_context(|| format!("cannot make {}", data_dir.display()))?;
    let path = data_dir.join("serve.lock");
    let file = std::fs::File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// A listener whose port is known, also when 0 was asked for.
struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    is_https: bool,
}

fn bind(listen: &Listen) -> anyhow::Result<Bound> {
    let listener = TcpListener::bind(listen.address)
        .with_context(|| format!("cannot listen on {}; is another program there?", listen.address))?;
    listener.set_nonblocking(true)?;
    Ok(Bound { address: listener.local_addr()?, listener, is_https: listen.is_https })
}

/// The certificate for https: the given one, or a self-signed one made at first start.
async fn tls_config(config: &ServeConfig) -> anyhow::Result<RustlsConfig> {
    let (cert, key) = match &config.tls {
        Some(files) => files.clone(),
        None => self_signed(&config.database.data_dir)?,
    };
    RustlsConfig::from_pem_file(&cert, &key)
        .await
        .with_context(|| format!("cannot use the certificate {} with its key", cert.display()))
}

fn self_signed(data_dir: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    std::fs::create_dir_all(data_dir)?;
    let (cert, key) = (data_dir.join("self-signed.crt"), data_dir.join("self-signed.key"));
    if !cert.exists() || !key.exists() {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).context("cannot make a self-signed certificate")?;
        if key.exists() {
            std::fs::remove_file(&key)?;
        }
        create_private(&key, made.signing_key.serialize_pem().as_bytes())?;
        std::fs::write(&cert, made.cert.pem())?;
    }
    Ok((cert, key))
}

/// Runs until SIGTERM or Ctrl-C.
pub async fn run(config: ServeConfig) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let is_embedded = config.database.database_url.is_none();
    // Before the database is opened: a newer version must not change it under one that is running.
    let _lock = is_embedded.then(|| lock_directory(&config.database.data_dir)).transpose()?;
    let store = migrated(&config.database).await?;
    let vault = open_vault(&config.database, &store).await?;
    let bound = config.listen.iter().map(bind).collect::<anyhow::Result<Vec<_>>>()?;
    // "Now" of due times and leases is the database's clock where several nodes share one.
    let follower = if is_embedded { None } else { Some(Follower::start(&store).await?) };
    let clock = follower.clone().map_or_else(Clock::system, Clock::of_database);
    let rules = Rules {
        policy: config.policy,
        allowed: config.allowed.clone(),
        listeners: bound.iter().map(|bound| bound.address).collect(),
    };
    let services = Services {
        store: store.clone(),
        vault: Arc::new(vault),
        clock: clock.clone(),
        zone: config.zone.clone(),
        guard: Arc::new(Guard::new(rules)?),
        bell: Arc::default(),
    };
    if is_embedded {
        // The only server of this database has just started: every lease belongs to one that is gone.
        claim::release_all(store.write(), clock.now()).await?;
    }
    let bell = services.bell.clone();
    let intake = Intake::start(store.clone(), clock.clone(), config.zone.clone(), bell.clone());
    let http = Http {
        services: services.clone(),
        intake: intake.clone(),
        keys: Arc::default(),
        assets: site::assets(),
        sign_in_limit: Arc::default(),
        pulse: Pulse::start(services.clone(), stop.clone()),
        body_patience: BODY_PATIENCE,
    };
    let tasks = TaskTracker::new();
    tasks.spawn(Dispatcher::new(services.clone(), config.in_flight_per_webhook).run(stop.clone()));
    tasks.spawn(intake.run_inside(store.clone(), stop.clone()));
    tasks.spawn(listen::run(store.clone(), bell, stop.clone()));
    if let Some(follower) = follower {
        tasks.spawn(follower.run(store.clone(), stop.clone()));
    }
    tasks.spawn(Retention::new(store.clone(), clock, config.kept).run(stop.clone()));
    let handle = Handle::new();
    let first = bound.first().map(|bound| (bound.address, bound.is_https));
    for bound in bound {
        serve(bound, &http, &config, &handle, &tasks).await?;
    }
    if let Some(address) = config.demo {
        start_demo(&services, address).await?;
    }
    announce(&store, first).await?;
    wait_for_signal().await?;
    tracing::info!("stopping");
    stop.cancel();
    handle.graceful_shutdown(Some(GRACE));
    tasks.close();
    tasks.wait().await;
    Ok(())
}

async fn serve(
    bound: Bound,
    http: &Http,
    config: &ServeConfig,
    handle: &Handle<SocketAddr>,
    tasks: &TaskTracker,
) -> anyhow::Result<()> {
    let service = router(http, bound.is_https).into_make_service_with_connect_info::<SocketAddr>();
    let scheme = if bound.is_https { "https" } else { "http" };
    tracing::info!(url = format!("{scheme}://{}", bound.address), "listening");
    let report = |result: std::io::Result<()>| {
        if let Err(error) = result {
            tracing::error!(%error, "a listener has stopped");
        }
    };
    if bound.is_https {
        let server = axum_server::from_tcp_rustls(bound.listener, tls_config(config).await?)?.handle(handle.clone());
        tasks.spawn(async move { report(server.serve(service).await) });
    } else {
        let server = axum_server::from_tcp(bound.listener)?.handle(handle.clone());
        tasks.spawn(async move { report(server.serve(service).await) });
    }
    Ok(())
}

/// The receiver of the demo, and its content.
async fn start_demo(services: &Services, address: SocketAddr) -> anyhow::Result<()> {
    match tokio::net::TcpListener::bind(address).await {
        Ok(listener) => {
            let sink = inbox::printer(None).await.context("cannot print what the demo receives")?;
            let clock = services.clock.clone();
            tokio::spawn(async move { inbox::serve(listener, clock, sink).await });
        }
        // Somebody's own receiver may be there: its content is as good.
        Err(error) => tracing::warn!(%error, %address, "the demo's receiver cannot listen"),
    }
    demo::make(services, &format!("http://{address}")).await.context("cannot make the demo's content")
}

/// Tells where the console is and, the first time, how to get in.
async fn announce(store: &Store, first: Option<(SocketAddr, bool)>) -> anyhow::Result<()> {
    use std::io::Write;
    let Some((address, is_https)) = first else { return Ok(()) };
    let scheme = if is_https { "https" } else { "http" };
    let mut lines = format!("Hookwright is at {scheme}://{address}\n");
    if let Some(token) = account::setup_token(store).await? {
        lines += &format!("Make the first administrator: {scheme}://{address}/setup?token={token}\n");
    }
    let mut out = std::io::stdout().lock();
    out.write_all(lines.as_bytes())?;
    Ok(out.flush()?)
}

async fn wait_for_signal() -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result?,
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}
