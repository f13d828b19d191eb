//! Opens a database, and brings its schema up to date. The connections of a store are described in `store`.

use super::searching::SearchQueue;
use super::{Result, Store};
use crate::background;
use log::LevelFilter;
use migrations::Migrator;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr, RuntimeErr, SqlxPostgresConnector,
    TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The name of the database in the data directory.
pub const SQLITE_FILE: &str = "hookwright.db";

/// The advisory lock that keeps two processes from migrating one PostgreSQL at once: "hookwrig" in ASCII. The only lock
/// of its transaction, and no part of the lock order.
const MIGRATION_LOCK: i64 = 0x686f_6f6b_7772_6967;

/// The number of prepared statements that a connection caches: a group of each size is another statement.
const STATEMENTS_CACHED: usize = 400;

/// The connections that read the embedded database for the engine and the API.
const READERS: u32 = 3;
/// The connections that read the embedded database for pages. They are few, so that a core is left for deliveries
/// however many people look.
pub(super) const PAGE_READERS: u32 = 2;
/// The connections for searches, on both databases.
pub(super) const SEARCHERS: u32 = 1;
/// The connections to PostgreSQL for pages.
const PAGE_CONNECTIONS: u32 = 2;

/// The time limit of a query of a page, and of its wait for a connection.
pub(super) const PAGE_PATIENCE: Duration = Duration::from_secs(5);
/// The number of its instructions after which SQLite looks at the clock: some ten microseconds of work.
const PAGE_INSTRUCTIONS: i32 = 1000;

/// The settings of each PostgreSQL session, whatever the defaults of the server or the role are. A commit returns only
/// when it is on disk. The limits of statements and locks end work whose caller has timed out, and the engine tries
/// again. The limit of idle transactions releases the locks of a node that is frozen or cut off.
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

/// The settings of the engine's sessions. It finds its rows by index: with old statistics PostgreSQL would read a large
/// table as a whole. And each of its statements has one plan, whatever the parameters are: PostgreSQL would make some plans
/// anew each time, since a short array seems cheaper than one of unknown length, and that takes longer than the statement.
const ENGINE: [(&str, &str); 2] = [("enable_seqscan", "off"), ("plan_cache_mode", "force_generic_plan")];

/// The time limit of a transaction: longer than that of a statement.
const PATIENCE: Duration = Duration::from_secs(40);

/// The time without use after which a connection is pinged before its next use, and the time for which a host that has
/// responded is not asked again.
const PING_AFTER: Duration = Duration::from_secs(1);
/// The time limit of a ping of a connection.
const PING_PATIENCE: Duration = Duration::from_secs(2);

/// Opens the SQLite file in `data_dir`, and makes it if there is none.
pub async fn open_sqlite(data_dir: &Path) -> Result<Store> {
    open_sqlite_logging(data_dir, LevelFilter::Off).await
}

/// Opens the SQLite file like [`open_sqlite`], and logs the text of each statement. Only for the test that reads all of
/// them: no text belongs into another log.
pub async fn open_sqlite_logging(data_dir: &Path, statements: LevelFilter) -> Result<Store> {
    let file = data_dir.join(SQLITE_FILE);
    let writer = connect_sqlite(&file, 1, Purpose::Writing, statements).await?;
    let reader = connect_sqlite(&file, READERS, Purpose::Reading, statements).await?;
    let pages = for_pages(&file, PAGE_READERS, statements).await?;
    let searches = for_pages(&file, SEARCHERS, statements).await?;
    let log = Some(data_dir.join(format!("{SQLITE_FILE}-wal")));
    Ok(Store {
        writer,
        reader,
        pages,
        searches,
        search_queue: SearchQueue::new(false),
        log,
        last_commit: Arc::default(),
        patience: PATIENCE,
    })
}

/// Opens connections whose threads have a lower priority.
async fn for_pages(file: &Path, connections: u32, statements: LevelFilter) -> Result<DatabaseConnection> {
    let file = file.to_owned();
    background::run(async move { connect_sqlite(&file, connections, Purpose::Pages, statements).await }).await
}

/// The purpose of a pool of connections to the embedded database.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Writing,
    Reading,
    Pages,
}

async fn connect_sqlite(
    file: &Path,
    connections: u32,
    purpose: Purpose,
    statements: LevelFilter,
) -> Result<DatabaseConnection> {
    let file = file.to_owned();
    let is_writer = purpose == Purpose::Writing;
    let mut options = ConnectOptions::new("sqlite::memory:");
    options
        .min_connections(connections)
        .max_connections(connections)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        // No network can have broken the connection, and each test would cost two switches of threads.
        .test_before_acquire(false)
        .map_sqlx_sqlite_opts(move |_| {
            SqliteConnectOptions::new()
                .filename(&file)
                .create_if_missing(is_writer)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                // A slow statement would be logged with its text.
                .log_slow_statements(LevelFilter::Off, Duration::MAX)
                .log_statements(statements)
                .busy_timeout(Duration::from_secs(10))
                .statement_cache_capacity(STATEMENTS_CACHED)
                // In KiB: the writer touches the ends of a dozen indexes with each group.
                .pragma("cache_size", if is_writer { "-16000" } else { "-2000" })
                .pragma("query_only", if is_writer { "OFF" } else { "ON" })
            // No statistics are taken: without them the plans are those that a test reads. Statistics of a small
            // database would stay when it has grown, and large tables would be read as a whole.
        })
        // The connections live as long as the process: a closed one would lose nothing, but opening takes time.
        .map_sqlx_sqlite_pool_opts(move |pool| {
            // After an error such as a full disk SQLite rolls back by itself. The library's own ROLLBACK then fails,
            // and the library counts a transaction that does not exist: the next one would be a savepoint in it, and
            // every later commit would write nothing. Such a connection is closed and replaced.
            let pool = pool.idle_timeout(None).max_lifetime(None);
            // The library calls `before_acquire` only for a connection that was used before, so a new one is limited
            // here.
            let pool = pool.after_connect(move |connection, _| Box::pin(limit_query(connection, purpose)));
            pool.before_acquire(move |connection, _| {
                Box::pin(async move {
                    limit_query(connection, purpose).await?;
                    Ok(!connection.is_in_transaction())
                })
            })
        });
    if purpose == Purpose::Pages {
        options.acquire_timeout(PAGE_PATIENCE);
    }
    Ok(Database::connect(options).await?)
}

/// Limits the time of the next query on a connection of pages: it ends with `SQLITE_INTERRUPT`. Without the limit the
/// thread would go on reading when its caller waits no longer.
async fn limit_query(connection: &mut SqliteConnection, purpose: Purpose) -> sqlx::Result<()> {
    if purpose != Purpose::Pages {
        return Ok(());
    }
    let since = Instant::now();
    let mut handle = connection.lock_handle().await?;
    handle.set_progress_handler(PAGE_INSTRUCTIONS, move || since.elapsed() < PAGE_PATIENCE);
    Ok(())
}

/// Opens a PostgreSQL database by its URL.
pub async fn open_postgres(url: &str) -> Result<Store> {
    open_postgres_logging(url, LevelFilter::Off).await
}

/// Opens PostgreSQL like [`open_postgres`], and logs the text of each statement. Only for the test that reads all of
/// them.
pub async fn open_postgres_logging(url: &str, statements: LevelFilter) -> Result<Store> {
    let engine = connect_postgres(url, 12, Duration::from_secs(10), &ENGINE, statements).await?;
    let limit = format!("{}ms", PAGE_PATIENCE.as_millis());
    // Without parallel workers: the processes of PostgreSQL have no lower priority, so a search gets one of them.
    let limit = [("statement_timeout", limit.as_str()), ("max_parallel_workers_per_gather", "0")];
    let pages = connect_postgres(url, PAGE_CONNECTIONS, PAGE_PATIENCE, &limit, statements).await?;
    let searches = connect_postgres(url, SEARCHERS, PAGE_PATIENCE, &limit, statements).await?;
    Ok(Store {
        writer: engine.clone(),
        reader: engine,
        pages,
        searches,
        search_queue: SearchQueue::new(true),
        log: None,
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
        // The library's own test waits for a host that has vanished as long as the system does.
        .test_before_acquire(false)
        .map_sqlx_postgres_pool_opts(|pool| {
            // A busy node would test a connection with each statement.
            let host = LastResponse::default();
            pool.before_acquire(|connection, since| {
                Box::pin(async move { Ok(since.idle_for < PING_AFTER || responds(connection).await?) })
            })
            // A statement that has no response is given up after more than a second. So its connection is tested here,
            // before the library does so without a limit.
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
        // An error, so that the library does not try to close the connection in good order.
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// Runs every missing migration, one process at a time.
pub async fn migrate(store: &Store) -> Result<()> {
    run_missing(store).await?;
    let txn = store.begin().await?;
    super::revision::backfill(&txn).await?;
    store.commit(txn).await
}

/// Returns true when a migration is missing.
pub async fn is_outdated(store: &Store) -> Result<bool> {
    // On the writer, since the library makes the table of migrations if there is none.
    Ok(!Migrator::get_pending_migrations(store.write()).await?.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "the lock's transaction writes nothing")]
async fn run_missing(store: &Store) -> Result<()> {
    if !store.is_postgres() {
        return Ok(Migrator::up(store.write(), None).await?);
    }
    // Separate connections without time limits: a migration of a large table may take long.
    let options = store.write().get_postgres_connection_pool().connect_options();
    let unlimited =
        ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"].map(|name| (name, "0"));
    let pool = PgPoolOptions::new().max_connections(2).connect_with((*options).clone().options(unlimited)).await;
    let pool = pool.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))?;
    let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
    // A separate transaction holds the lock, which is released when the transaction ends, also when this process dies.
    let lock = connection.begin().await?;
    lock.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")).await?;
    Migrator::up(&connection, None).await?;
    lock.commit().await?;
    Ok(connection.close().await?)
}
