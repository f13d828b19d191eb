//! Opening a database, and bringing its schema up to date.

use super::searching::Turns;
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
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The name of the database in the data directory.
pub const SQLITE_FILE: &str = "hookwright.db";

/// The advisory lock that keeps two processes from migrating one PostgreSQL at once: "hookwrig" in ASCII.
const MIGRATION_LOCK: i64 = 0x686f_6f6b_7772_6967;

/// How many prepared statements a connection keeps: groups of each size are statements of their own.
const STATEMENTS_KEPT: usize = 400;

/// How many connections read the embedded database for the engine and the API, and how many for pages: however many
/// people look, a core is left for deliveries.
const READERS: u32 = 3;
pub(super) const PAGE_READERS: u32 = 2;
pub(super) const SEARCHERS: u32 = 1;
/// How many connections to PostgreSQL there are for pages.
const PAGE_CONNECTIONS: u32 = 2;

/// How long a query of a page may take, and wait for a connection.
pub(super) const PAGE_PATIENCE: Duration = Duration::from_secs(5);
/// After how many of its instructions SQLite looks at the clock: some ten microseconds of work.
const PAGE_INSTRUCTIONS: i32 = 1000;

/// Settings of each PostgreSQL session, whatever the server's or the role's defaults are. A commit that was answered is
/// on disk. Limits on statements and locks end what nobody waits for any more; the engine then tries again. A node that
/// is frozen or cut off within a transaction must not keep its locks from the others.
const POSTGRES_SETTINGS: [(&str, &str); 7] = [
    ("synchronous_commit", "on"),
    ("statement_timeout", "30s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_isolation", "read committed"),
    // Compiling a statement takes longer than any of ours.
    ("jit", "off"),
];

/// The engine finds its rows by index: old statistics must not have it read a large table as a whole.
const BY_INDEX: (&str, &str) = ("enable_seqscan", "off");

/// How long a transaction may take: longer than its longest statement.
const PATIENCE: Duration = Duration::from_secs(40);

/// How long a connection may take to answer that it is there.
const PING_PATIENCE: Duration = Duration::from_secs(2);

/// Opens the SQLite file in `data_dir`, making it if there is none.
pub async fn open_sqlite(data_dir: &Path) -> Result<Store> {
    open_sqlite_logging(data_dir, LevelFilter::Off).await
}

/// The same with each statement's text in the log, for the test that looks at all of them. Else no text belongs there.
pub async fn open_sqlite_logging(data_dir: &Path, statements: LevelFilter) -> Result<Store> {
    let file = data_dir.join(SQLITE_FILE);
    let writer = connect_sqlite(&file, 1, Use::Writing, statements).await?;
    let reader = connect_sqlite(&file, READERS, Use::Reading, statements).await?;
    let pages = for_pages(&file, PAGE_READERS, statements).await?;
    let searches = for_pages(&file, SEARCHERS, statements).await?;
    let log = Some(data_dir.join(format!("{SQLITE_FILE}-wal")));
    Ok(Store {
        writer,
        reader,
        pages,
        searches,
        turns: Turns::new(false),
        log,
        last_commit: Arc::default(),
        patience: PATIENCE,
    })
}

/// Connections whose threads have a lower priority.
async fn for_pages(file: &Path, connections: u32, statements: LevelFilter) -> Result<DatabaseConnection> {
    let file = file.to_owned();
    background::run(async move { connect_sqlite(&file, connections, Use::Pages, statements).await }).await
}

/// What a pool of the embedded database is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Writing,
    Reading,
    Pages,
}

async fn connect_sqlite(
    file: &Path,
    connections: u32,
    what_for: Use,
    statements: LevelFilter,
) -> Result<DatabaseConnection> {
    let file = file.to_owned();
    let is_writer = what_for == Use::Writing;
    let mut options = ConnectOptions::new("sqlite::memory:");
    options
        .min_connections(connections)
        .max_connections(connections)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        // There is no network that could have broken it, and each test would cost two switches of threads.
        .test_before_acquire(false)
        .map_sqlx_sqlite_opts(move |_| {
            SqliteConnectOptions::new()
                .filename(&file)
                .create_if_missing(is_writer)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                // A slow one would be logged with its text.
                .log_slow_statements(LevelFilter::Off, Duration::MAX)
                .log_statements(statements)
                .busy_timeout(Duration::from_secs(10))
                .statement_cache_capacity(STATEMENTS_KEPT)
                // In KiB: the writer touches the ends of a dozen indexes with each group.
                .pragma("cache_size", if is_writer { "-16000" } else { "-2000" })
                .pragma("query_only", if is_writer { "OFF" } else { "ON" })
            // Without statistics the plans are those that a test has read. Those of a small database would stay when it
            // has grown, and have it read as a whole.
        })
        // The writer must live as long as the process: a closed one would lose nothing, but cost a start.
        .map_sqlx_sqlite_pool_opts(move |pool| {
            // After an error such as a full disk SQLite rolls back by itself. The library's own ROLLBACK then fails, and
            // the library counts a transaction that is not there: the next one would be a savepoint in it, and every
            // later commit would write nothing. Such a connection is closed and replaced.
            let pool = pool.idle_timeout(None).max_lifetime(None);
            // The library asks the second only of a connection that was used before.
            let pool = pool.after_connect(move |connection, _| Box::pin(limit(connection, what_for)));
            pool.before_acquire(move |connection, _| {
                Box::pin(async move {
                    limit(connection, what_for).await?;
                    Ok(!connection.is_in_transaction())
                })
            })
        });
    if what_for == Use::Pages {
        options.acquire_timeout(PAGE_PATIENCE);
    }
    Ok(Database::connect(options).await?)
}

/// Has what a page's connection is asked next end after some seconds with `SQLITE_INTERRUPT`. The thread that reads
/// would go on when nobody waits for the answer any more.
async fn limit(connection: &mut SqliteConnection, what_for: Use) -> sqlx::Result<()> {
    if what_for != Use::Pages {
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

/// The same with each statement's text in the log, for the test that looks at all of them.
pub async fn open_postgres_logging(url: &str, statements: LevelFilter) -> Result<Store> {
    let engine = connect_postgres(url, 12, Duration::from_secs(10), &[BY_INDEX], statements).await?;
    let limit = format!("{}ms", PAGE_PATIENCE.as_millis());
    // A search by one process, too: those of PostgreSQL have no lower priority.
    let limit = [("statement_timeout", limit.as_str()), ("max_parallel_workers_per_gather", "0")];
    let pages = connect_postgres(url, PAGE_CONNECTIONS, PAGE_PATIENCE, &limit, statements).await?;
    let searches = connect_postgres(url, SEARCHERS, PAGE_PATIENCE, &limit, statements).await?;
    Ok(Store {
        writer: engine.clone(),
        reader: engine,
        pages,
        searches,
        turns: Turns::new(true),
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
                .statement_cache_capacity(STATEMENTS_KEPT)
                .options(settings.clone())
                .log_slow_statements(LevelFilter::Off, Duration::MAX)
                .log_statements(statements)
        })
        // The library waits for as long as the system does for a host that has vanished.
        .test_before_acquire(false)
        .map_sqlx_postgres_pool_opts(|pool| {
            pool.before_acquire(|connection, _| Box::pin(is_there(connection)))
                .after_release(|connection, _| Box::pin(is_there(connection)))
        });
    Ok(Database::connect(options).await?)
}

/// Whether the other end of a connection answers.
async fn is_there(connection: &mut PgConnection) -> sqlx::Result<bool> {
    match tokio::time::timeout(PING_PATIENCE, connection.ping()).await {
        Ok(done) => done.map(|()| true),
        // An error, so that nobody tries to close it in good order.
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// Runs every migration that is missing, one process at a time.
pub async fn migrate(store: &Store) -> Result<()> {
    run_missing(store).await?;
    let txn = store.begin().await?;
    super::revision::backfill(&txn).await?;
    store.commit(txn).await
}

/// Whether a migration is missing.
pub async fn is_outdated(store: &Store) -> Result<bool> {
    // Asked of the writer, as it makes its own table if there is none.
    Ok(!Migrator::get_pending_migrations(store.write()).await?.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "the lock's transaction writes nothing")]
async fn run_missing(store: &Store) -> Result<()> {
    if !store.is_postgres() {
        return Ok(Migrator::up(store.write(), None).await?);
    }
    // Connections of their own: a step over a large table takes as long as it takes.
    let options = store.write().get_postgres_connection_pool().connect_options();
    let unlimited =
        ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"].map(|name| (name, "0"));
    let pool = PgPoolOptions::new().max_connections(2).connect_with((*options).clone().options(unlimited)).await;
    let pool = pool.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))?;
    let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
    // Held by a transaction of its own: freed when it ends, also when this process dies.
    let lock = connection.begin().await?;
    lock.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")).await?;
    Migrator::up(&connection, None).await?;
    lock.commit().await?;
    Ok(connection.close().await?)
}
