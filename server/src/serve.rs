//! `hookwright serve`: opens everything in order, runs until told to stop, and lets running work finish.

mod certificate;
mod listener;
mod signal;

use crate::clock::{Clock, Follower, Zone};
use crate::config::{DatabaseConfig, KEY_VARIABLE, Listen, ServeConfig, key_in_environment};
use crate::dispatch::Dispatcher;
use crate::engine::lane::Lanes;
use crate::file::private_folder;
use crate::http::door::{Capacity, Door};
use crate::http::live::ChangeFeed;
use crate::http::proxy::Proxies;
use crate::http::{BODY_PATIENCE, Http, Shared, site};
use crate::inbox;
use crate::intake::Intake;
use crate::logging;
use crate::outbound::client::trust;
use crate::outbound::guard::Guard;
use crate::outbound::proxy;
use crate::retention::Retention;
use crate::schedule::worker::Scheduler;
use crate::service::{Services, account, demo};
use crate::store::{Store, connect, lease, listen, log, setting};
use crate::vault::Vault;
use anyhow::{Context, bail};
use axum_server::Handle;
use certificate::Certificate;
use listener::{bind, listen_on, raise_file_limit};
use model::egress::Rules;
use secrecy::ExposeSecret;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The setting with the fingerprint of the master key, by which a key that is not the database's is recognised.
const KEY_FINGERPRINT: &str = "key_fingerprint";
/// Time in which requests must end once the server stops.
const GRACE: Duration = Duration::from_secs(4);
/// Time in which all work must end after that. Service managers kill after ten seconds.
const PATIENCE: Duration = Duration::from_millis(5500);

/// Opens the database without changing its schema.
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
            private_folder(&config.data_dir)?;
            connect::open_sqlite(&config.data_dir)
                .await
                .with_context(|| format!("cannot open the database in {}", config.data_dir.display()))?
        }
    };
    Ok(store)
}

/// Opens the database for the commands other than `serve`, with its schema up to date. While a server runs on the
/// embedded database, the schema is not changed.
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

/// Reads the master key. Fails when it is not the key of this database.
async fn open_vault(config: &DatabaseConfig, store: &Store) -> anyhow::Result<Vault> {
    let fingerprint = setting::find(store.read(), KEY_FINGERPRINT).await?;
    let vault = match (&config.key_file, key_in_environment()) {
        (Some(path), _) => Vault::from_file(path)?,
        (None, Some(key)) => Vault::from_base64(&key, KEY_VARIABLE)?,
        (None, None) if config.database_url.is_none() => {
            let path = config.data_dir.join("master.key");
            // Another key would open none of the secrets, and nothing would show it until a secret is needed.
            if fingerprint.is_some() && !path.try_exists()? {
                bail!(
                    "the master key {} is missing, and the secrets in this database open with no other; put it back \
                     from a backup, or set --key-file or {KEY_VARIABLE}, if the server was started with one",
                    path.display()
                );
            }
            Vault::from_file_or_new(&path)?
        }
        (None, None) => bail!(
            "with PostgreSQL the master key comes from --key-file or {KEY_VARIABLE}, the same on every node: \
             32 random bytes in base64, as `openssl rand -base64 32` prints them"
        ),
    };
    let fingerprint = setting::insert_once(store.write(), KEY_FINGERPRINT, vault.fingerprint()).await?;
    if fingerprint != vault.fingerprint() {
        bail!("this master key is not the one the database's secrets are sealed with; use the key it was started with");
    }
    Ok(vault)
}

/// Locks the data directory, so that no second server starts on it. The lock ends when the file is closed.
fn lock_directory(data_dir: &Path) -> anyhow::Result<std::fs::File> {
    let Some(lock) = try_lock_directory(data_dir)? else {
        bail!("another hookwright is already serving {}; stop it first", data_dir.display());
    };
    Ok(lock)
}

/// Locks the data directory. Returns `None` when another process holds the lock.
fn try_lock_directory(data_dir: &Path) -> anyhow::Result<Option<std::fs::File>> {
    private_folder(data_dir)?;
    let path = data_dir.join("serve.lock");
    let file = std::fs::File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Logs that webhooks go through the egress proxy, or that the proxy variables of the environment are ignored.
fn note_proxy(config: &ServeConfig) {
    match &config.egress_proxy {
        Some(proxy) => tracing::info!(
            proxy = proxy.shown(),
            "webhooks are sent through the egress proxy, which resolves their names: the egress policy holds for \
             addresses in URLs and for direct webhooks"
        ),
        None => proxy::warn_of_variables(),
    }
}

/// Runs until SIGTERM or Ctrl-C.
pub async fn run(config: ServeConfig) -> anyhow::Result<()> {
    if let Err(reason) = logging::set(config.log.as_deref()) {
        bail!("log: {reason}");
    }
    let hangups = signal::hangups()?;
    let stop = CancellationToken::new();
    let capacity = Capacity::of_files(raise_file_limit());
    let is_embedded = config.database.database_url.is_none();
    // The lock comes before the database is opened: a newer version must not migrate it under a running server.
    let _lock = is_embedded.then(|| lock_directory(&config.database.data_dir)).transpose()?;
    let store = migrated(&config.database).await?;
    let vault = open_vault(&config.database, &store).await?;
    let bound = config.listen.iter().map(bind).collect::<anyhow::Result<Vec<_>>>()?;
    let is_https = bound.iter().any(|bound| bound.is_https);
    let certificate = Certificate::load_for(is_https, &config).await?;
    // On PostgreSQL, due times and leases use the database's clock, which the nodes share.
    let follower = if is_embedded { None } else { Some(Follower::start(&store).await?) };
    let clock = follower.clone().map_or_else(Clock::system, Clock::of_database);
    let rules = Rules {
        policy: config.policy,
        allowed: config.allowed.clone(),
        listeners: bound.iter().map(|bound| bound.address).collect(),
    };
    note_proxy(&config);
    trust::warn_without_store();
    let zone = Zone::open(&store, config.zone.as_ref()).await.context("cannot read the time zone")?;
    let services = Services {
        store: store.clone(),
        vault: Arc::new(vault),
        clock: clock.clone(),
        zone: zone.clone(),
        guard: Arc::new(Guard::new(rules, config.egress_proxy.clone())),
        wake: Arc::default(),
        lanes: Lanes::default(),
        figures: Arc::default(),
        is_discreet: false,
    };
    if is_embedded {
        // This is the only server of the embedded database and has just started, so every lease belongs to a process
        // that has ended.
        lease::return_all(store.write(), clock.now()).await?;
    }
    if let Some(address) = config.demo {
        // No worker runs yet, so that a failure cuts off no work.
        start_demo(&services, address).await?;
    }
    let wake = services.wake.clone();
    let intake = Intake::start(store.clone(), clock.clone(), zone.clone(), wake.clone(), services.lanes.clone());
    let proxies = Arc::new(Proxies::new(config.public_url.clone(), config.trusted_proxies.clone()));
    let http = Http::from(Shared {
        services: services.clone(),
        intake: intake.clone(),
        keys: Arc::default(),
        assets: site::assets(),
        sign_in_limit: Arc::default(),
        changes: ChangeFeed::new(stop.clone()),
        body_patience: BODY_PATIENCE,
        proxies: proxies.clone(),
        is_https: false,
    });
    // Nothing that a stop would have to end has begun before this line, so until here SIGTERM ends the process at once.
    let mut stops = signal::Stops::listen()?;
    let mut workers = Workers::default();
    workers.start("dispatcher", dispatcher(&services, config.in_flight_per_webhook).run(stop.clone()));
    workers.start("intake of internal events", intake.clone().run_internal(store.clone(), stop.clone()));
    let scheduler = Scheduler::new(store.clone(), clock.clone(), zone, wake.clone());
    workers.start("schedule worker", scheduler.run(stop.clone()));
    workers.start("watch for changes", http.changes.clone().run(services.clone()));
    workers.start("retention", Retention::new(store.clone(), clock, config.retention).run(stop.clone()));
    match follower {
        Some(follower) => {
            workers.start("listener for other nodes", listen::run(store.clone(), wake, stop.clone()));
            workers.start("follower of the database's clock", follower.run(store.clone(), stop.clone()));
        }
        None => workers.start("keeper of the database's log", log::run(store.clone(), stop.clone())),
    }
    let handle = Handle::new();
    let first = bound.first().map(|bound| Listen { address: bound.address, is_https: bound.is_https });
    let door = Door::new(capacity, proxies);
    for bound in bound {
        listen_on(bound, door.clone(), &http, certificate.as_ref().map(|one| &one.tls), &handle, &mut workers)?;
    }
    let following = certificate::follow(certificate, config.clone(), hangups, stop.clone());
    workers.start("follower of the certificate", following);
    announce(&store, &services.clock, &config, first).await;
    let ended = tokio::select! {
        () = stops.requested() => None,
        ended = workers.first_end() => Some(ended),
        () = intake.ended() => Some("the intake has failed".to_owned()),
    };
    tracing::info!("stopping");
    stop.cancel();
    handle.graceful_shutdown(Some(GRACE));
    if tokio::time::timeout(PATIENCE, workers.all_ended()).await.is_err() {
        tracing::warn!("stopped before everything under way had ended; what was acknowledged is stored");
    }
    store.close().await;
    match ended {
        None => Ok(()),
        // A server without one of its workers would accept occurrences that it does not send, or report itself healthy.
        // So the process ends, and the service manager starts it again.
        Some(ended) => bail!("{ended}; the log says why. Nothing acknowledged is lost; start the server again"),
    }
}

/// The tasks that run as long as the server.
#[derive(Default)]
struct Workers(JoinSet<String>);

impl Workers {
    fn start(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(work);
        self.0.spawn(async move {
            match task.await {
                Ok(()) => format!("the {name} has ended"),
                Err(_) => format!("the {name} has failed"),
            }
        });
    }

    /// Waits until a worker ends, and returns a message with its name.
    async fn first_end(&mut self) -> String {
        match self.0.join_next().await {
            Some(Ok(ended)) => ended,
            _ => "a worker has failed".to_owned(),
        }
    }

    async fn all_ended(&mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

fn dispatcher(services: &Services, per_webhook: usize) -> Dispatcher {
    let Services { store, vault, clock, guard, wake, lanes, .. } = services.clone();
    Dispatcher::new(store, vault, clock, guard, wake, lanes, per_webhook)
}

/// Starts the receiver of the demo, and creates the demo's content.
async fn start_demo(services: &Services, address: SocketAddr) -> anyhow::Result<()> {
    match tokio::net::TcpListener::bind(address).await {
        Ok(listener) => {
            let sink = inbox::printer(None).await.context("cannot print what the demo receives")?;
            let clock = services.clock.clone();
            tokio::spawn(async move { inbox::serve(listener, clock, sink).await });
        }
        // Another receiver may listen at this address; the content works with it.
        Err(error) => tracing::warn!(%error, %address, "the demo's receiver cannot listen"),
    }
    demo::make(services, &format!("http://{address}")).await.map_err(|error| {
        let reason = if error.fields.is_empty() { error.to_string() } else { error.fields.to_string() };
        anyhow::anyhow!("cannot create the demo's content; correct this and start again, or leave out --demo: {reason}")
    })
}

/// Announces the console. The server works without it, and its workers run already: a failure is logged.
async fn announce(store: &Store, clock: &Clock, config: &ServeConfig, first: Option<Listen>) {
    if let Err(error) = print_url(store, clock, config, first).await {
        let (error, remedy) = (format!("{error:#}"), "`hookwright setup-link` prints a new link");
        tracing::error!(error, remedy, "the address and the setup link could not be printed");
    }
}

/// Prints the console's URL, and the setup link while there is no account.
async fn print_url(store: &Store, clock: &Clock, config: &ServeConfig, first: Option<Listen>) -> anyhow::Result<()> {
    use std::io::Write;
    let Some(url) = config.url_for_people(first) else { return Ok(()) };
    let mut lines = format!("Hookwright is at {url}\n");
    if let Some(token) = account::new_setup_token(store, clock).await? {
        lines += &format!("Create the first administrator within an hour: {url}/setup?token={token}\n");
    }
    if let Some(hint) = config.url_hint() {
        lines += &format!("{hint}\n");
    }
    let mut out = std::io::stdout().lock();
    out.write_all(lines.as_bytes())?;
    Ok(out.flush()?)
}

/// Returns a new setup link, by which the first administrator is created.
pub async fn setup_link(config: &ServeConfig) -> anyhow::Result<String> {
    let store = open_beside(&config.database).await?;
    let token = account::new_setup_token(&store, &Clock::system()).await;
    store.close().await;
    let Some(token) = token? else {
        bail!("there is an account already: sign in with it, or create another one with `hookwright user add`");
    };
    let Some(url) = config.url_for_people(config.listen.first().copied()) else { bail!("the server listens nowhere") };
    let hint = config.url_hint().map(|hint| format!("{hint}\n")).unwrap_or_default();
    Ok(format!("{url}/setup?token={token}\n{hint}"))
}
