//! The connections to PostgreSQL.

use super::{PAGE_PATIENCE, PAGE_READERS, PATIENCE, SEARCHERS, STATEMENTS_CACHED};
use crate::store::searching::SearchQueue;
use crate::store::{Result, Store};
use log::LevelFilter;
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The connections to PostgreSQL for transactions and short queries.
const ENGINE_CONNECTIONS: u32 = 9;
/// The connections to PostgreSQL for statements that commit themselves: one for each worker of the intake, and one for
/// the dispatcher.
const AUTOCOMMIT_CONNECTIONS: u32 = 3;
/// The longest wait of the engine for a connection to PostgreSQL.
const ENGINE_PATIENCE: Duration = Duration::from_secs(10);

/// The settings of each PostgreSQL session. They override the defaults of the server and of the role. A commit returns
/// only when it is on disk. The limits of statements and locks end work whose caller has timed out, and the engine
/// tries again. The limit of idle transactions releases the locks of a node that is frozen or cut off.
const POSTGRES_SETTINGS: [(&str, &str); 7] = [
    ("synchronous_commit", "on"),
    ("statement_timeout", "30s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_isolation", "read committed"),
    // Compiling a statement takes longer than running any statement of this crate.
    ("jit", "off"),
];

/// The settings of the engine's sessions. The engine finds its rows by index: with outdated statistics PostgreSQL would
/// read a whole large table. Each statement has one plan for all parameters: PostgreSQL would plan some statements anew
/// each time, since a short array seems cheaper than one of unknown length, and planning takes longer than the
/// statement.
const ENGINE: [(&str, &str); 2] = [("enable_seqscan", "off"), ("plan_cache_mode", "force_generic_plan")];

/// The time without use after which a connection is pinged before its next use, and the time for which a host that has
/// responded is not pinged again.
const PING_AFTER: Duration = Duration::from_secs(1);
/// The time limit of a ping of a connection.
const PING_PATIENCE: Duration = Duration::from_secs(2);

/// Opens a PostgreSQL database by its URL.
pub async fn open_postgres(url: &str) -> Result<Store> {
    open_postgres_logging(url, LevelFilter::Off).await
}

/// Opens PostgreSQL like [`open_postgres`], and logs the text of each statement. Only for the test that reads all of
/// them.
pub async fn open_postgres_logging(url: &str, statements: LevelFilter) -> Result<Store> {
    let engine = connect_postgres(url, ENGINE_CONNECTIONS, ENGINE_PATIENCE, &ENGINE, statements).await?;
    let autocommit = connect_postgres(url, AUTOCOMMIT_CONNECTIONS, ENGINE_PATIENCE, &ENGINE, statements).await?;
    let limit = format!("{}ms", PAGE_PATIENCE.as_millis());
    // There are no parallel workers: processes of PostgreSQL cannot have a lower priority, so a search gets only one.
    let limit = [("statement_timeout", limit.as_str()), ("max_parallel_workers_per_gather", "0")];
    let pages = connect_postgres(url, PAGE_READERS, PAGE_PATIENCE, &limit, statements).await?;
    let searches = connect_postgres(url, SEARCHERS, PAGE_PATIENCE, &limit, statements).await?;
    Ok(Store {
        writer: engine.clone(),
        reader: engine,
        autocommit,
        turns: None,
        pages,
        searches,
        search_queue: SearchQueue::new(true),
        log: None,
        heard: Arc::default(),
        last_commit: Arc::default(),
        patience: PATIENCE,
    })
}

async fn connect_postgres(
    url: &str,
    connections: u32,
    patience: Duration,
    more: &[(&'static str, &str)],
    statements: LevelFilter,
) -> Result<DatabaseConnection> {
    let settings: Vec<_> = POSTGRES_SETTINGS
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()))
        .chain(more.iter().map(|(name, value)| (*name, (*value).to_owned())))
        .collect();
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .acquire_timeout(patience)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .map_sqlx_postgres_opts(move |options: PgConnectOptions| {
            options
                .application_name("hookwright")
                .statement_cache_capacity(STATEMENTS_CACHED)
                .options(settings.clone())
                .log_slow_statements(LevelFilter::Off, Duration::MAX)
                .log_statements(statements)
        })
        // The library's own test has no time limit: for a vanished host it waits as long as the system does.
        .test_before_acquire(false)
        .map_sqlx_postgres_pool_opts(|pool| {
            // The host's last response is shared, since a busy node would otherwise test a connection with each
            // statement.
            let host = LastResponse::default();
            pool.before_acquire(|connection, since| {
                Box::pin(async move { Ok(since.idle_for < PING_AFTER || responds(connection).await?) })
            })
            // A statement without a response is abandoned after more than a second. Its connection is tested here,
            // before the library would test it without a time limit.
            .after_release(move |connection, _| {
                let host = host.clone();
                Box::pin(async move { Ok(host.is_recent() || (responds(connection).await? && host.note())) })
            })
        });
    Ok(Database::connect(options).await?)
}

/// The instant at which a host last responded on any connection of a pool.
#[derive(Clone, Default)]
struct LastResponse(Arc<Mutex<Option<Instant>>>);

impl LastResponse {
    fn is_recent(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < PING_AFTER)
    }

    fn note(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        true
    }
}

/// Returns true when the other end of a connection responds.
async fn responds(connection: &mut PgConnection) -> sqlx::Result<bool> {
    match tokio::time::timeout(PING_PATIENCE, connection.ping()).await {
        Ok(done) => done.map(|()| true),
        // This is an error, so that the library does not wait for an orderly end of the connection.
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}
