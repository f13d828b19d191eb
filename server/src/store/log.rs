//! The write-ahead log of the embedded database: kept short, so that it neither fills the disk nor slows reads.
//!
//! SQLite restarts its log only when no connection reads from it. Under steady reads that moment may never come, so the
//! log is emptied from time to time. The connection of the writer does that, since no write is under way then: a
//! checkpoint on another connection would make writers sleep and try again. The checkpoint does not wait long for
//! readers. Only when the log is very long do pages wait until it is empty. The engine never waits.

use super::connect::{PAGE_READERS, SEARCHERS};
use super::{Error, Result, Store};
use sea_orm::{DatabaseConnection, DbErr, RuntimeErr};
use sqlx::Executor;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The time between two looks at the size while the log grows. A fast disk takes 30 MB of log within that time.
const OFTEN: Duration = Duration::from_millis(250);
/// The time between two looks otherwise: four looks a second cost a calm server as much as all its other work. Also the
/// time between two tries to empty a log that is long: a try that meets a reader keeps the writer for some milliseconds.
/// A log that is too long is emptied after each look.
const SELDOM: Duration = Duration::from_secs(1);
/// The longest wait for the writer. After it, the next look tries again.
const PATIENCE: Duration = Duration::from_millis(500);
/// A log of this size in bytes is emptied if no connection reads from it at that moment.
const LONG: u64 = 16 << 20;
/// From this size in bytes on, new queries of pages wait until the log is empty.
const TOO_LONG: u64 = 48 << 20;

/// Keeps the log short, until `stop` is cancelled. Returns at once on PostgreSQL.
pub async fn run(store: Store, stop: CancellationToken) {
    let (mut size, mut has_grown, mut tried_at) = (store.log_size(), true, Instant::now());
    while store.log.is_some() && !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(if has_grown { OFTEN } else { SELDOM }) => {}
        }
        let before = std::mem::replace(&mut size, store.log_size());
        has_grown = size > before;
        if size < TOO_LONG && tried_at.elapsed() < SELDOM {
            continue;
        }
        tried_at = Instant::now();
        if let Err(error) = store.shorten_log().await {
            tracing::warn!(error = format!("{:#}", anyhow::Error::new(error)), "the database's log cannot be emptied");
        }
        size = store.log_size();
    }
}

impl Store {
    /// Returns the log's size in bytes; 0 where there is no log.
    fn log_size(&self) -> u64 {
        self.log.as_ref().and_then(|file| file.metadata().ok()).map(|data| data.len()).unwrap_or_default()
    }

    /// Empties the log if it is long.
    async fn shorten_log(&self) -> Result<()> {
        let size = self.log_size();
        if size < LONG {
            return Ok(());
        }
        if size < TOO_LONG {
            return truncate(self.write()).await.map_err(unavailable);
        }
        // All connections of pages are acquired, so that pages wait: their queries are the long ones. Queries under way
        // end within some seconds. Queries of the engine are short, and continue.
        let mut taken = Vec::new();
        for (connection, count) in [(&self.pages, PAGE_READERS), (&self.searches, SEARCHERS)] {
            for _ in 0..count {
                taken.push(connection.get_sqlite_connection_pool().acquire().await.map_err(unavailable)?);
            }
        }
        truncate(self.write()).await.map_err(unavailable)
    }
}

fn unavailable(error: sqlx::Error) -> Error {
    Error::Unavailable(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))
}

/// Moves the log into the database and empties it. Stops soon when a connection reads an older state from the log.
pub(super) async fn truncate(writer: &DatabaseConnection) -> std::result::Result<(), sqlx::Error> {
    // The wait is short, to end a deadlock: the caller may hold all connections of pages, and the holder of the writer
    // may wait for one of them.
    let acquired = tokio::time::timeout(PATIENCE, writer.get_sqlite_connection_pool().acquire()).await;
    let Ok(connection) = acquired else { return Ok(()) };
    let mut connection = connection?;
    connection.execute("PRAGMA busy_timeout = 15").await?;
    let done = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
    // This is the value that `connect` has set.
    connection.execute("PRAGMA busy_timeout = 10000").await?;
    done.map(drop)
}
