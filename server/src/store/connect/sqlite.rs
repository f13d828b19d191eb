//! The connections to the embedded database.

use super::{PAGE_PATIENCE, PAGE_READERS, PATIENCE, SEARCHERS, STATEMENTS_CACHED};
use crate::background;
use crate::store::searching::SearchQueue;
use crate::store::turn::Turns;
use crate::store::{Error, Result, Store};
use log::LevelFilter;
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The name of the database in the data directory.
pub const SQLITE_FILE: &str = "hookwright.db";

/// The time that a writer waits for another process which writes, such as a command of an administrator.
pub(in crate::store) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The cache of a connection that writes, in KiB below zero: each group touches the ends of a dozen indexes.
pub(in crate::store) const WRITER_CACHE: &str = "-16000";

/// The connections that read the embedded database for the engine and the API.
const READERS: u32 = 3;
/// The number of SQLite's instructions after which it looks at the clock: some ten microseconds of work.
const PAGE_INSTRUCTIONS: i32 = 1000;

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
    let no_thread = |error| Error::Unavailable(DbErr::Custom(format!("no thread could be started: {error}")));
    let turns = Turns::start(file, statements != LevelFilter::Off).map_err(no_thread)?;
    Ok(Store {
        autocommit: writer.clone(),
        turns: Some(turns),
        writer,
        reader,
        pages,
        searches,
        search_queue: SearchQueue::new(false),
        log,
        heard: Arc::default(),
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
        // A file needs no test of its connection, and each test would cost two switches of threads.
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
                .busy_timeout(BUSY_TIMEOUT)
                .statement_cache_capacity(STATEMENTS_CACHED)
                .pragma("cache_size", if is_writer { WRITER_CACHE } else { "-2000" })
                .pragma("query_only", if is_writer { "OFF" } else { "ON" })
            // No statistics are taken: without them the plans are those that a test reads. Statistics of a small
            // database would stay when it has grown, and large tables would be read as a whole.
        })
        // The connections live as long as the process, since opening one takes time.
        .map_sqlx_sqlite_pool_opts(move |pool| {
            // After an error such as a full disk SQLite rolls back by itself. The library's own ROLLBACK then fails,
            // and the library still counts a transaction that does not exist. The next transaction would be a savepoint
            // in it, and no later commit would write anything. Such a connection is closed and replaced.
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

/// Limits the time of the next query on a connection of pages: a query that takes longer ends with `SQLITE_INTERRUPT`.
/// Without the limit the thread would go on reading after its caller has stopped waiting.
async fn limit_query(connection: &mut SqliteConnection, purpose: Purpose) -> sqlx::Result<()> {
    if purpose != Purpose::Pages {
        return Ok(());
    }
    let since = Instant::now();
    let mut handle = connection.lock_handle().await?;
    handle.set_progress_handler(PAGE_INSTRUCTIONS, move || since.elapsed() < PAGE_PATIENCE);
    Ok(())
}
